/** Exports of filters/lib/usage-reader for its tests on Node. */
import "../../../filters/sdk/abort";
import { UsageReader } from "../../../filters/lib/usage-reader";

const reader = new UsageReader();
let input: usize = 0;
const piece: usize = heap.alloc(256);

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

/** Without an API as well: its callers may leave it out. */
export function reset(api: i32): void {
  if (api < 0) reader.reset();
  else reader.reset(api);
}

export function feed(at: usize, length: i32): void {
  reader.feed(at, length);
}

/** `feed` in pieces of `step` bytes, at most 128, each alone in memory: a reader that goes beyond its piece does not find the next one there. */
export function feedPieces(at: usize, length: i32, step: i32): void {
  for (let i = 0; i < length; i += step) {
    const size = min(step, length - i);
    memory.fill(piece, 0x0d, 256);
    memory.copy(piece + 64, at + i, size);
    reader.feed(piece + 64, size);
  }
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

export function cacheWriteTokens(): f64 {
  return <f64>reader.cacheWrite;
}

export function inputTotal(): f64 {
  return <f64>reader.inputTotal;
}

export function outputTotal(): f64 {
  return <f64>reader.outputTotal;
}

export function seen(): bool {
  return reader.seen;
}
