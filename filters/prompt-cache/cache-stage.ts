/**
 * Answers requests from the cache: an answer that was given to the same question, of the same caller, at the same place.
 *
 *   request   rule, key, lookup. Found: answered at once. Not found: it waits for a call that runs for the same key, or makes it; the service is asked first, if there is one
 *   answer    recorded while it passes, and stored if it is whole and fit to be given again
 *   end       a call that did not get so far is handed over to one who waits
 *
 * It stands behind the router, because where a request goes is part of the key, and in front of the rate limiter, because hits take nothing from budgets.
 */
import { AnswerVerdict } from "../lib/answer-check";
import { SegmentPool } from "../lib/answer-segments";
import { Api } from "../lib/llm-api";
import { RequestDigest } from "../lib/request-digest";
import { xxhash64 } from "../lib/xxhash64";
import { answerHeaders } from "../pipeline/answer-headers";
import { Exchange, Problem } from "../pipeline/exchange";
import { Stage, StageState, Verdict } from "../pipeline/stage";
import { Bytes, log, LogLevel, time } from "../sdk";
import { FlightOutcome } from "../state/flight-board";
import { answerFitness, Fitness } from "./answer-fitness";
import { CacheMetrics, Outcome, RuleMetrics, Stored } from "./cache-metrics";
import { cacheKey, CacheKey } from "./cache-key";
import { Lookups } from "./lookups";
import { CacheState, Step } from "./cache-state";
import { isCacheable, traitsOf } from "./cacheable";
import { PromptCacheConfig } from "./config";
import { CACHE_HEADER, KEY_HEADER, keyText } from "./reply";
import { question, questions } from "./question";
import { Recorder, RecorderOwner, recorders } from "./recorder";
import { RequestControl } from "./request-control";

const BYPASS = Bytes.literal("bypass");
const MISS = Bytes.literal("miss");
const STORED = Bytes.literal("stored");
const STREAM = Bytes.literal("stream");
const MS: u64 = 1_000_000;

const control = new RequestControl();
const value = new Bytes();

/** Indices among the captured headers. */
@final
export class CacheHeaders {
  constructor(
    readonly authority: i32,
    readonly cacheControl: i32,
  ) {}
}

@final
export class CacheStage extends Stage implements RecorderOwner {
  private readonly digest: RequestDigest;
  /** Of all members. */
  private readonly exactDigest: RequestDigest;
  private readonly keys: CacheKey;
  private readonly lookups: Lookups;
  private readonly recordings: SegmentPool;
  private readonly metrics: CacheMetrics;

  constructor(
    private readonly config: PromptCacheConfig,
    private readonly names: CacheHeaders,
    scope: u64,
  ) {
    super();
    this.needsChat = true;
    this.needsDigest = true;
    this.digest = digestOf(config, true);
    this.exactDigest = digestOf(config, false);
    const metrics = new CacheMetrics();
    for (let i = 0; i < config.rules.length; i++) metrics.rules.push(new RuleMetrics(config.rules[i].name.toString()));
    this.metrics = metrics;
    this.keys = new CacheKey(config.secretLow, config.secretHigh, scope, names.authority, config.tenantHeader);
    this.recordings = new SegmentPool(config.maxRecordingBytes);
    const lookups = new Lookups(config, metrics, scope);
    this.lookups = lookups;
    lookups.belong(this);
    log.text(
      LogLevel.Info,
      "prompt cache: " + config.rules.length.toString() + " rules in force, at most " + config.maxBytes.toString() + " bytes of shared data for answers",
    );
  }

  createState(): StageState {
    return new CacheState();
  }

  digestFor(api: Api): RequestDigest | null {
    return this.config.ignoresIn(api) ? this.digest : this.exactDigest;
  }

