/** Exports of filters/lib/transcode for its tests on Node. */
import "../../../filters/sdk/abort";
import { Transcoder } from "../../../filters/lib/transcode/transcoder";

const transcoder = new Transcoder();
let input: usize = 0;
let room: i32 = 0;

/** Where the input goes; what stands around it looks like more of it. */
export function allocate(size: i32): usize {
  if (size > room) {
    if (input != 0) heap.free(input);
    input = heap.alloc(size + 128);
    room = size;
  }
  memory.fill(input, 0x22, 64);
  memory.fill(input + 64 + size, 0x22, 64);
  return input + 64;
}

export function toStream(api: i32, from: usize, length: i32, usage: bool, limit: i32): bool {
  return transcoder.toStream(api, from, length, usage, limit);
}

export function toDocument(api: i32, from: usize, length: i32, inputTokens: f64, outputTokens: f64, limit: i32): bool {
  return transcoder.toDocument(api, from, length, <i64>inputTokens, <i64>outputTokens, limit);
}

export function text(): usize {
  return transcoder.ptr;
}

export function size(): i32 {
  return transcoder.length;
}

export function release(): void {
  transcoder.release();
}

export function pages(): i32 {
  return memory.size();
}
