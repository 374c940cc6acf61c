/** What the headers of an answer say about keeping it. */
import { AnswerForm } from "../lib/answer-check";
import { Api } from "../lib/llm-api";
import { answerHead } from "../pipeline/answer-head";
import { Bytes } from "../sdk";

const CONTENT_TYPE = Bytes.literal("content-type");
const CONTENT_ENCODING = Bytes.literal("content-encoding");
const CACHE_CONTROL = Bytes.literal("cache-control");
const IDENTITY = Bytes.literal("identity");
const NO_STORE = Bytes.literal("no-store");
const EVENT_STREAM = Bytes.literal("text/event-stream");
const JSON = Bytes.literal("application/json");
const OK: i32 = 200;

export const enum Fitness {
  /** It may be kept if it ends well. */
  Fit = 0,
  /** The upstream could not do it; it may be asked again. */
  Failed = 1,
  /** It is only for who asked. */
  Private = 2,
}

const part = new Bytes();

/** What `judge` found of an answer that is fit. */
export namespace answerFitness {
  export let form: AnswerForm = AnswerForm.Document;
  /** Borrowed until the callback returns. */
  export const contentType: Bytes = new Bytes();

  /** Of an answer to a request for one in pieces, or not. One hostcall, if nobody has read the headers yet. */
  export function judge(api: Api, streaming: bool): Fitness {
    const head = answerHead.read();
    if (head === null) return Fitness.Private;
    let barred = false;
    contentType.clear();
    while (head.next()) {
      const name = head.name;
      if (name.equals(CONTENT_TYPE)) contentType.set(head.value.ptr, head.value.len);
      else if (name.equals(CONTENT_ENCODING)) barred = barred || !head.value.equalsIgnoreCase(IDENTITY);
      else if (name.equals(CACHE_CONTROL)) barred = barred || forbids(head.value);
    }
    const status = answerHead.status();
    if (status >= 500 || status == 429 || status == 408) return Fitness.Failed;
    return status == OK && !barred && hasForm(api, streaming) ? Fitness.Fit : Fitness.Private;
  }

  /** An answer in another form than the one that was asked for is nobody else's. */
  function hasForm(api: Api, streaming: bool): bool {
    if (isType(EVENT_STREAM)) form = AnswerForm.Events;
    else if (!isType(JSON)) return false;
    else form = streaming && api == Api.GeminiGenerate ? AnswerForm.Array : AnswerForm.Document;
    return streaming == (form != AnswerForm.Document);
  }

  /** With or without parameters. */
  function isType(wanted: Bytes): bool {
    const size = wanted.len;
    if (contentType.len < size || (contentType.len > size && contentType.at(size) != 0x3b && contentType.at(size) != 0x20)) return false;
    part.set(contentType.ptr, size);
    return part.equalsIgnoreCase(wanted);
  }
}

/** It says no-store. Model servers that say no-cache or private mean caches of browsers, and most of them do. */
function forbids(value: Bytes): bool {
  for (let at = 0; at + NO_STORE.len <= value.len; at++) {
    part.set(value.ptr + <usize>at, NO_STORE.len);
    if (part.equalsIgnoreCase(NO_STORE)) return true;
  }
  return false;
}
