/** Exports of filters/lib/stream-ending for its tests on Node. */
import "../../../filters/sdk/abort";
import { StreamEnding } from "../../../filters/lib/stream-ending";

const ending = new StreamEnding();
const other = new StreamEnding();
let input: usize = 0;
/** Pieces stand here alone: who reads beyond one does not find the next. */
const PIECE: i32 = 65536;
const piece: usize = heap.alloc(PIECE + 128);

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

export function begin(api: i32, array: bool): bool {
  return ending.begin(api, array);
}

/** Returns `cut`. */
export function feed(at: usize, length: i32): i32 {
  if (length <= PIECE) {
    memory.fill(piece, 0x0a, 64);
    memory.fill(piece + 64 + length, 0x0a, 64);
    memory.copy(piece + 64, at, length);
    at = piece + 64;
  }
  ending.feed(at, length);
  memory.fill(piece, 0xdd, min(length, PIECE) + 128);
  return ending.cut;
}

/** For benchmarks: in pieces of `step` bytes where they are. */
export function feedAll(at: usize, length: i32, step: i32): void {
  for (let i = 0; i < length; i += step) ending.feed(at + i, min(step, length - i));
}

export function openBytes(): u32 {
  return ending.openBytes;
}

export function over(): bool {
  return ending.over;
}

export function end(usage: bool, inputTokens: f64, outputTokens: f64): i32 {
  ending.end(usage, <i64>inputTokens, <i64>outputTokens);
  return ending.length;
}

export function text(): usize {
  return ending.ptr;
}

/** Another stream, so that a test sees whether the two mix. */
export function otherBegin(api: i32, array: bool): bool {
  return other.begin(api, array);
}

export function otherFeed(at: usize, length: i32): void {
  other.feed(at, length);
}

export function pages(): i32 {
  return memory.size();
}
