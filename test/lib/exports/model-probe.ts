/** Exports of filters/lib/model-probe for its tests on Node. */
import "../../../filters/sdk/abort";
import { CANDIDATE_REACH, nextModelCandidate } from "../../../filters/lib/model-probe";

let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size);
  return input;
}

export function reach(): i32 {
  return CANDIDATE_REACH;
}

export function next(at: usize, last: usize): usize {
  return nextModelCandidate(at, last);
}
