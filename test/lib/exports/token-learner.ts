/** Exports of filters/lib/token-learner for its tests on Node. */
import "../../../filters/sdk/abort";
import { TokenLearner } from "../../../filters/lib/token-learner";

let learner: TokenLearner = new TokenLearner(0.25);
const name: usize = memory.data(512);

/** Where names are put, up to 512 bytes. */
export function nameAt(): usize {
  return name;
}

export function open(tokensPerByte: f64): void {
  learner = new TokenLearner(tokensPerByte);
}

export function collect(): void {
  __collect();
}

export function estimate(length: i32, promptBytes: u32, declared: i64): void {
  learner.estimate(name, length, promptBytes, declared);
}

export function prompt(): i32 {
  return learner.prompt;
}

export function completion(): i64 {
  return learner.completion;
}

export function learn(length: i32, promptBytes: u32, promptTokens: i64, completionTokens: i64): void {
  learner.learn(name, length, promptBytes, promptTokens, completionTokens);
}

/** Where the next object would be: moves when something is allocated. */
export function heapTop(): usize {
  const block = heap.alloc(16);
  heap.free(block);
  return block;
}
