/**
 * What the stages know of one request and its answer. One object per stream context, pooled with it and refilled: nothing here is allocated
 * per request, apart from growing buffers that are kept.
 */
import { ChatRequest } from "../lib/chat-request";
import { JsonField, JsonKind, MAX_VALUE } from "../lib/json-scanner";
import { Api } from "../lib/llm-api";
import { RequestDigest } from "../lib/request-digest";
import { UsageReader } from "../lib/usage-reader";
import { Bytes, ByteWriter } from "../sdk";
import { AnswerTap } from "./answer-tap";
import { edits } from "./body-edit";
import { Gate } from "./gate";
import { CapturedHeaders, WantedHeaders } from "./header-capture";
import { Refusal } from "./refusal";
import { Replay } from "./replay";
import { SpareAnswer } from "./spare-answer";
import { StageState } from "./stage";
import { UsageFilter } from "./usage-filter";
import { WatchedAnswer } from "./watched-answer";

/** Why the body is not known. Stages decide what becomes of such a request; `refusal` is the answer if nobody wants it. */
export const enum Problem {
  None = 0,
  /** No body, compressed, not UTF-8, or not what the content type says. */
  Malformed = 1,
  TooLarge = 2,
  /** Envoy withholds request bodies from this filter. */
  Unreadable = 3,
}

/** Where the request names its model. */
export const enum ModelPlace {
  /** Nowhere that could be written to. */
  None = 0,
  /** Member of the JSON body, maybe absent: then `modelStart` is where it can be put in. */
  Json = 1,
  /** Field of a multipart/form-data body. */
  Form = 2,
  /** Segment of the path (Gemini). */
  Path = 3,
}

/** Where `Exchange.chat` comes from once it is asked for. */
export abstract class ChatSource {
  abstract read(exchange: Exchange): ChatRequest | null;
}

@final
export class Exchange {
  /** Context id of the stream. */
  id: u32 = 0;
  api: Api = Api.ChatCompletions;
  /** :path as the client sent it, query included; without the query it is `pathEnd` bytes long. */
  readonly path: ByteWriter = new ByteWriter();
  pathEnd: i32 = 0;
  readonly headers: CapturedHeaders;
  /** Content-Length was there: it must follow when the body changes. */
  hasContentLength: bool = false;

  problem: Problem = Problem.None;
  refusal: Refusal | null = null;

  /** Bytes of the body that Envoy holds. */
  bodySize: i32 = 0;
  /** The whole body while it is still borrowed, else empty. */
  readonly head: Bytes = new Bytes();
  /** The model as the client named it, decoded; empty when there is none, or it is no string. In memory of this object. */
  readonly model: Bytes = new Bytes();
  /** The name is cut, or not well-formed: it must match nothing. */
  modelBroken: bool = false;
  modelPlace: ModelPlace = ModelPlace.None;
  /** Raw bytes of the value in the body, or in the path: [modelStart, modelEnd). */
  modelStart: i32 = 0;
  modelEnd: i32 = 0;
  /** `Json` without a model: whether members follow at `modelStart`. */
  hasMembers: bool = false;

  /** An answer in pieces is asked for, as far as it is known: by Gemini's method, or by `chat`. */
  streaming: bool = false;
  /** What made the digest of the body, when a stage asked for it and it could be told; valid in `onRequest` only. */
  digest: RequestDigest | null = null;
  /** What the body says whatever its spelling, where `digest` is. */
  digestLow: u64 = 0;
  digestHigh: u64 = 0;
  /** The body is known by its bytes, from an earlier request: `marks` is what the stage that asked for the digest left with `keepBody`. */
  isKnown: bool = false;
  marks: u32 = 0;

  /** A stage asked for the usage of a stream. */
  wantsUsage: bool = false;
  /** The upstream was asked for usage that the client did not ask for: it must not get the event that has it. */
  usageAdded: bool = false;
  /** Takes that event out of the answer; null when there is none to be taken out. */
  usageFilter: UsageFilter | null = null;

  /** The client itself asked for the usage of its stream. */
  asksUsage: bool = false;
  /** The answer while it passes; null when no stage watches it, or it comes not in pieces that could be told apart. */
  answer: WatchedAnswer | null = null;
  /** Tokens of the request and of its answer so far, as a stage that ends the answer knows them. */
  inputSoFar: i64 = 0;
  outputSoFar: i64 = 0;

  /** A stage wants what the client gets of the answer. */
  tap: AnswerTap | null = null;
  /** What the client gets if the upstream fails, and there is such a thing. */
  spare: SpareAnswer | null = null;
  /** What the client gets unless a stage objects, and no upstream is asked. */
  replay: Replay | null = null;
  /** How a cache took part, for the access log; empty for not at all. */
  cache: string = "";

