/** Exports of filters/lib/http1-chunk for its tests on Node. */
import "../../../filters/sdk/abort";
import { isChunkEndingWith } from "../../../filters/lib/http1-chunk";

let memory: usize = 0;

export function allocate(size: i32): usize {
  if (memory != 0) heap.free(memory);
  memory = heap.alloc(size);
  return memory;
}

export function endsWith(ptr: usize, length: i32, text: usize, size: i32): bool {
  return isChunkEndingWith(ptr, length, text, size);
}
