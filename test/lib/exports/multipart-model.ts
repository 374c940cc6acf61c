/** Exports of filters/lib/multipart-model for its tests on Node. */
import "../../../filters/sdk/abort";
import { MultipartModel } from "../../../filters/lib/multipart-model";

const form = new MultipartModel();
let input: usize = 0;
const piece: usize = heap.alloc(256);

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

export function begin(at: usize, length: i32): bool {
  return form.begin(at, length);
}

export function feed(at: usize, length: i32): i32 {
  return form.feed(at, length);
}

/** `feed` in pieces of `step` bytes, at most 128, each alone in memory: a reader that goes beyond its piece does not find the next one there. */
export function feedPieces(at: usize, length: i32, step: i32): i32 {
  let status = form.feed(at, 0);
  for (let i = 0; i < length; i += step) {
    const size = min(step, length - i);
    memory.fill(piece, 0x0d, 256);
    memory.copy(piece + 64, at + i, size);
    status = form.feed(piece + 64, size);
  }
  return status;
}

export function consumed(): u32 {
  return form.consumed;
}

export function count(): i32 {
  return form.count;
}

export function start(): u32 {
  return form.start;
}

export function end(): u32 {
  return form.end;
}

export function value(): usize {
  return form.value;
}

export function length(): i32 {
  return form.length;
}

/** 1 truncated, 2 malformed. */
export function defects(): i32 {
  return (form.truncated ? 1 : 0) | (form.malformed ? 2 : 0);
}

export function stream(): i32 {
  return form.stream;
}

/** The yardstick: every byte looked at once. */
export function sum(at: usize, length: i32): u32 {
  let total: u32 = 0;
  for (let i = 0; i < length; i++) total += load<u8>(at + <usize>i);
  return total;
}
