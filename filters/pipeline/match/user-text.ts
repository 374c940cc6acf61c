/** Runs a pattern over the text of the last user message, which lies in the held body as raw JSON strings. */
import { ChatRequest } from "../../lib/chat-request";
import { JsonText, TextStatus } from "../../lib/json-text";
import { Pattern } from "../../lib/pattern";
import { WINDOW } from "../body-scan";
import { Exchange } from "../exchange";
import { buffer, BufferType, Bytes, scratch, Status } from "../../sdk";

const PIECE: i32 = 4096;

/**
 * Steps of the pattern's automaton that one request may cost beyond the remembered ones, each a few nanoseconds. Ordinary patterns need hundreds for a
 * text of any length; one with a large count on a text made for it would hold up the worker for seconds.
 */
const MAX_WORK: u64 = 10_000_000;
let budget: u64 = 0;

const piece: usize = heap.alloc(PIECE);
const decoder = new JsonText();
const view = new Bytes();
const LINE_FEED: StaticArray<u8> = [0x0a];

/**
 * Whether `pattern` matches. Text parts are joined by a line feed; of a message with more than eight of them the first and the last four are
 * looked at. A text that takes too much work does not match. O(text), no allocation.
 */
export function userTextMatches(exchange: Exchange, chat: ChatRequest, pattern: Pattern): bool {
  const texts = chat.userText;
  if (texts.count == 0) return false;
  pattern.reset();
  budget = pattern.automaton.work + MAX_WORK;
  let first = true;
  for (let i: u32 = 0; i < texts.count; i++) {
    const span = texts.get(i);
    if (span === null) continue;
    if (!first && pattern.feed(changetype<usize>(LINE_FEED), 1)) return true;
    first = false;
    // Without the opening quote; the closing one ends half a surrogate pair.
    if (feed(exchange, <i32>span.start + 1, <i32>span.end, pattern)) return true;
  }
  return pattern.automaton.work <= budget && pattern.finish();
}

/** Bytes [from, to) of the body are the inside of a JSON string and its closing quote. */
function feed(exchange: Exchange, from: i32, to: i32, pattern: Pattern): bool {
  decoder.begin(piece, PIECE);
  const mark = scratch.mark();
  let matched = false;
  for (let at = from; at < to && to <= exchange.bodySize && !matched; at += WINDOW) {
    scratch.rewind(mark);
    const length = min(WINDOW, to - at);
    if (!read(exchange, at, length)) break;
    for (let i = 0; i < length && !matched; i++) {
      // One escape decodes to four bytes at most, half a surrogate pair before it to three more.
      if (decoder.length > PIECE - 8) matched = flush(pattern);
      if (decoder.push(view.at(i)) != TextStatus.More) break;
    }
  }
  scratch.rewind(mark);
  return matched || flush(pattern);
}

/** Shows the bytes in `view`; a body of one window is still there from its scan. */
function read(exchange: Exchange, at: i32, length: i32): bool {
  const head = exchange.head;
  if (head.len == 0) return buffer.get(BufferType.HttpRequestBody, at, length, view) == Status.Ok && view.len == length;
  view.set(head.ptr + <usize>at, length);
  return at + length <= head.len;
}

function flush(pattern: Pattern): bool {
  const length = decoder.length;
  decoder.length = 0;
  return pattern.automaton.work <= budget && pattern.feed(piece, length);
}
