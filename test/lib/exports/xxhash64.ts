/** Exports of filters/lib/xxhash64 for its tests on Node. */
import "../../../filters/sdk/abort";
import { XxHash64, xxhash64 } from "../../../filters/lib/xxhash64";

const states = [new XxHash64(), new XxHash64()];
let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

export function oneShot(at: usize, length: i32, seed: u64): u64 {
  return xxhash64(at, length, seed);
}

export function reset(state: i32, seed: u64): void {
  states[state].reset(seed);
}

export function update(state: i32, at: usize, length: i32): void {
  states[state].update(at, length);
}

export function digest(state: i32): u64 {
  return states[state].digest();
}
