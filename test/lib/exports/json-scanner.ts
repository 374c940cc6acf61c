/** Exports of filters/lib/json-scanner for its tests on Node: memory in, numbers out. */
import "../../../filters/sdk/abort";
import { JsonScanner } from "../../../filters/lib/json-scanner";
import { StringSkip } from "../../../filters/lib/string-end";

const KEYS: StaticArray<u8> = [109, 111, 100, 101, 108, 115, 116, 114, 101, 97, 109];
const scanner = new JsonScanner();
const model = scanner.want(changetype<usize>(KEYS), 5);
const streaming = scanner.want(changetype<usize>(KEYS) + 5, 6);
const fields = [model, streaming];
let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

export function reset(): void {
  scanner.reset();
}

export function feed(at: usize, length: i32): i32 {
  return scanner.feed(at, length);
}

export function resume(): void {
  scanner.resume();
}

export function consumed(): u32 {
  return scanner.consumed;
}

/** 0 model, 1 stream, -1 none. */
export function found(): i32 {
  const field = scanner.field;
  return field === null ? -1 : fields.indexOf(field);
}

export function kind(index: i32): i32 {
  return fields[index].kind;
}

export function count(index: i32): i32 {
  return fields[index].count;
}

export function start(index: i32): u32 {
  return fields[index].start;
}

export function end(index: i32): u32 {
  return fields[index].end;
}

export function value(index: i32): usize {
  return fields[index].value;
}

export function length(index: i32): i32 {
  return fields[index].length;
}

export function flags(index: i32): i32 {
  return (fields[index].truncated ? 1 : 0) | (fields[index].malformed ? 2 : 0);
}

const string = new StringSkip();

export function beginString(): void {
  string.begin();
}

/** Offset behind the closing quote, or `length`; by the vector way or by its scalar twin. */
export function skipString(at: usize, length: i32, vectors: bool): i32 {
  const end = at + <usize>length;
  return <i32>((vectors ? string.feed(at, end) : string.feedScalar(at, end)) - at);
}

export function stringClosed(): bool {
  return string.closed;
}
