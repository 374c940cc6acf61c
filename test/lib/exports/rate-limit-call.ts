/** Exports of filters/lib/rate-limit-call for its tests on Node. */
import "../../../filters/sdk/abort";
import { RateLimitCall } from "../../../filters/lib/rate-limit-call";

let call: RateLimitCall = new RateLimitCall();
let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

/** As in a new VM. */
export function open(): void {
  heap.free(call.ptr);
  call = new RateLimitCall();
}

export function begin(domain: usize, length: i32): void {
  call.begin(domain, length);
}

export function descriptor(): void {
  call.descriptor();
}

export function entry(key: usize, keyLength: i32, value: usize, valueLength: i32): void {
  call.entry(key, keyLength, value, valueLength);
}

export function limit(requestsPerUnit: u32, unit: i32): void {
  call.limit(requestsPerUnit, unit);
}

export function hits(units: u64, negative: bool): void {
  call.hits(units, negative);
}

export function end(): bool {
  return call.end();
}

export function overflow(): bool {
  return call.overflow;
}

export function ptr(): usize {
  return call.ptr;
}

export function length(): i32 {
  return call.length;
}

/** Where the next object would be: moves when something is allocated. */
export function heapTop(): usize {
  const block = heap.alloc(16);
  heap.free(block);
  return block;
}
