/** A stored answer that a client gets when the upstream fails, or the service that should give it. */
import { SpareAnswer } from "../pipeline/spare-answer";
import { Bytes, ByteWriter, headers, MapType, time } from "../sdk";
import { StoredAnswer } from "../state/answer-entry";
import { AnswerSlab, Found } from "../state/answer-slab";
import { CacheState } from "./cache-state";
import { AGE, ageOf, CACHE_HEADER, CONTENT_TYPE, sendAnswer } from "./reply";

export const STALE = Bytes.literal("stale");

const STATUS = Bytes.literal(":status");
const MS: u64 = 1_000_000;
const OK = Bytes.literal("200");
const CONTENT_LENGTH = Bytes.literal("content-length");
/** Of the failed answer, and untrue of this one. */
const FAILED_ONLY = [Bytes.literal("retry-after"), Bytes.literal("retry-after-ms"), Bytes.literal("content-encoding"), Bytes.literal("trailer")];

const answer = new StoredAnswer();
const length = new ByteWriter();

@final
export class SpareEntry extends SpareAnswer {
  /** Until when it may be given, ms since 1970. */
  until: i64 = 0;
  /** What a fresh one is called; null where only one that is fresh no more is expected. */
  freshLabel: Bytes | null = null;
  /** It was given. */
  given: bool = false;
  /** ms since 1970, when it was asked for. */
  private now: i64 = 0;
  private label: Bytes = STALE;
  private readonly kept: ByteWriter = new ByteWriter();

  constructor(
    private readonly slab: AnswerSlab,
    private readonly state: CacheState,
  ) {
    super();
  }

  ready(): bool {
    const state = this.state;
    this.now = <i64>(time.now() / MS);
    const found = this.slab.find(state.low, state.high, this.now, answer);
    const freshLabel = this.freshLabel;
    const isFresh = found == Found.Fresh && freshLabel !== null;
    this.label = freshLabel !== null && isFresh ? freshLabel : STALE;
    this.given = isFresh || (found != Found.Missing && this.now <= this.until);
    return this.given;
  }

  writeHeaders(): void {
    // The body is written in a later callback: the entry may be gone by then.
    this.kept.reset().bytes(answer.body);
    for (let i = 0; i < FAILED_ONLY.length; i++) headers.remove(MapType.HttpResponseHeaders, unchecked(FAILED_ONLY[i]));
    headers.replace(MapType.HttpResponseHeaders, CONTENT_TYPE, answer.contentType);
    headers.replace(MapType.HttpResponseHeaders, CONTENT_LENGTH, length.reset().decimal(this.kept.len).view());
    headers.replace(MapType.HttpResponseHeaders, CACHE_HEADER, this.label);
    headers.replace(MapType.HttpResponseHeaders, AGE, ageOf(answer, this.now));
    headers.replace(MapType.HttpResponseHeaders, STATUS, OK);
  }

  body(): Bytes {
    return this.kept.view();
  }

  send(): void {
    const state = this.state;
    const rule = state.rule;
    sendAnswer(answer, this.label, state.low, state.high, rule !== null && rule.showKey, 0, this.now);
  }

  release(): void {
    this.kept.release();
  }
}
