/** The answers in the memory of this Envoy, as requests look for them and leave them there. */
import { Recording } from "../lib/answer-segments";
import { Api } from "../lib/llm-api";
import { Transcoder } from "../lib/transcode/transcoder";
import { Exchange } from "../pipeline/exchange";
import { Bytes, time } from "../sdk";
import { AnswerDraft, AnswerMeta, FLAG_STREAM, StoredAnswer } from "../state/answer-entry";
import { AnswerSlab, Found, Kept } from "../state/answer-slab";
import { PurgeList } from "../state/purge-list";
import { CacheEvent, CacheMetrics, Stored } from "./cache-metrics";
import { CacheState } from "./cache-state";
import { PromptCacheConfig } from "./config";
import { Recorder } from "./recorder";
import { CacheRule } from "./rule";
import { knownTokens, storedTokens } from "./saved-money";

const EVENT_STREAM = Bytes.literal("text/event-stream");
const JSON = Bytes.literal("application/json");
/** One lookup in so many is timed. */
const SAMPLE: u32 = 64;
/** Where a transcoded answer may grow to, in entries of the largest size. */
const TRANSCODED: i32 = 8;

/** What was found last: borrowed until the callback returns. */
export const answer = new StoredAnswer();

const draft = new AnswerDraft();
const meta = new AnswerMeta();
const transcoder = new Transcoder();

@final
export class AnswerMemory {
  readonly slab: AnswerSlab;
  private lookups: u32 = 0;

  constructor(
    private readonly config: PromptCacheConfig,
    private readonly metrics: CacheMetrics,
    purges: PurgeList,
  ) {
    this.slab = new AnswerSlab(config.maxBytes, config.maxEntryBytes, purges);
  }

  /** What `store` or `take` has written last, until the callback returns. */
  get entry(): Bytes {
    return draft.entry;
  }

  /** Shows in `answer` what is there for the key, however old. */
  find(state: CacheState): Found {
    return this.slab.find(state.low, state.high, state.at, answer);
  }

  /** Shows in `answer` what is kept for the key, unless it is older than the client wants. */
  look(state: CacheState): Found {
    if (++this.lookups % SAMPLE != 0) return this.lookFor(state);
    const before = time.read();
    const found = this.lookFor(state);
    this.metrics.lookedUp(time.read() - before);
    return found;
  }

  lookFor(state: CacheState): Found {
    const found = this.find(state);
    return found != Found.Missing && isTooOld(state) ? Found.Missing : found;
  }

  /** Shows in `answer` the answer of the other form in this one. */
  lookForOther(exchange: Exchange, state: CacheState): bool {
    if (this.slab.find(state.otherLow, state.otherHigh, state.at, answer) != Found.Fresh || isTooOld(state)) return false;
    const body = answer.body;
    const meta = answer.meta;
    const api = <Api>meta.api;
    const isStream = (meta.flags & FLAG_STREAM) != 0;
    const limit = this.config.maxEntryBytes * TRANSCODED;
    const done = isStream
      ? transcoder.toDocument(api, body.ptr, body.len, knownTokens(meta.inputTokens), knownTokens(meta.outputTokens), limit)
      : transcoder.toStream(api, body.ptr, body.len, exchange.asksUsage, limit);
    if (!done) return false;
    const type = isStream ? JSON : EVENT_STREAM;
    answer.contentType.set(type.ptr, type.len);
    body.set(transcoder.ptr, transcoder.length);
    return true;
  }

  /** The answer is complete, and may be given again. */
  store(exchange: Exchange, state: CacheState, rule: CacheRule, recorder: Recorder, recording: Recording, now: i64): Kept {
    const usage = exchange.usage;
    meta.api = <u8>exchange.api;
    meta.flags = recorder.stream ? FLAG_STREAM : 0;
    meta.storedAt = state.at;
    meta.expiresAt = state.at + rule.ttlMs;
    meta.tenant = state.tenant;
    meta.model = state.model;
    meta.inputTokens = storedTokens(usage.inputTotal);
    meta.outputTokens = storedTokens(usage.outputTotal);
    meta.cachedTokens = storedTokens(usage.cached);
    const to = draft.begin(meta, recorder.contentType, recording.length);
    if (to != 0) recording.copyTo(to);
    const kept = to != 0 ? this.keep(state, state.at + rule.keptMs, now) : Kept.Dead;
    const metrics = unchecked(this.metrics.rules[state.index]);
    if (kept == Kept.Stored) metrics.stored(recording.length);
    else metrics.answer(kept == Kept.TooLarge ? Stored.Large : Stored.Lost);
    return kept;
  }

  /** The service has had it: `value` is what is in `answer`. */
  take(state: CacheState, rule: CacheRule, value: Bytes): Kept {
    return draft.take(value) ? this.keep(state, answer.meta.storedAt + rule.keptMs, state.at) : Kept.Dead;
  }

  private keep(state: CacheState, staleUntil: i64, now: i64): Kept {
    const evictions = this.slab.evictions;
    const contention = this.slab.contention;
    const kept = this.slab.store(state.low, state.high, draft, staleUntil, now);
    this.metrics.happened(CacheEvent.Evicted, this.slab.evictions - evictions);
    this.metrics.happened(CacheEvent.Contended, this.slab.contention - contention);
    return kept;
  }
}

/** The client wants a younger one than `answer`. */
export function isTooOld(state: CacheState): bool {
  return state.maxAge >= 0 && state.at - answer.meta.storedAt > state.maxAge;
}