  onRequest(exchange: Exchange): Verdict {
    const index = this.find(exchange);
    if (index < 0 || exchange.problem != Problem.None) return Verdict.Next;
    const state = this.lookups.stateOf(exchange);
    const rule = unchecked(this.config.rules[index]);
    state.rule = rule;
    state.index = index;
    // Alone, without a stage that routes, the answer is to be looked at all the same.
    exchange.routed = true;
    if (!exchange.isKnown) exchange.marks = traitsOf(exchange.chat);
    this.read(exchange, state, rule.clientControl);
    const lasts = !control.noStore && isCacheable(rule, exchange.api, exchange.marks);
    if (!lasts || !this.keys.make(exchange, rule)) return this.bypass(exchange, state);
    state.low = cacheKey.low;
    state.high = cacheKey.high;
    state.tenant = cacheKey.tenant;
    state.model = xxhash64(exchange.model.ptr, exchange.model.len, 0);
    state.target = exchange.target.ptr;
    state.at = <i64>(time.now() / MS);
    state.until = state.at + <i64>rule.waitMs;
    if (rule.transcode) {
      this.keys.flip(exchange);
      state.otherLow = cacheKey.low;
      state.otherHigh = cacheKey.high;
    }
    if (rule.similarity >= 0 && this.config.service !== null) this.readQuestion(exchange, state, rule.similarity);
    return this.lookups.begin(exchange, state, rule);
  }

  onResponseHeaders(exchange: Exchange): void {
    const state = this.lookups.stateOf(exchange);
    const rule = state.rule;
    if (rule === null || state.step == Step.None) return;
    if (state.step == Step.Bypass) {
      answerHeaders.replace(CACHE_HEADER, BYPASS);
      return;
    }
    answerHeaders.replace(CACHE_HEADER, state.refreshes ? STORED : MISS);
    if (rule.showKey) answerHeaders.replace(KEY_HEADER, keyText(state.low, state.high));
    let fitness = answerFitness.judge(exchange.api, exchange.streaming);
    // An answer of another target, or of Envoy itself, is none to the question.
    if (fitness == Fitness.Fit && (exchange.target.ptr != state.target || exchange.ownAnswer !== null)) fitness = Fitness.Private;
    if (fitness != Fitness.Fit) {
      this.unfit(state, fitness == Fitness.Failed ? FlightOutcome.Failed : FlightOutcome.Private);
      return;
    }
    const recorder = recorders.take();
    recorder.belong(this, state);
    state.recorder = recorder;
    if (recorder.begin(this.recordings, this.config.maxEntryBytes, exchange.api, answerFitness.form, answerFitness.contentType)) {
      exchange.tap = recorder;
      recorder.shared = rule.live && exchange.streaming;
      if (rule.isPaced && exchange.streaming) recorder.recordPace(this.recordings);
    } else this.unfit(state, FlightOutcome.Private);
  }

  onAnswered(exchange: Exchange): void {
    const state = this.lookups.stateOf(exchange);
    const recorder = state.recorder;
    const rule = state.rule;
    if (recorder === null || rule === null || exchange.tap === null) return;
    exchange.tap = null;
    const recording = recorder.kept;
    if (recording !== null) {
      const verdict = recorder.end();
      if (verdict == AnswerVerdict.Whole) this.lookups.store(exchange, state, rule, recorder, recording);
      else this.unfit(state, outcomeOf(verdict));
    }
    this.lookups.calls.close(state, true);
    this.release(state);
  }

  passed(state: CacheState, recorder: Recorder, bytes: Bytes, safe: i32): void {
    this.lookups.calls.pass(state, recorder, bytes, safe);
  }

  /** What a stage has ended for one client looks whole, and is not: nobody is given it again. Asked anew it may come whole. */
  cut(state: CacheState, recorder: Recorder, ending: Bytes): void {
    if (recorder.kept !== null) unchecked(this.metrics.rules[state.index]).answer(Stored.Unfit);
    this.lookups.calls.cut(state, ending);
    this.release(state);
  }

  gaveUp(state: CacheState, recorder: Recorder): void {
    if (!recorder.dropped) this.unfit(state, outcomeOf(recorder.end()));
    else {
      unchecked(this.metrics.rules[state.index]).answer(Stored.Large);
      this.lookups.calls.end(state, FlightOutcome.Private);
    }
  }

