/** Exports of filters/lib/answer-check for its tests on Node. */
import "../../../filters/sdk/abort";
import { AnswerCheck, AnswerForm, answerChecks } from "../../../filters/lib/answer-check";

let check: AnswerCheck = answerChecks.take();
let input: usize = 0;
/** Pieces stand here alone: who reads beyond one does not find the next. */
const PIECE: i32 = 65536;
const piece: usize = heap.alloc(PIECE + 128);

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

export function begin(api: i32, form: i32, allowLength: bool): bool {
  check.allowLength = allowLength;
  return check.begin(api, <AnswerForm>form);
}

/** Returns the verdict if the answer ended here. */
export function feed(at: usize, length: i32): i32 {
  if (length <= PIECE) {
    memory.fill(piece, 0x0a, 64);
    memory.fill(piece + 64 + length, 0x0a, 64);
    memory.copy(piece + 64, at, length);
    at = piece + 64;
  }
  check.feed(at, length);
  memory.fill(piece, 0xdd, min(length, PIECE) + 128);
  return check.end();
}

/** In pieces of `step` bytes where they are; the verdict behind each of them goes to `verdicts`, if that is not 0. */
export function feedAll(at: usize, length: i32, step: i32, verdicts: usize): i32 {
  for (let i = 0; i < length; i += step) {
    check.feed(at + i, min(step, length - i));
    if (verdicts != 0) store<u8>(verdicts++, <u8>check.end());
  }
  return check.end();
}

export function end(): i32 {
  return check.end();
}

export function hopeless(): bool {
  return check.hopeless;
}

/** The same bytes again, as long as the caller likes, for benchmarks. */
export function repeat(at: usize, length: i32, step: i32, api: i32, form: i32, times: i32): i32 {
  let sum = 0;
  for (let i = 0; i < times; i++) {
    check.begin(api, <AnswerForm>form);
    sum += feedAll(at, length, step, 0);
  }
  return sum;
}

/** From here on another object is tested, one that may have seen answers before. */
export function exchange(): void {
  const other = answerChecks.take();
  answerChecks.release(check);
  check = other;
}

export function pages(): i32 {
  return memory.size();
}
