/** Exports of filters/lib/line-end for its tests on Node. */
import "../../../filters/sdk/abort";
import { lineEnd, lineEndScalar } from "../../../filters/lib/line-end";

export function allocate(size: i32): usize {
  return heap.alloc(size);
}

export function simd(at: usize, to: usize): usize {
  return lineEnd(at, to);
}

export function scalar(at: usize, to: usize): usize {
  return lineEndScalar(at, to);
}
