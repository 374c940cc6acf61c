/** Exports of filters/lib/host-metadata for its tests on Node. */
import "../../../filters/sdk/abort";
import { findHostTarget, hostTarget } from "../../../filters/lib/host-metadata";

let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

export function find(at: usize, length: i32): bool {
  return findHostTarget(at, length);
}

export function ptr(): usize {
  return hostTarget.ptr;
}

export function length(): i32 {
  return hostTarget.length;
}
