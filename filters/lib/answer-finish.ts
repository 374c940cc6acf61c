/** The words with which the APIs say why an answer ends, and what each of them means for keeping it. */
import { meaningOf } from "./answer-words";

export const enum AnswerFinish {
  /** Not known, so not to be trusted: some servers say like this that they gave up. */
  Other = 0,
  /** It goes on, or somebody else has to go on with it. */
  Open = 1,
  /** The model came to its end, a stop sequence or a call of a tool. */
  Stop = 2,
  /** The limit on tokens that the request asked for, or the model's. */
  Length = 3,
  /** A filter or a refusal. */
  Filtered = 4,
  Failed = 5,
  /** A status whose reason stands elsewhere. */
  Incomplete = 6,
}

/**
 * One list for all APIs: gateways pass on words of other APIs, and none means two things.
 *
 * Sources: OpenAI API reference (chat completions, completions, responses), Anthropic messages, Gemini `FinishReason`; `eos`, `eos_token`: Together and
 * text-generation-inference; `model_length`: Mistral; a reason behind `content_filter`: gateways in front of Gemini.
 */
const WORDS: string =
  "2stop 2tool_calls 2function_call 2completed 2end_turn 2stop_sequence 2tool_use 2STOP 2eos 2eos_token " +
  "3length 3max_output_tokens 3max_tokens 3model_context_window_exceeded 3MAX_TOKENS 3model_length " +
  "4content_filter* 4refusal 4SAFETY 4RECITATION 4BLOCKLIST 4PROHIBITED_CONTENT 4SPII 4IMAGE_* " +
  "5error 5failed 6incomplete 1in_progress 1queued 1cancelled 1pause_turn 1FINISH_REASON_UNSPECIFIED ";

/** Meaning of `finish_reason`, `stop_reason`, `finishReason`, `status` or the reason of `incomplete_details`, `length` bytes at `at`. */
export function finishOf(at: usize, length: i32): AnswerFinish {
  return length == 0 ? AnswerFinish.Open : <AnswerFinish>meaningOf(WORDS, at, length);
}
