/**
 * One short scalar of an answer, read by `JsonWalker`: a reason for an end, a type, an index. It is looked at right behind its end; the next one takes its place.
 */
import { AnswerEvent, eventOf } from "./answer-event";
import { AnswerFinish, finishOf } from "./answer-finish";
import { MAX_ANSWER_PARTS } from "./answer-parts";
import { sameText } from "./json-capture";
import { JsonKind } from "./json-scanner";
import { JsonWalker } from "./json-walker";

/** Longest text that is compared; all that matter are shorter. */
const MAX_TEXT: i32 = 48;

@final
export class AnswerScalar {
  private readonly text: usize = heap.alloc(MAX_TEXT);

  constructor(private readonly walker: JsonWalker) {}

  /** Asks for the value that just began. */
  @inline
  capture(tag: i32): void {
    this.walker.capture(tag, this.text, MAX_TEXT);
  }

  /** It is `null`. */
  get isNull(): bool {
    return this.walker.kind == JsonKind.Literal && this.walker.text.length == 4 && sameText("null", this.text);
  }

  /** It is neither `null` nor an empty string. */
  get says(): bool {
    return this.walker.kind == JsonKind.String ? this.walker.text.length > 0 : !this.isNull;
  }

  /** It is the string `refusal`. */
  get isRefusal(): bool {
    return this.walker.kind == JsonKind.String && this.walker.text.length == 7 && sameText("refusal", this.text);
  }

  /** What it says of the end of the answer. */
  get finish(): AnswerFinish {
    const walker = this.walker;
    if (this.isNull) return AnswerFinish.Open;
    return walker.kind == JsonKind.String ? finishOf(this.text, walker.text.length) : AnswerFinish.Other;
  }

  /** As the type of an event of Anthropic's messages, or of OpenAI's responses. */
  event(messages: bool): AnswerEvent {
    return eventOf(messages, this.text, this.walker.kind == JsonKind.String ? this.walker.text.length : 0);
  }

  /** As a number from 0 to `MAX_ANSWER_PARTS` - 1, else -1. */
  get index(): i32 {
    const length = this.walker.text.length;
    if (this.walker.kind != JsonKind.Number || length == 0 || length > 3) return -1;
    let value = 0;
    for (let i = 0; i < length; i++) {
      const digit = load<u8>(this.text + <usize>i) - 48;
      if (digit > 9) return -1;
      value = value * 10 + <i32>digit;
    }
    return value < MAX_ANSWER_PARTS ? value : -1;
  }
}
