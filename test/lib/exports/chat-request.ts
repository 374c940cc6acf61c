/** Exports of filters/lib/chat-request for its tests on Node: memory in, numbers out. */
import "../../../filters/sdk/abort";
import { ChatRequest } from "../../../filters/lib/chat-request";
import { jsonNumber } from "../../../filters/lib/json-number";
import { JsonField } from "../../../filters/lib/json-scanner";
import { Span, SpanList } from "../../../filters/lib/span-list";

const request = new ChatRequest();
let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

export function reset(api: i32): void {
  request.reset(api);
}

export function maxBytes(value: u32): void {
  request.maxBytes = value;
}

export function feed(at: usize, length: i32): i32 {
  return request.feed(at, length);
}

/** `feed` in pieces of `step` bytes, in one call: for the splits of the tests. */
export function feedPieces(at: usize, length: i32, step: i32): i32 {
  let status = request.feed(at, 0);
  for (let i = 0; i < length; i += step) status = request.feed(at + i, min(step, length - i));
  return status;
}

export function consumed(): u32 {
  return request.consumed;
}

export function firstMember(): u32 {
  return request.firstMember;
}

export function kind(index: i32): i32 {
  return fieldOf(index).kind;
}

export function count(index: i32): i32 {
  return fieldOf(index).count;
}

export function start(index: i32): u32 {
  return fieldOf(index).start;
}

export function end(index: i32): u32 {
  return fieldOf(index).end;
}

export function value(index: i32): usize {
  return fieldOf(index).value;
}

export function length(index: i32): i32 {
  return fieldOf(index).length;
}

/** 1 truncated, 2 malformed. */
export function defects(index: i32): i32 {
  return (fieldOf(index).truncated ? 1 : 0) | (fieldOf(index).malformed ? 2 : 0);
}

export function streamOptionsEmpty(): bool {
  return request.streamOptionsEmpty;
}

export function number(index: i32): f64 {
  return request.number(index);
}

export function flag(index: i32): i32 {
  return request.flag(index);
}

export function tools(): u32 {
  return request.hasTools ? request.tools + request.functions : 0;
}

export function images(): u32 {
  return request.images;
}

export function promptBytes(): u32 {
  return request.promptBytes;
}

/** Lists: 0 messages, 1 text of the last user message. */
export function spans(list: i32): u32 {
  return listOf(list).count;
}

let span: Span | null = null;

/** Selects span `index` for the functions below; false when it was not kept. */
export function select(list: i32, index: u32): bool {
  span = listOf(list).get(index);
  return span !== null;
}

export function spanStart(): u32 {
  return span!.start;
}

export function spanEnd(): u32 {
  return span!.end;
}

export function spanRole(): i32 {
  return span!.role;
}

export function spanText(): u32 {
  return span!.textBytes;
}

export function parseNumber(at: usize, length: i32): f64 {
  return jsonNumber(at, length);
}

/** The yardstick: the same bytes as an AssemblyScript string, its length in code units. */
export function decode(at: usize, length: i32): i32 {
  return String.UTF8.decodeUnsafe(at, length).length;
}

export function collect(): void {
  __collect();
}

/** Behind the fields: `stream_options`. */
function fieldOf(index: i32): JsonField {
  return index < request.fields.length ? request.fields[index] : request.streamOptions;
}

function listOf(list: i32): SpanList {
  return list == 0 ? request.messages : request.userText;
}
