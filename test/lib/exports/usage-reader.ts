/** Exports of filters/lib/usage-reader for its tests on Node. */
import "../../../filters/sdk/abort";
import { UsageReader } from "../../../filters/lib/usage-reader";

const reader = new UsageReader();
let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

export function reset(): void {
  reader.reset();
}

export function feed(at: usize, length: i32): void {
  reader.feed(at, length);
}

export function inputTokens(): f64 {
  return <f64>reader.input;
}

export function outputTokens(): f64 {
  return <f64>reader.output;
}

export function cachedTokens(): f64 {
  return <f64>reader.cached;
}

export function reasoningTokens(): f64 {
  return <f64>reader.reasoning;
}
