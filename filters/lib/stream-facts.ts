/**
 * What a stream of events has said so far, as far as its ending depends on it: names to repeat, parts that are open, whether it is over already.
 *
 * The data of an event is read as it comes and counts only when the event is complete: one that is cut off was never said. `JsonWalker` skips what is not
 * asked for, which is nearly all of it. Indices from `MAX_PARTS` on, and texts above `MAX_TEXT` bytes, are not kept. O(bytes), no allocation, never throws.
 */
import { sameText } from "./json-capture";
import { JsonKind } from "./json-scanner";
import { JsonWalker } from "./json-walker";
import { Api } from "./llm-api";
import { ROOT, WalkEvent } from "./walk-event";

/** Choices, candidates or open blocks whose index is kept. */
export const MAX_PARTS: i32 = 16;
/** Longest id and name of a model, bytes. */
export const MAX_TEXT: i32 = 256;
/** Longest type of an event; all that matter are shorter. */
const MAX_TYPE: i32 = 48;
/** Longest number. */
const MAX_NUMBER: i32 = 32;

const enum Tag {
  Id = 1,
  Model = 2,
  Created = 3,
  Type = 4,
  Index = 5,
  Sequence = 6,
  /** `choices` or `candidates`, and one of them. */
  Parts = 7,
  Part = 8,
  Response = 9,
  Delta = 10,
}

/** `[DONE]`, which is no JSON. */
const DONE: StaticArray<u8> = [0x5b, 0x44, 0x4f, 0x4e, 0x45, 0x5d];

@final
export class StreamFacts {
  /** An event has said something of what the API says in every stream. */
  begun: bool = false;
  /** The terminal event has come, or an error. */
  over: bool = false;
  /** Decoded; length -1 while unknown, and when it was too long or no string. */
  readonly id: usize = heap.alloc(MAX_TEXT);
  idLength: i32 = -1;
  readonly model: usize = heap.alloc(MAX_TEXT);
  modelLength: i32 = -1;
  /** Seconds since the epoch; 0 while unknown. */
  created: i64 = 0;
  /** The last `sequence_number`, -1 while there was none. */
  sequence: i64 = -1;
  /** One bit for each index: of choices, candidates or blocks that began, and of those that are finished. */
  seen: u32 = 0;
  finished: u32 = 0;
  /** Anthropic: the reason for the end is given. OpenAI: the chunk that only reports usage was there. */
  closing: bool = false;

  private api: Api = Api.ChatCompletions;
  private readonly walker: JsonWalker = new JsonWalker();
  private readonly type: usize = heap.alloc(MAX_TYPE);
  private readonly number: usize = heap.alloc(MAX_NUMBER);

  /** Of the open event. */
  private typeLength: i32 = 0;
  private eventId: i32 = -1;
  private eventModel: i32 = -1;
  private eventCreated: i64 = 0;
  private index: i64 = 0;
  private eventSequence: i64 = -1;
  private eventSeen: u32 = 0;
  private eventFinished: u32 = 0;
  private eventCloses: bool = false;
  private valid: bool = false;
  private failed: bool = false;
  /** There is a list of choices or candidates, and something in it. */
  private parts: bool = false;
  private anyPart: bool = false;
  private usage: bool = false;
  private partFinished: bool = false;
  /** Bytes of `[DONE]` so far, -1 when it is something else. */
  private done: i32 = 0;

  /** Ready for another stream. */
  reset(api: Api): void {
    this.api = api;
    this.begun = false;
    this.over = false;
    this.idLength = -1;
    this.modelLength = -1;
    this.created = 0;
    this.sequence = -1;
    this.seen = 0;
    this.finished = 0;
    this.closing = false;
  }

  /** One bit for each choice, candidate or block that has no end yet; before the first event, OpenAI's and Gemini's first one has to have one, too. */
  get openParts(): u32 {
    if (!this.begun && this.api != Api.AnthropicMessages) return 1;
    return this.seen & ~this.finished;
  }

  /** An event begins. */
  open(): void {
    this.walker.reset();
    this.typeLength = 0;
    this.eventId = -1;
    this.eventModel = -1;
    this.eventCreated = 0;
    this.index = 0;
    this.eventSequence = -1;
    this.eventSeen = 0;
    this.eventFinished = 0;
    this.eventCloses = false;
    this.valid = false;
    this.failed = false;
    this.parts = false;
    this.anyPart = false;
    this.usage = false;
    this.done = 0;
  }

  /** Its data goes on with [from, from + length). */
  data(from: usize, length: i32): void {
    for (let i = 0; this.done >= 0 && this.done < DONE.length && i < length; i++) {
      this.done = load<u8>(from + <usize>i) == unchecked(DONE[this.done]) ? this.done + 1 : -1;
    }
    const walker = this.walker;
    walker.feed(from, length);
    while (true) {
      const event = walker.next();
      if (event == WalkEvent.Begin) this.enter();
      else if (event == WalkEvent.End) this.leave();
      else {
        this.valid = event == WalkEvent.Complete;
        return;
      }
    }
  }

  /** It is complete: what it said counts, if it is JSON. */
  commit(): void {
    if (this.done == DONE.length) this.over = true;
    if (!this.valid) return;
    if (this.failed) this.over = true;
    if (this.idLength < 0) this.idLength = this.eventId;
    if (this.modelLength < 0) this.modelLength = this.eventModel;
    if (this.created == 0) this.created = this.eventCreated;
    if (this.eventSequence >= 0) this.sequence = this.eventSequence;
    if (this.api == Api.AnthropicMessages) this.commitMessages();
    else if (this.api == Api.Responses) this.commitResponses();
    else {
      this.seen |= this.eventSeen;
      this.finished |= this.eventFinished;
      if (this.parts) this.begun = true;
      if (this.usage && this.parts && !this.anyPart) this.closing = true;
    }
  }

