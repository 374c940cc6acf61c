/**
 * Reads one JSON object of an answer, the whole of it or the data of an event, for what matters to keeping the answer: reasons for its end, errors, filters.
 *
 * `JsonWalker` skips what is not asked for, which is nearly all of it. Whatever is there twice in the same place, is of another kind than the API's, or has no known
 * meaning makes the answer unknown: a reader behind this one might see it differently. O(bytes), no allocation, never throws.
 */
import { AnswerEvent } from "./answer-event";
import { AnswerFinish } from "./answer-finish";
import { answerMember, AnswerMember as Tag } from "./answer-member";
import { AnswerParts, MAX_ANSWER_PARTS } from "./answer-parts";
import { AnswerScalar } from "./answer-scalar";
import { AnswerVerdict } from "./answer-verdict";
import { EventShape } from "./event-shape";
import { JsonKind } from "./json-scanner";
import { JsonWalker } from "./json-walker";
import { Api } from "./llm-api";
import { WalkEvent } from "./walk-event";

/** Bits of the tags in a part; another part may have them again. */
const OF_PART: u32 =
  (1 << Tag.Index) | (1 << Tag.Finish) | (1 << Tag.Message) | (1 << Tag.Refusal) | (1 << Tag.Embedding) | (1 << Tag.Contents) | (1 << Tag.Body);

@final
export class AnswerDocument {
  /** The worst that was found in the answer, `Truncated` as long as nothing speaks against it. */
  found: AnswerVerdict = AnswerVerdict.Unknown;
  /** The limit on tokens is an end like others. */
  allowLength: bool = true;
  /** Of choices, candidates and blocks of the answer. */
  readonly parts: AnswerParts = new AnswerParts();

  /** The document is complete, as far as it came. */
  valid: bool = false;
  /** Anthropic, responses: the type of an event. */
  type: AnswerEvent = AnswerEvent.None;
  /** Anthropic: of a block; -1 when there is none. */
  index: i32 = -1;
  /** Anthropic: there is a reason for the end. Responses: a reason why it is not complete, one that is an end. */
  ends: bool = false;
  /** Gemini: it reports usage, which an event may do alone. */
  counted: bool = false;

  private api: Api = Api.Other;
  /** The answer is this one document. */
  private whole: bool = true;
  private readonly walker: JsonWalker = new JsonWalker();
  private readonly scalar: AnswerScalar = new AnswerScalar(this.walker);
  /** Takes the holes of an event, if it is to be described. */
  private shape: EventShape | null = null;
  /** Tags that were seen, one bit each. */
  private seen: u32 = 0;
  private status: AnswerFinish = AnswerFinish.Open;
  /** Of the part: its number in the list, and whether it says that it has ended. */
  private position: i32 = -1;
  private partEnds: bool = false;

  /** Ready for another answer. */
  reset(api: Api, whole: bool): void {
    this.api = api;
    this.whole = whole;
    this.found = AnswerVerdict.Truncated;
    this.parts.reset();
    this.open();
  }

  /** Ready for another document of this answer. */
  open(): void {
    this.walker.reset();
    this.shape = null;
    this.valid = false;
    this.seen = 0;
    this.type = AnswerEvent.None;
    this.index = -1;
    this.position = -1;
    this.ends = false;
    this.status = AnswerFinish.Open;
    this.counted = false;
  }

  /** Something speaks against the answer; the worst counts. */
  raise(verdict: AnswerVerdict): void {
    if (verdict > this.found) this.found = verdict;
  }

  /** Tell `shape` what in the coming data nobody looks at. */
  describe(shape: EventShape): void {
    this.shape = shape;
  }

