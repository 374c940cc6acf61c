/** Exports of filters/lib/rate-limit-answer for its tests on Node. */
import "../../../filters/sdk/abort";
import { RateLimitAnswer } from "../../../filters/lib/rate-limit-answer";

const answer = new RateLimitAnswer();

export function read(from: usize, length: i32): bool {
  return answer.read(from, length);
}

export function overallCode(): i32 {
  return answer.overallCode;
}

export function count(): i32 {
  return answer.count;
}

export function code(index: i32): i32 {
  return answer.status(index).code;
}

export function hasLimit(index: i32): bool {
  return answer.status(index).hasLimit;
}

export function requestsPerUnit(index: i32): u32 {
  return answer.status(index).requestsPerUnit;
}

export function unit(index: i32): i32 {
  return answer.status(index).unit;
}

export function remaining(index: i32): u32 {
  return answer.status(index).remaining;
}

export function resetMs(index: i32): i64 {
  return answer.status(index).resetMs;
}

/** Where the next object would be: moves when something is allocated. */
export function heapTop(): usize {
  const block = heap.alloc(16);
  heap.free(block);
  return block;
}
