/**
 * What is done to an answer in pieces while it passes: usage is kept from a client that did not ask for it, when a stage did (include-usage.ts), and a stage
 * that watches the answer may slow it down or end it early (watched-answer.ts).
 *
 * Only a stream of events that can be read is looked into, or Gemini's array in pieces, from its headers on.
 */
import { Api } from "../lib/llm-api";
import { Bytes, headers, MapType } from "../sdk";
import { answerEdit } from "./answer-edit";
import { answerHead } from "./answer-head";
import { Exchange } from "./exchange";
import { usageFilters } from "./usage-filter";
import { watchedAnswers } from "./watched-answer";

const CONTENT_TYPE = Bytes.literal("content-type");
const CONTENT_LENGTH = Bytes.literal("content-length");
const CONTENT_ENCODING = Bytes.literal("content-encoding");
const IDENTITY = Bytes.literal("identity");
const EVENT_STREAM = Bytes.literal("text/event-stream");
const JSON = Bytes.literal("application/json");
const STATUS = Bytes.literal(":status");
const TRAILER = Bytes.literal("trailer");
const OK = Bytes.literal("200");

const type = new Bytes();

/** Looks at the headers of the answer: one hostcall, if nobody has read them yet, and one to remove its length. */
export function beginFiltering(exchange: Exchange): void {
  endFiltering(exchange);
  const pairs = answerHead.read();
  if (pairs === null) return;
  let events = false;
  let array = false;
  let sized = false;
  let ok = false;
  let trailers = false;
  while (pairs.next()) {
    const name = pairs.name;
    if (name.equals(CONTENT_TYPE)) {
      events = isType(pairs.value, EVENT_STREAM);
      array = exchange.api == Api.GeminiGenerate && isType(pairs.value, JSON);
    } else if (name.equals(STATUS)) ok = pairs.value.equals(OK);
    else if (name.equals(CONTENT_LENGTH)) sized = true;
    else if (name.equals(TRAILER)) trailers = true;
    else if (name.equals(CONTENT_ENCODING) && !pairs.value.equalsIgnoreCase(IDENTITY)) return;
  }
  if (events && exchange.usageAdded) exchange.usageFilter = usageFilters.take();
  if ((events || array) && ok && exchange.watched && exchange.streaming) exchange.answer = watchedAnswers.take(exchange, array, trailers);
  if (sized && (exchange.usageFilter !== null || exchange.answer !== null)) headers.remove(MapType.HttpResponseHeaders, CONTENT_LENGTH);
}

/**
 * `window` is [at, at + length) of the `size` bytes that a callback shows: passes on what is the client's of it. False when the filter gave up: then everything
 * passes from here on.
 */
export function passWindow(exchange: Exchange, window: Bytes, at: i32, length: i32, size: i32, last: bool): bool {
  const filter = exchange.usageFilter;
  const answer = exchange.answer;
  const tap = exchange.tap;
  if (filter === null) {
    const safe = answer !== null ? answer.pass(window) : window.len;
    if (tap !== null) tap.pass(window, safe);
    answerEdit.keep(length, window);
    return true;
  }
  const differs = filter.feed(window.ptr, window.len, last);
  const passes = differs ? filter.out.view() : window;
  const safe = answer !== null ? answer.pass(passes) : passes.len;
  if (tap !== null) tap.pass(passes, safe);
  const written = differs ? answerEdit.replace(at, length, size, filter.out.view()) : answerEdit.keep(length, window);
  const gaveUp = filter.gaveUp;
  if (gaveUp || !written) endUsageFilter(exchange);
  return !gaveUp;
}

/** Gives back what was needed. */
export function endFiltering(exchange: Exchange): void {
  endUsageFilter(exchange);
  const answer = exchange.answer;
  if (answer !== null) watchedAnswers.release(answer);
  exchange.answer = null;
}

function endUsageFilter(exchange: Exchange): void {
  const filter = exchange.usageFilter;
  if (filter !== null) usageFilters.release(filter);
  exchange.usageFilter = null;
}

/** With or without parameters. */
function isType(value: Bytes, wanted: Bytes): bool {
  const size = wanted.len;
  if (value.len < size || (value.len > size && value.at(size) != 0x3b && value.at(size) != 0x20)) return false;
  type.set(value.ptr, size);
  return type.equalsIgnoreCase(wanted);
}
