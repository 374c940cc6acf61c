/**
 * Reads what the stages need from a complete request body: the model at least, everything `ChatRequest` knows if a stage asked for it. Changes it when
 * all of them have seen it.
 *
 * The cheapest reader that suffices is taken: most of the time only the model is wanted.
 */
import { ChatRequest } from "../lib/chat-request";
import { ScanStatus } from "../lib/json-scanner";
import { Api } from "../lib/llm-api";
import { MultipartModel } from "../lib/multipart-model";
import { Flag, RequestField } from "../lib/request-field";
import { RequestDigest } from "../lib/request-digest";
import { Utf8Check } from "../lib/utf8-check";
import { Bytes, ByteWriter, scratch } from "../sdk";
import { edits } from "./body-edit";
import { BodyNeeds } from "./body-needs";
import { BodyStatus, firstMember, isEmpty, model, readWindow, scanBody, WHOLE, WINDOW, window } from "./body-scan";
import { ChatSource, Exchange, ModelPlace, Problem } from "./exchange";
import { MOST_KNOWN } from "./known-bodies";
import { includeUsage } from "./include-usage";
import { requestHeaders } from "./request-headers";
import { ambiguousModel, ambiguousType, invalidForm, invalidJson, invalidUtf8, Refusal } from "./refusal";

/** One reader of each kind for all streams: a body is read from its first to its last byte within one callback. */
const chat = new ChatRequest();
const form = new MultipartModel();
const utf8 = new Utf8Check();
/** What `scanChat` found: it was UTF-8 as far as it was read; the digest is one of the whole body. */
let isText: bool = true;
let isDigested: bool = false;

const MULTIPART = Bytes.literal("multipart/form-data");
const CONTENT_LENGTH = Bytes.literal("content-length");
const head = new Bytes();
const text = new ByteWriter();

/**
 * Fills the exchange from its `bodySize` held bytes. Null when all is well or `exchange.problem` says what is not; a refusal when the body
 * can be read in two ways, so that no policy may send it on. O(body), constant memory.
 */
export function readBody(exchange: Exchange, contentType: Bytes, needs: BodyNeeds, lastModelWins: bool): Refusal | null {
  if (formAt(contentType, 0)) return readForm(exchange, contentType);
  if (namesFormLater(contentType)) return ambiguousType;
  return needs.chat || exchange.api == Api.GeminiGenerate ? readChat(exchange, needs, lastModelWins) : readModel(exchange, lastModelWins);
}

/** The same body once more, as it was changed meanwhile: for `exchange.chat`, and where its model stands. All else of the exchange is as it was. */
export function readAgain(exchange: Exchange, needs: BodyNeeds): void {
  exchange.head.clear();
  if (!needs.chat || !scanChat(exchange.bodySize, exchange.api, needs.prompt, null, false)) return;
  exchange.chat = chat;
  keepHead(exchange);
  const field = chat.fields[RequestField.Model];
  if (exchange.modelPlace != ModelPlace.Json || field.count == 0) return;
  exchange.modelStart = <i32>field.start;
  exchange.modelEnd = <i32>field.end;
}

/**
 * Changes the body as stages asked for, all at once, and its length; what the exchange says of its size and the places in it is true again. False when the
 * host refused.
 */
export function changeBody(exchange: Exchange): bool {
  // Once: what is read again behind a stage that waited has it already.
  if (exchange.wantsUsage && !exchange.usageAdded) exchange.usageAdded = includeUsage(exchange);
  if (edits.count == 0) return true;
  if (!edits.apply(exchange.bodySize, exchange.head)) return false;
  exchange.bodySize = edits.after(exchange.bodySize);
  if (exchange.modelPlace != ModelPlace.Path) {
    exchange.modelStart = edits.after(exchange.modelStart);
    exchange.modelEnd = edits.after(exchange.modelEnd);
  }
  if (exchange.hasContentLength) {
    requestHeaders.replace(CONTENT_LENGTH, text.reset().decimal(exchange.bodySize).view());
  }
  return true;
}

function readModel(exchange: Exchange, lastModelWins: bool): Refusal | null {
  const status = scanBody(exchange.bodySize, lastModelWins);
  if (status == BodyStatus.Ambiguous) return ambiguousModel;
  if (status == BodyStatus.InvalidUtf8) exchange.trouble(Problem.Malformed, invalidUtf8);
  else if (status == BodyStatus.Malformed) exchange.trouble(Problem.Malformed, invalidJson);
  else exchange.takeJsonModel(model, firstMember(), !isEmpty());
  keepHead(exchange);
  return null;
}

