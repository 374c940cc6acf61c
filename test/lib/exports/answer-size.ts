/** Exports of filters/lib/answer-size for its tests on Node. */
import "../../../filters/sdk/abort";
import { AnswerSize } from "../../../filters/lib/answer-size";
import { Api } from "../../../filters/lib/llm-api";

let sizes = new AnswerSize();

export function reset(): void {
  sizes = new AnswerSize();
}

export function learn(api: Api, stream: bool, bytes: i64, tokens: i64): void {
  sizes.learn(api, stream, bytes, tokens);
}

export function tokens(api: Api, stream: bool, bytes: i64): i64 {
  return sizes.tokens(api, stream, bytes);
}
