/** The types of events in streams of OpenAI's responses and Anthropic's messages, as far as it depends on them whether an answer is whole. */
import { meaningOf } from "./answer-words";

export const enum AnswerEvent {
  /** One without meaning here; the APIs may add more. */
  Other = 0,
  /** `message_start`, `response.created`. */
  Begin = 1,
  /** `message_stop`, `response.completed`, `response.incomplete`. */
  End = 2,
  Failed = 3,
  Refusal = 4,
  Ping = 5,
  BlockStart = 6,
  BlockDelta = 7,
  BlockStop = 8,
  /** `message_delta`. */
  Delta = 9,
  /** No type, or none that is a string. */
  None = 10,
}

const MESSAGES: string =
  "7content_block_delta 6content_block_start 8content_block_stop 5ping 1message_start 9message_delta 2message_stop 3error ";
const RESPONSES: string =
  "1response.created 2response.completed 2response.incomplete 3response.failed 3error 4response.refusal.* ";

/** Meaning of the `type` of an event, `length` bytes at `at`, of Anthropic's messages or of OpenAI's responses. */
export function eventOf(messages: bool, at: usize, length: i32): AnswerEvent {
  return length == 0 ? AnswerEvent.None : <AnswerEvent>meaningOf(messages ? MESSAGES : RESPONSES, at, length);
}