function readChat(exchange: Exchange, needs: BodyNeeds, lastModelWins: bool): Refusal | null {
  const digester = needs.digester;
  let digest: RequestDigest | null = null;
  if (digester !== null) digest = digester.digestFor(exchange.api);
  const shown = digest !== null && exchange.bodySize > 0 && exchange.bodySize <= MOST_KNOWN && readWindow(0, exchange.bodySize, scratch.mark());
  if (shown && needs.known.recall(window, exchange)) {
    knownChat.recordsPrompt = needs.prompt;
    exchange.deferChat(knownChat);
    exchange.digest = digest;
    exchange.isKnown = true;
    keepHead(exchange);
    return null;
  }
  const complete = scanChat(exchange.bodySize, exchange.api, needs.prompt, digest, shown);
  const field = chat.fields[RequestField.Model];
  if (field.count > 1 && !lastModelWins && exchange.api != Api.GeminiGenerate) return ambiguousModel;
  if (!complete) {
    exchange.trouble(Problem.Malformed, isText ? invalidJson : invalidUtf8);
    return null;
  }
  exchange.chat = chat;
  if (isDigested && digest !== null) {
    exchange.digest = digest;
    exchange.digestLow = digest.low;
    exchange.digestHigh = digest.high;
  }
  exchange.asksUsage = chat.flag(RequestField.IncludeUsage) == Flag.True;
  keepHead(exchange);
  if (exchange.api != Api.GeminiGenerate) {
    exchange.takeJsonModel(field, <i32>chat.firstMember, chat.hasMembers);
    exchange.streaming = chat.flag(RequestField.Stream) == Flag.True;
  }
  return null;
}

/** Reads a body that is known, which is one window, and UTF-8. */
@final
class KnownChat extends ChatSource {
  recordsPrompt: bool = false;

  read(exchange: Exchange): ChatRequest | null {
    const body = exchange.head;
    chat.recordsPrompt = this.recordsPrompt;
    chat.reset(exchange.api);
    return chat.feed(body.ptr, body.len) == ScanStatus.Complete ? chat : null;
  }
}

const knownChat = new KnownChat();

/** Whether the body is one JSON object in UTF-8. Leaves the last window in `window`. `shown`: the first one is there. */
function scanChat(size: i32, api: Api, needsPrompt: bool, digest: RequestDigest | null, shown: bool): bool {
  chat.recordsPrompt = needsPrompt;
  chat.reset(api);
  utf8.reset();
  if (digest !== null) digest.reset();
  isDigested = false;
  let status = ScanStatus.NeedMore;
  isText = true;
  const mark = scratch.mark();
  const step = needsPrompt && size <= WHOLE ? WHOLE : WINDOW;
  for (let at = 0; at < size && isText && goesOn(status); at += step) {
    if ((at > 0 || !shown) && !readWindow(at, size, mark, step)) break;
    isText = utf8.feed(window.ptr, window.len);
    status = chat.feed(window.ptr, window.len);
    if (digest !== null) isDigested = digest.feed(window.ptr, window.len) == ScanStatus.Complete;
  }
  isText = isText && utf8.complete;
  return isText && status == ScanStatus.Complete;
}

/** Behind a complete document white space may follow, so that is read too. */
function goesOn(status: ScanStatus): bool {
  return status == ScanStatus.NeedMore || status == ScanStatus.Complete;
}

/** A body of one window need not be read again. */
function keepHead(exchange: Exchange): void {
  if (exchange.bodySize <= WINDOW || window.len == exchange.bodySize) exchange.head.set(window.ptr, window.len);
}

function readForm(exchange: Exchange, contentType: Bytes): Refusal | null {
  if (!form.begin(contentType.ptr, contentType.len)) {
    exchange.trouble(Problem.Malformed, invalidForm);
    return null;
  }
  const size = exchange.bodySize;
  let status = ScanStatus.NeedMore;
  const mark = scratch.mark();
  for (let at = 0; at < size && goesOn(status); at += WINDOW) {
    if (!readWindow(at, size, mark)) break;
    status = form.feed(window.ptr, window.len);
  }
  if (form.count > 1) return ambiguousModel;
  if (status != ScanStatus.Complete) {
    exchange.trouble(Problem.Malformed, invalidForm);
    return null;
  }
  exchange.modelPlace = form.count == 1 ? ModelPlace.Form : ModelPlace.None;
  exchange.modelStart = <i32>form.start;
  exchange.modelEnd = <i32>form.end;
  keepHead(exchange);
  if (form.count == 1) exchange.setModel(form.value, form.length, form.truncated || form.malformed);
  exchange.streaming = form.stream == Flag.True;
  return null;
}

/** A form behind a comma: the header was sent twice, and whoever takes the other one reads another model. */
function namesFormLater(contentType: Bytes): bool {
  for (let at = contentType.indexOf(0x2c) + 1; at > 0; at = contentType.indexOf(0x2c, at) + 1) {
    while (at < contentType.len && contentType.at(at) == 0x20) at++;
    if (formAt(contentType, at)) return true;
  }
  return false;
}

/** Whether `multipart/form-data`, with any parameters, stands there. */
function formAt(contentType: Bytes, at: i32): bool {
  if (contentType.len - at < MULTIPART.len) return false;
  head.set(contentType.ptr + <usize>at, MULTIPART.len);
  return head.equalsIgnoreCase(MULTIPART);
}