  /** The document goes on with [from, from + length). */
  data(from: usize, length: i32): void {
    const walker = this.walker;
    walker.feed(from, length);
    while (true) {
      const event = walker.next();
      if (event == WalkEvent.Begin) {
        this.enter();
        if (!this.whole && walker.tag < 0) this.passOver();
      } else if (event == WalkEvent.End) this.leave();
      else {
        this.valid = event == WalkEvent.Complete;
        if (event == WalkEvent.Invalid || event == WalkEvent.Limit) this.raise(AnswerVerdict.Unknown);
        return;
      }
    }
  }

  /** There is a list of choices, candidates, embeddings or items. */
  get hasParts(): bool {
    return this.has(Tag.Parts);
  }

  /** Responses: whether the status, with its details, is that of a whole answer. */
  get hasEnded(): bool {
    return this.status == AnswerFinish.Stop || (this.status == AnswerFinish.Incomplete && this.ends);
  }

  /** Of an answer that is this one document; changes nothing. */
  get verdict(): AnswerVerdict {
    if (this.found != AnswerVerdict.Truncated || !this.valid) return this.found;
    let known = this.has(Tag.Parts);
    let ends = false;
    switch (this.api) {
      case Api.AnthropicMessages: {
        known = this.has(Tag.Body) && this.has(Tag.Finish);
        ends = this.ends;
        break;
      }
      case Api.Responses: {
        known = known && this.position >= 0 && this.has(Tag.Status);
        ends = this.hasEnded;
        break;
      }
      case Api.Embeddings: {
        known = known && this.position >= 0;
        ends = true;
        break;
      }
      default: {
        known = known && !this.parts.empty;
        ends = this.parts.finished;
      }
    }
    if (!known) return AnswerVerdict.Unknown;
    return ends ? AnswerVerdict.Whole : AnswerVerdict.Truncated;
  }

  /** Whether this document had such a member. */
  @inline
  private has(tag: Tag): bool {
    return (this.seen & (1 << tag)) != 0;
  }

  /** Notes a member. One that was there already has two values, of which clients take one. */
  private note(tag: Tag): void {
    if (this.has(tag)) this.raise(AnswerVerdict.Unknown);
    this.seen |= 1 << tag;
  }

  /** Goes into the value that begins if it is of this kind. One of another, such as null, is not there, but takes the place of one before. */
  private into(tag: Tag, kind: JsonKind): void {
    if (this.walker.kind == kind) {
      this.note(tag);
      this.walker.enter(tag);
    } else if (this.has(tag)) {
      this.raise(AnswerVerdict.Unknown);
    }
  }

  /** A value begins: says what is wanted of it. */
  private enter(): void {
    const tag = answerMember(this.walker, this.api, this.whole);
    switch (tag) {
      case Tag.None:
        return;
      case Tag.Part: {
        this.enterPart();
        return;
      }
      case Tag.Parts:
      case Tag.Contents: {
        this.into(tag, JsonKind.Array);
        return;
      }
      case Tag.Message:
      case Tag.Response:
      case Tag.Delta:
      case Tag.Incomplete:
      case Tag.Feedback: {
        this.into(tag, JsonKind.Object);
        return;
      }
      case Tag.Content: {
        this.walker.enter(tag);
        return;
      }
      // There may be several.
      case Tag.Error:
      case Tag.ContentType: {
        this.scalar.capture(tag);
        return;
      }
      case Tag.Embedding: {
        this.note(tag);
        this.walker.skip(tag);
        return;
      }
      case Tag.Body: {
        this.note(tag);
        return;
      }
      case Tag.Usage: {
        this.counted = true;
        return;
      }
      default: {
        this.note(tag);
        this.scalar.capture(tag);
      }
    }
  }

  /** A value of an event that nobody looks at. It has to be JSON all the same, and another like it may come. */
  private passOver(): void {
    const walker = this.walker;
    if (walker.kind == JsonKind.Object || walker.kind == JsonKind.Array) walker.enter(Tag.Other);
    else if (this.shape !== null && walker.kind != JsonKind.Literal) walker.skip(Tag.Hole);
  }

