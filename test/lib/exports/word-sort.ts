/** Exports of filters/lib/word-sort for its tests on Node. */
import "../../../filters/sdk/abort";
import { sortWords } from "../../../filters/lib/word-sort";

export function allocate(size: i32): usize {
  return heap.alloc(size);
}

export function sort(at: usize, count: i32): void {
  sortWords(at, count);
}