  onEnd(exchange: Exchange): void {
    const state = this.lookups.stateOf(exchange);
    if (state.rule === null) return;
    this.lookups.forget(exchange, state);
    this.settleSpare(state);
    this.release(state);
    state.begin();
  }

  onTick(): void {
    this.lookups.onTick();
    this.metrics.flush();
  }

  onMoment(): bool {
    return this.lookups.calls.onMoment();
  }

  onQueueReady(queueId: u32): bool {
    return this.lookups.calls.onQueueReady(queueId);
  }

  onCallAnswer(callId: u32, message: Bytes | null): bool {
    return this.lookups.onCallAnswer(callId, message);
  }

  onGone(): void {
    this.lookups.onGone();
    this.recordings.close();
  }

  private find(exchange: Exchange): i32 {
    const rules = this.config.rules;
    for (let i = 0; i < rules.length; i++) if (unchecked(rules[i]).match.holds(exchange)) return i;
    return -1;
  }

  /** What the client wants of the cache. */
  private read(exchange: Exchange, state: CacheState, honoured: bool): void {
    value.clear();
    if (honoured) exchange.headers.read(this.names.cacheControl, value);
    control.read(value);
    state.refreshes = control.noCache;
    state.onlyIfCached = control.onlyIfCached;
    state.maxAge = control.maxAge < 0 ? -1 : control.maxAge * 1000;
  }

  private bypass(exchange: Exchange, state: CacheState): Verdict {
    if (state.onlyIfCached) return this.lookups.given.refuse(exchange, state);
    state.step = Step.Bypass;
    exchange.cache = "bypass";
    unchecked(this.metrics.rules[state.index]).request(Outcome.Bypass);
    return Verdict.Next;
  }

  /** The words of the request, if they stand for themselves. The digest that made its key is used anew. */
  private readQuestion(exchange: Exchange, state: CacheState, similarity: i32): void {
    const chat = exchange.chat;
    const digest = exchange.digest;
    if (chat === null || digest === null || !question.read(exchange, chat, digest)) return;
    this.keys.part(question.low, question.high);
    const asked = questions.take();
    asked.low = cacheKey.partLow;
    asked.high = cacheKey.partHigh;
    asked.similarity = similarity;
    asked.words.reset().bytes(question.words);
    state.question = asked;
  }

  private unfit(state: CacheState, outcome: FlightOutcome): void {
    unchecked(this.metrics.rules[state.index]).answer(Stored.Unfit);
    this.lookups.calls.end(state, outcome);
  }

  /** Counts a request that an old answer could have been given to, and lets go of that. */
  private settleSpare(state: CacheState): void {
    const spare = state.spare;
    if (!state.backedUp || spare === null) return;
    if (state.step == Step.Fetches) unchecked(this.metrics.rules[state.index]).request(spare.given ? Outcome.Stale : Outcome.Miss);
    spare.release();
  }

  private release(state: CacheState): void {
    const recorder = state.recorder;
    if (recorder !== null) recorders.release(recorder);
    state.recorder = null;
    const asked = state.question;
    if (asked !== null) questions.release(asked);
    state.question = null;
  }
}

/** Whether asking again may bring a better one. */
function outcomeOf(verdict: AnswerVerdict): FlightOutcome {
  return verdict == AnswerVerdict.Error || verdict == AnswerVerdict.Truncated ? FlightOutcome.Failed : FlightOutcome.Private;
}

/** `stream` is no part of the question: the key has it beside the digest, so that an answer can be found in its other form. */
function digestOf(config: PromptCacheConfig, ignores: bool): RequestDigest {
  const digest = new RequestDigest();
  digest.setKey(config.secretLow, config.secretHigh);
  digest.ignore(STREAM.ptr, STREAM.len);
  for (let i = 0; i < config.ignore.length && ignores; i++) digest.ignore(config.ignore[i].ptr, config.ignore[i].len);
  return digest;
}
