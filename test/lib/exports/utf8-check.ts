/** Exports of filters/lib/utf8-check for its tests on Node. */
import "../../../filters/sdk/abort";
import { Utf8Check } from "../../../filters/lib/utf8-check";

const check = new Utf8Check();
let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size);
  return input;
}

export function reset(): void {
  check.reset();
}

export function feed(at: usize, length: i32): bool {
  return check.feed(at, length);
}

export function feedScalar(at: usize, length: i32): bool {
  return check.feedScalar(at, length);
}

export function complete(): bool {
  return check.complete;
}