  private commitMessages(): void {
    const bit: u32 = this.index >= 0 && this.index < MAX_PARTS ? 1 << <u32>this.index : 0;
    if (this.isType("message_start")) this.begun = true;
    else if (this.isType("content_block_start")) this.seen |= bit;
    else if (this.isType("content_block_stop")) this.finished |= bit;
    else if (this.isType("message_delta")) this.closing = this.closing || this.eventCloses;
    else if (this.isType("message_stop") || this.isType("error")) this.over = true;
  }

  private commitResponses(): void {
    if (this.isType("response.created")) this.begun = true;
    else if (this.isType("response.completed") || this.isType("response.incomplete")) this.over = true;
    else if (this.isType("response.failed") || this.isType("error")) this.over = true;
  }

  private isType(name: string): bool {
    return this.typeLength == name.length && sameText(name, this.type);
  }

  /** A value begins: says what is wanted of it. */
  private enter(): void {
    const walker = this.walker;
    const scope = walker.scope;
    if (scope == ROOT) this.enterMember();
    else if (scope == Tag.Parts) {
      this.anyPart = true;
      this.index = 0;
      this.partFinished = false;
      walker.enter(Tag.Part);
    } else if (scope == Tag.Part) {
      if (walker.keyIs("index")) walker.capture(Tag.Index, this.number, MAX_NUMBER);
      else if (walker.kind == JsonKind.String && (walker.keyIs("finish_reason") || walker.keyIs("finishReason"))) this.partFinished = true;
    } else if (scope == Tag.Response) this.enterNames();
    else if (scope == Tag.Delta && walker.kind == JsonKind.String && walker.keyIs("stop_reason")) this.eventCloses = true;
  }

  private enterMember(): void {
    const walker = this.walker;
    if (walker.keyIs("error")) {
      // Other events have it, too, as null.
      if (walker.kind != JsonKind.Literal) this.failed = true;
      return;
    }
    switch (this.api) {
      case Api.AnthropicMessages: {
        if (walker.keyIs("type")) walker.capture(Tag.Type, this.type, MAX_TYPE);
        else if (walker.keyIs("index")) walker.capture(Tag.Index, this.number, MAX_NUMBER);
        else if (walker.keyIs("delta")) walker.enter(Tag.Delta);
        return;
      }
      case Api.Responses: {
        if (walker.keyIs("type")) walker.capture(Tag.Type, this.type, MAX_TYPE);
        else if (walker.keyIs("sequence_number")) walker.capture(Tag.Sequence, this.number, MAX_NUMBER);
        else if (walker.keyIs("response")) walker.enter(Tag.Response);
        return;
      }
      case Api.GeminiGenerate: {
        if (walker.keyIs("candidates")) this.enterParts();
        else if (this.idLength < 0 && walker.keyIs("responseId")) walker.capture(Tag.Id, this.id, MAX_TEXT);
        else if (this.modelLength < 0 && walker.keyIs("modelVersion")) walker.capture(Tag.Model, this.model, MAX_TEXT);
        return;
      }
      default: {
        if (walker.keyIs("choices")) this.enterParts();
        else if (walker.kind == JsonKind.Object && walker.keyIs("usage")) this.usage = true;
        else this.enterNames();
      }
    }
  }

  private enterParts(): void {
    if (this.walker.kind != JsonKind.Array) return;
    this.parts = true;
    this.walker.enter(Tag.Parts);
  }

  /** Names that are the same in every event of OpenAI's: the first one counts. */
  private enterNames(): void {
    const walker = this.walker;
    if (this.idLength < 0 && walker.keyIs("id")) walker.capture(Tag.Id, this.id, MAX_TEXT);
    else if (this.modelLength < 0 && walker.keyIs("model")) walker.capture(Tag.Model, this.model, MAX_TEXT);
    else if (this.created == 0 && (walker.keyIs("created") || walker.keyIs("created_at"))) walker.capture(Tag.Created, this.number, MAX_NUMBER);
  }

  /** A value that was wanted is over. */
  private leave(): void {
    const walker = this.walker;
    const text = walker.text;
    const whole = !text.truncated && walker.kind == JsonKind.String;
    switch (walker.tag) {
      case Tag.Id:
        this.eventId = whole ? text.length : -1;
        break;
      case Tag.Model:
        this.eventModel = whole ? text.length : -1;
        break;
      case Tag.Type:
        this.typeLength = whole ? text.length : 0;
        break;
      case Tag.Created:
        this.eventCreated = max<i64>(this.integer(), 0);
        break;
      case Tag.Index:
        this.index = this.integer();
        break;
      case Tag.Sequence:
        this.eventSequence = this.integer();
        break;
      case Tag.Part: {
        const bit: u32 = this.index >= 0 && this.index < MAX_PARTS ? 1 << <u32>this.index : 0;
        this.eventSeen |= bit;
        if (this.partFinished) this.eventFinished |= bit;
      }
    }
  }

  /** The number just captured; -1 when it is none that counts something. */
  private integer(): i64 {
    const length = this.walker.text.length;
    if (this.walker.kind != JsonKind.Number || length == 0 || length > 18) return -1;
    let value: i64 = 0;
    for (let i = 0; i < length; i++) {
      const digit = load<u8>(this.number + <usize>i) - 48;
      if (digit > 9) return -1;
      value = value * 10 + <i64>digit;
    }
    return value;
  }
}
