/** Exports of filters/lib/http2-frames for its tests on Node. */
import "../../../filters/sdk/abort";
import { Http2Text } from "../../../filters/lib/http2-frames";

const frames = new Http2Text();
let memory: usize = 0;

export function allocate(size: i32): usize {
  if (memory != 0) heap.free(memory);
  memory = heap.alloc(size);
  return memory;
}

export function begin(text: usize, size: i32): void {
  frames.begin(text, size);
}

/** 0: not so far, 1: found, 2: lost. */
export function read(ptr: usize, length: i32): i32 {
  return frames.read(ptr, length);
}

export function stream(): u32 {
  return frames.stream;
}