  /** A stage decided to send the request on as an LLM call: its answer is looked at. */
  routed: bool = false;
  /** Where the request went, by its configured name. Valid while the configuration is. */
  readonly target: Bytes = new Bytes();
  /** The route or cluster that was written for it; empty for none. Valid while the configuration is. */
  readonly destination: Bytes = new Bytes();
  /** Which rule decided that; empty for none. Valid while the configuration is. */
  readonly rule: Bytes = new Bytes();
  /** The model name the upstream gets; empty for the client's. Valid while the configuration is. */
  readonly servedModel: Bytes = new Bytes();
  readonly usage: UsageReader = new UsageReader();
  /** Bytes of the answer's body that have come. */
  answerBytes: i64 = 0;
  /** Of them, those that have come behind the piece in which `usage` last reported more of the answer: all, while it has reported none. */
  uncountedBytes: i64 = 0;
  /** The answer has come to its end. */
  answered: bool = false;
  /** Status of an answer that came to its end without reporting usage, where a stage asked for it; 0 otherwise, so also when it was broken off. */
  endStatus: i32 = 0;
  /** What Envoy itself answered in the upstream's place. */
  ownAnswer: Refusal | null = null;
  /**
   * Nanoseconds since the epoch, 0 without metrics: the request was there, or the first piece of its body if it came in pieces; first byte of a streamed answer (the largest number for a whole
   * answer); its last byte, or the end of the stream that broke off.
   */
  startedAt: u64 = 0;
  firstByteAt: u64 = 0;
  endedAt: u64 = 0;

  /** For stages that stop the request or the answer. */
  gate: Gate | null = null;
  /** A stage wants `Stage.onPiece` of this answer, and may end it. */
  watched: bool = false;
  mayEnd: bool = false;

  /** By `Stage.index`. */
  readonly states: StageState[] = [];
  /** Everything else in a JSON body that was not read yet, because it is known. */
  private unread: ChatSource | null = null;
  private read: ChatRequest | null = null;
  private readonly name: StaticArray<u8> = new StaticArray<u8>(MAX_VALUE);

  constructor(wanted: WantedHeaders) {
    this.headers = new CapturedHeaders(wanted);
  }

  /** Ready for another stream. */
  begin(id: u32): void {
    this.id = id;
    this.path.reset();
    this.headers.reset();
    this.hasContentLength = false;
    this.problem = Problem.None;
    this.refusal = null;
    this.bodySize = 0;
    this.head.clear();
    this.model.clear();
    this.modelBroken = false;
    this.modelPlace = ModelPlace.None;
    this.streaming = false;
    this.chat = null;
    this.digest = null;
    this.isKnown = false;
    this.tap = null;
    this.spare = null;
    this.replay = null;
    this.cache = "";
    this.wantsUsage = false;
    this.usageAdded = false;
    this.asksUsage = false;
    this.routed = false;
    this.target.clear();
    this.destination.clear();
    this.rule.clear();
    this.servedModel.clear();
    this.answerBytes = 0;
    this.uncountedBytes = 0;
    this.answered = false;
    this.endStatus = 0;
    this.ownAnswer = null;
    this.startedAt = 0;
    this.firstByteAt = 0;
    this.endedAt = 0;
    this.watched = false;
    this.mayEnd = false;
    for (let i = 0; i < this.states.length; i++) unchecked(this.states[i]).begin();
  }

  release(): void {
    this.path.release();
  }

  /** Everything else in a JSON body, when a stage asked for it; valid in `onRequest` only. A body that is known is read by the first who asks. */
  get chat(): ChatRequest | null {
    const unread = this.unread;
    if (unread === null) return this.read;
    this.unread = null;
    this.read = unread.read(this);
    return this.read;
  }

  set chat(value: ChatRequest | null) {
    this.unread = null;
    this.read = value;
  }

  /** `chat` is read from there if anybody asks. */
  deferChat(source: ChatSource): void {
    this.unread = source;
  }

  trouble(problem: Problem, refusal: Refusal): void {
    this.problem = problem;
    this.refusal = refusal;
  }

  /**
   * Puts a copy of `text` in place of [start, end) of the body, once every stage has let the request pass: while stages are asked, all offsets are those of
   * the body as it came. False when another stage changes the same bytes.
   */
  edit(start: i32, end: i32, text: Bytes): bool {
    return edits.add(start, end, text);
  }

  /** Asks that an answer in pieces reports its usage, where the API does that on demand only. The client sees no difference. */
  wantUsage(): void {
    this.wantsUsage = true;
  }

  /** Asks for the pieces of the answer as they come. Only while the request is decided on. `mayEnd`: `Flow.End` may be what becomes of it. */
  watch(mayEnd: bool = true): void {
    this.watched = true;
    this.mayEnd = this.mayEnd || mayEnd;
  }

  /** Takes over what a scan of the JSON body found. `firstMember`: offset where a member can be put in. */
  takeJsonModel(field: JsonField, firstMember: i32, hasMembers: bool): void {
    this.modelPlace = ModelPlace.Json;
    this.hasMembers = hasMembers;
    const present = field.count > 0;
    this.modelStart = present ? <i32>field.start : firstMember;
    this.modelEnd = present ? <i32>field.end : firstMember;
    if (field.kind == JsonKind.String) this.setModel(field.value, field.length, field.truncated || field.malformed);
  }

  /** Copies the decoded name. */
  setModel(from: usize, length: i32, broken: bool): void {
    const size = min(length, MAX_VALUE);
    memory.copy(changetype<usize>(this.name), from, size);
    this.model.set(changetype<usize>(this.name), size);
    this.modelBroken = broken || !isPrintable(this.model);
  }
}

/** Names with control characters would not be fit for a header. */
function isPrintable(name: Bytes): bool {
  for (let i = 0; i < name.len; i++) {
    const byte = name.at(i);
    if (byte < 0x20 || byte == 0x7f) return false;
  }
  return true;
}
