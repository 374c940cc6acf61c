/**
 * Learns how many bytes of an answer are one token, to tell the tokens of an answer that broke off before it reported them.
 *
 * By API and by whether the answer is a stream, because the wrapping of events is most of a stream: an average with a share of 1/16 for each new answer.
 * All memory is reserved by the constructor. O(1).
 */
import { Api } from "./llm-api";

const APIS: i32 = 16;
/** Before any answer. OpenAI's events take about 250 bytes a token, whole answers about 5; fewer bytes make more tokens. */
const STREAM: f64 = 200;
const WHOLE: f64 = 4;
const SHARE: f64 = 1.0 / 16;
const LEAST: f64 = 1;
const MOST: f64 = 4096;
/** Answers of fewer tokens are mostly wrapping. */
const LEAST_TOKENS: i64 = 8;

@final
export class AnswerSize {
  private readonly ratios: StaticArray<f64> = new StaticArray<f64>(2 * APIS);

  constructor() {
    for (let i = 0; i < 2 * APIS; i++) this.ratios[i] = (i & 1) == 1 ? STREAM : WHOLE;
  }

  /** Takes in a complete answer. */
  learn(api: Api, stream: bool, bytes: i64, tokens: i64): void {
    if (bytes <= 0 || tokens < LEAST_TOKENS) return;
    const at = index(api, stream);
    const ratio = unchecked(this.ratios[at]);
    const sample = min(max(<f64>bytes / <f64>tokens, LEAST), MOST);
    unchecked((this.ratios[at] = ratio + (sample - ratio) * SHARE));
  }

  /** Whole tokens in `bytes` of an answer; at least 0. */
  tokens(api: Api, stream: bool, bytes: i64): i64 {
    return bytes <= 0 ? 0 : <i64>(<f64>bytes / unchecked(this.ratios[index(api, stream)]));
  }
}

@inline
function index(api: Api, stream: bool): i32 {
  return ((<i32>api & (APIS - 1)) << 1) | (stream ? 1 : 0);
}
