/**
 * What the events of a streamed answer have said so far, one after the other: whether the stream has begun, which parts are open, whether it is over.
 *
 * The data of an event counts when the event is complete. One that says the same as the last one that changed nothing is passed by (`event-shape`), which nearly all are.
 * A document that is the whole answer is read here, too, as its only event. O(bytes), no allocation, never throws.
 */
import { AnswerDocument } from "./answer-document";
import { AnswerEvent } from "./answer-event";
import { AnswerVerdict } from "./answer-verdict";
import { EventShape, MAX_SHAPE } from "./event-shape";
import { Api } from "./llm-api";

/** `[DONE]`, which is no JSON. */
const DONE: StaticArray<u8> = [0x5b, 0x44, 0x4f, 0x4e, 0x45, 0x5d];

@final
export class AnswerFacts {
  readonly document: AnswerDocument = new AnswerDocument();

  private api: Api = Api.Other;
  private whole: bool = true;
  /** An event has begun the stream, one has ended it, `[DONE]` was there, the reason for the end is given. */
  private begun: bool = false;
  private over: bool = false;
  private done: bool = false;
  private reason: bool = false;

  /** No byte of the open event has come. */
  private fresh: bool = true;
  /** Bytes of `[DONE]` so far, -1 when it is something else. */
  private doneLength: i32 = -1;
  /** The last event that changed nothing. */
  private readonly shape: EventShape = new EventShape();
  /** The open event is like it. */
  private repeats: bool = false;
  /** What was known before the open event. */
  private before: u32 = 0;

  /** Ready for another answer: one document, or a stream of them. */
  reset(api: Api, whole: bool): void {
    this.api = api;
    this.whole = whole;
    this.document.reset(api, whole);
    this.begun = false;
    this.over = false;
    this.done = false;
    this.reason = false;
    this.repeats = false;
    this.shape.clear();
    this.open();
  }

  /** The stream has had its last event, `[DONE]` aside. */
  get ended(): bool {
    return this.over;
  }

  /** All data of an event: what `data` does with it, and faster for one like the one before. */
  event(from: usize, length: i32): void {
    // A second line of data: the event is lost already.
    if (!this.fresh || this.repeats) return;
    this.repeats = this.shape.matches(from, length);
    if (this.repeats) return;
    const describes = length <= MAX_SHAPE;
    if (describes) {
      this.shape.clear();
      this.document.describe(this.shape);
    }
    this.data(from, length);
    if (describes && this.document.valid) this.shape.keep(from, length);
  }

  /** The open event, or the document, goes on with [from, from + length). */
  data(from: usize, length: i32): void {
    if (length <= 0) return;
    if (this.fresh) {
      this.fresh = false;
      if (!this.whole && load<u8>(from) == 0x5b) this.doneLength = 0;
    }
    if (this.doneLength >= 0) this.matchDone(from, length);
    else this.document.data(from, length);
  }

  /** The document is complete: what it said counts, and another may begin. */
  commit(): void {
    if (this.repeats) {
      this.repeats = false;
      return;
    }
    if (this.doneLength >= 0) this.commitDone();
    else if (!this.document.valid || this.over) this.document.raise(AnswerVerdict.Unknown);
    else if (this.api == Api.AnthropicMessages) this.commitMessages();
    else if (this.api == Api.Responses) this.commitResponses();
    else if (!this.document.hasParts && !this.document.counted) this.document.raise(AnswerVerdict.Unknown);
    if (this.state != this.before) this.shape.clear();
    this.open();
  }

  /** All that one event can change for others, and how often parts have changed. */
  private get state(): u32 {
    const document = this.document;
    const flags = <u32>this.begun | (<u32>this.over << 1) | (<u32>this.done << 2) | (<u32>this.reason << 3);
    return (document.parts.changes << 8) | (<u32>document.found << 4) | flags;
  }

  /** Whether what was said so far is all that belongs to an answer. For a stream. */
  get complete(): bool {
    const parts = this.document.parts;
    switch (this.api) {
      case Api.AnthropicMessages:
        return this.over && this.reason && parts.finished;
      case Api.Responses:
        return this.over && this.reason;
      case Api.GeminiGenerate:
        return !parts.empty && parts.finished;
      default:
        return this.done && !parts.empty && parts.finished;
    }
  }

  private open(): void {
    this.document.open();
    this.fresh = true;
    this.doneLength = -1;
    this.before = this.state;
  }

  /** Spaces may follow. */
  private matchDone(from: usize, length: i32): void {
    for (let i = 0; i < length; i++) {
      const byte = load<u8>(from + <usize>i);
      if (this.doneLength < DONE.length ? byte == unchecked(DONE[this.doneLength++]) : byte == 0x20) continue;
      this.document.raise(AnswerVerdict.Unknown);
      return;
    }
  }

  private commitDone(): void {
    const named = this.api == Api.AnthropicMessages || this.api == Api.Responses;
    // Some servers write it behind the terminal event of the APIs that have one.
    if (this.doneLength < DONE.length || this.done || (named && !this.over)) this.document.raise(AnswerVerdict.Unknown);
    this.done = true;
    this.over = true;
  }

  private commitMessages(): void {
    const type = this.document.type;
    if (type == AnswerEvent.Ping) return;
    // One beginning, and before everything else.
    if (type == AnswerEvent.None || this.begun == (type == AnswerEvent.Begin)) {
      this.document.raise(AnswerVerdict.Unknown);
      return;
    }
    this.begun = true;
    if (type == AnswerEvent.Delta) {
      this.reason = this.document.ends;
    } else if (type == AnswerEvent.End) {
      this.over = true;
    } else if (type == AnswerEvent.BlockStart || type == AnswerEvent.BlockDelta || type == AnswerEvent.BlockStop) {
      const parts = this.document.parts;
      const index = this.document.index;
      const starts = type == AnswerEvent.BlockStart;
      if (index < 0 || starts == parts.hasBegun(index) || parts.hasFinished(index)) this.document.raise(AnswerVerdict.Unknown);
      else if (starts) parts.begin(index);
      else if (type == AnswerEvent.BlockStop) parts.finish(index);
    }
  }

  private commitResponses(): void {
    const type = this.document.type;
    if (type == AnswerEvent.None || this.begun == (type == AnswerEvent.Begin)) {
      this.document.raise(AnswerVerdict.Unknown);
      return;
    }
    this.begun = true;
    if (type != AnswerEvent.End) return;
    this.over = true;
    this.reason = this.document.hasEnded;
  }
}