  /** A choice, candidate, embedding or item of output. */
  private enterPart(): void {
    const walker = this.walker;
    if (walker.kind != JsonKind.Object) {
      this.raise(AnswerVerdict.Unknown);
      return;
    }
    this.seen &= ~OF_PART;
    this.index = -1;
    this.position++;
    this.partEnds = false;
    walker.enter(Tag.Part);
  }

  /** A value that was wanted is over. */
  private leave(): void {
    const walker = this.walker;
    switch (walker.tag) {
      case Tag.Hole: {
        const shape = this.shape;
        if (shape !== null) shape.hole(walker.start, walker.end);
        return;
      }
      case Tag.Part: {
        this.leavePart();
        return;
      }
      case Tag.Finish: {
        const ends = this.isEnd(this.readFinish());
        if (walker.scope == Tag.Part) this.partEnds = ends;
        else this.ends = ends;
        return;
      }
      case Tag.Reason: {
        this.ends = this.isEnd(this.readFinish());
        return;
      }
      case Tag.Status: {
        this.status = this.readFinish();
        return;
      }
      case Tag.Error: {
        if (!this.scalar.isNull) this.raise(AnswerVerdict.Error);
        return;
      }
      case Tag.Blocked: {
        if (!this.scalar.isNull) this.raise(AnswerVerdict.Filtered);
        return;
      }
      case Tag.Refusal: {
        if (this.scalar.says) this.raise(AnswerVerdict.Filtered);
        return;
      }
      case Tag.ContentType: {
        if (this.scalar.isRefusal) this.raise(AnswerVerdict.Filtered);
        return;
      }
      case Tag.Type: {
        this.type = this.scalar.event(this.api == Api.AnthropicMessages);
        if (this.type == AnswerEvent.Failed) this.raise(AnswerVerdict.Error);
        else if (this.type == AnswerEvent.Refusal) this.raise(AnswerVerdict.Filtered);
        return;
      }
      case Tag.Index: {
        this.index = this.scalar.index;
        if (this.index < 0) this.raise(AnswerVerdict.Unknown);
        return;
      }
      case Tag.Embedding: {
        // Numbers, or base64: more than the two brackets or quotes.
        this.partEnds = (walker.kind == JsonKind.Array || walker.kind == JsonKind.String) && walker.end - walker.start > 2;
      }
    }
  }

  private leavePart(): void {
    const api = this.api;
    if (api == Api.Responses) return;
    if (api == Api.Embeddings) {
      if (!this.partEnds) this.raise(AnswerVerdict.Unknown);
      return;
    }
    // In a document the place counts; in an event a missing index is that of the place, for a single choice 0.
    const index = this.whole || this.index < 0 ? this.position : this.index;
    const without = this.whole && ((api == Api.ChatCompletions && !this.has(Tag.Message)) || (api == Api.Completions && !this.has(Tag.Body)));
    const behind = api == Api.GeminiGenerate && index < MAX_ANSWER_PARTS && this.parts.hasFinished(index);
    // Gemini has no terminal event. When something follows its reason for an end, the reason says nothing about the end of the stream.
    if (index >= MAX_ANSWER_PARTS || without || behind) {
      this.raise(AnswerVerdict.Unknown);
      return;
    }
    this.parts.begin(index);
    if (this.partEnds) this.parts.finish(index);
  }

  /** What the scalar says of the end. */
  private readFinish(): AnswerFinish {
    const finish = this.scalar.finish;
    if (finish == AnswerFinish.Filtered) this.raise(AnswerVerdict.Filtered);
    else if (finish == AnswerFinish.Failed) this.raise(AnswerVerdict.Error);
    else if (finish == AnswerFinish.Other) this.raise(AnswerVerdict.Unknown);
    return finish;
  }

  @inline
  private isEnd(finish: AnswerFinish): bool {
    return finish == AnswerFinish.Stop || (finish == AnswerFinish.Length && this.allowLength);
  }
}
