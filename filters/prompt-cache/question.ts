/**
 * What a request asks in words, apart from all else that it says: answers to questions alike are looked for only among requests that differ in nothing but these words.
 *
 * The words are the one text of the last message, if that is the user's. The rest is a digest of the body with a marker in their place. A text that is the marker shares
 * its partition with all others, and still has a text of its own.
 */
import { ChatRequest } from "../lib/chat-request";
import { JsonText, TextStatus } from "../lib/json-text";
import { ScanStatus } from "../lib/json-scanner";
import { Api } from "../lib/llm-api";
import { Role } from "../lib/message-role";
import { RequestDigest } from "../lib/request-digest";
import { WINDOW } from "../pipeline/body-scan";
import { Exchange } from "../pipeline/exchange";
import { Bytes } from "../sdk";
import { Question } from "./service-messages";

/** Longest text that is looked for by similarity, in bytes. */
export const MOST_TEXT: i32 = 8192;

const MARKER = Bytes.literal('"\\u0000tokenmesh"');
/** What a text may be over while an escape is being decoded. */
const SLACK: i32 = 8;

const decoder = new JsonText();
const text: usize = heap.alloc(MOST_TEXT + SLACK);

const free: Question[] = [];

/** Pooled: as many as were ever asked at once. Words take memory only while they are needed. */
export namespace questions {
  export function take(): Question {
    return free.length > 0 ? free.pop() : new Question();
  }

  export function release(question: Question): void {
    question.words.release();
    free.push(question);
  }
}

/** What `read` found. */
export namespace question {
  /** Borrowed until the next request is read. */
  export const words: Bytes = new Bytes();
  /** Digest of all else in the body. */
  export let low: u64 = 0;
  export let high: u64 = 0;

  /** False when there is no such text, or the body is larger than one window. `digest` is used anew. While `exchange.chat` is there. O(body). */
  export function read(exchange: Exchange, chat: ChatRequest, digest: RequestDigest): bool {
    const body = exchange.head;
    if (exchange.api == Api.Embeddings || body.len != exchange.bodySize || body.len > WINDOW || chat.userText.count != 1) return false;
    const words = chat.userText.get(0);
    const last = chat.messages.get(chat.messages.count - 1);
    if (words === null || last === null || words.start < last.start || words.end > last.end) return false;
    if (last.role != Role.User && last.role != Role.Absent) return false;
    const start = <i32>words.start;
    const end = <i32>words.end;
    if (end > body.len || !decode(body.ptr + <usize>start + 1, body.ptr + <usize>end)) return false;
    digest.reset();
    digest.feed(body.ptr, start);
    digest.feed(MARKER.ptr, MARKER.len);
    if (digest.feed(body.ptr + <usize>end, body.len - end) != ScanStatus.Complete) return false;
    low = digest.low;
    high = digest.high;
    return true;
  }

  /** [at, end) is the inside of a JSON string and its closing quote. */
  function decode(at: usize, end: usize): bool {
    decoder.begin(text, MOST_TEXT);
    let status = TextStatus.More;
    while (at < end && status == TextStatus.More && !decoder.truncated) status = decoder.push(load<u8>(at++));
    if (status != TextStatus.Closed || decoder.truncated || decoder.malformed || decoder.length == 0) return false;
    words.set(text, decoder.length);
    return true;
  }
}
