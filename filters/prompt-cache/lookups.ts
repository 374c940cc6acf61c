/**
 * The ways of a request to a stored answer, in this order: the memory of this Envoy, a call for the same key that runs already (shared-calls.ts), the service behind all Envoys (service-tier.ts); in
 * the end the upstream, and the way of its answer into the memory.
 */
import { Recording } from "../lib/answer-segments";
import { Exchange } from "../pipeline/exchange";
import { Stage, Verdict } from "../pipeline/stage";
import { Bytes } from "../sdk";
import { Found, Kept } from "../state/answer-slab";
import { FlightNews, FlightOutcome, FlightRole } from "../state/flight-board";
import { PurgeList } from "../state/purge-list";
import { answer, AnswerMemory } from "./answer-memory";
import { AnswersSink } from "./answers-client";
import { CacheMetrics, Outcome } from "./cache-metrics";
import { CacheState, milliseconds, stateIn, Step } from "./cache-state";
import { PromptCacheConfig } from "./config";
import { GivenAnswers, HIT } from "./given-answers";
import { pointToFlight } from "./live-answers";
import { Recorder } from "./recorder";
import { CacheRule } from "./rule";
import { StoredValue } from "./service-messages";
import { ServiceTier } from "./service-tier";
import { Followers, SharedCalls } from "./shared-calls";
import { STALE } from "./spare-entry";

const COALESCED = Bytes.literal("coalesced");
/** ms that a call which replaces an old answer may take before another one is made. */
const REVALIDATES: i64 = 60_000;

/** Hears for the lookups, which are not there yet when it is needed. */
@final
class News implements AnswersSink, Followers {
  lookups: Lookups | null = null;

  told(exchange: Exchange, state: CacheState, rule: CacheRule, news: FlightNews): void {
    const lookups = this.lookups;
    if (lookups !== null) lookups.told(exchange, state, rule, news);
  }

  found(exchange: Exchange, value: StoredValue): void {
    const lookups = this.lookups;
    if (lookups !== null) lookups.found(exchange, value);
  }
}

@final
export class Lookups {
  readonly calls: SharedCalls;
  readonly given: GivenAnswers;
  private stage: Stage | null = null;
  private readonly purges: PurgeList;
  private readonly memory: AnswerMemory;
  /** Null when there is nobody to say what was purged. */
  private readonly service: ServiceTier | null;

  constructor(
    private readonly config: PromptCacheConfig,
    private readonly metrics: CacheMetrics,
    scope: u64,
  ) {
    const news = new News();
    const purges = new PurgeList();
    const memory = new AnswerMemory(config, metrics, purges);
    this.purges = purges;
    this.memory = memory;
    this.given = new GivenAnswers(memory, metrics);
    this.calls = new SharedCalls(metrics, scope, news);
    this.service = config.purgeCluster.len > 0 ? new ServiceTier(config, metrics, purges, scope, news) : null;
    news.lookups = this;
  }

  /** For whom it works; its place among the stages is known by now. */
  belong(stage: Stage): void {
    this.stage = stage;
    this.given.belong(stage);
    const config = this.config.service;
    this.calls.belong(stage, config !== null ? config.cluster : null);
    const service = this.service;
    if (service !== null) service.belong(stage);
  }

  stateOf(exchange: Exchange): CacheState {
    return stateIn(exchange, this.stage!);
  }

  /** The request is to be answered from the cache if it can. */
  begin(exchange: Exchange, state: CacheState, rule: CacheRule): Verdict {
    let stale = false;
    if (!state.refreshes) {
      const found = this.memory.look(state);
      if (found == Found.Fresh) {
        // It may well be asked again.
        if (!exchange.isKnown) this.stage!.host!.keepBody(exchange);
        if (rule.isPaced && exchange.streaming && this.askReplay(exchange, state)) return this.wait(state, Step.Asks);
        return this.given.serve(exchange, state, rule, Outcome.Hit, HIT);
      }
      if (rule.transcode && this.memory.lookForOther(exchange, state)) return this.given.serve(exchange, state, rule, Outcome.Transcoded, HIT);
      if (found == Found.Stale) stale = this.prepareStale(exchange, state, rule);
      if (rule.sharesCalls || stale) return this.join(exchange, state, rule, stale, false);
    }
    return this.ask(exchange, state, rule);
  }

  /** The answer is complete, and may be given again. */
  store(exchange: Exchange, state: CacheState, rule: CacheRule, recorder: Recorder, recording: Recording): void {
    const now = milliseconds();
    const memory = this.memory;
    const kept = memory.store(exchange, state, rule, recorder, recording, now);
    const service = this.service;
    if (kept != Kept.Dead && service !== null) service.put(state, memory.entry, recorder.pace.write(), now);
    this.calls.finish(state, isKept(kept) ? FlightOutcome.Stored : FlightOutcome.Private, now);
  }

  /** The request is over. */
  forget(exchange: Exchange, state: CacheState): void {
    this.calls.close(state, false);
    if (state.step == Step.ReadsAlong) this.given.noteSaved(exchange, state);
    const service = this.service;
    if (service !== null) service.forget(state);
    this.calls.leave(state);
  }

  told(exchange: Exchange, state: CacheState, rule: CacheRule, news: FlightNews): void {
    state.at = milliseconds();
    if (news == FlightNews.Live) {
      this.readAlong(exchange, state);
      return;
    }
    if (news == FlightNews.Lead) this.calls.lead(exchange, state, rule);
    this.goOn(exchange, news == FlightNews.Look ? this.lookAgain(exchange, state, rule) : this.ask(exchange, state, rule));
  }

  /** What the service has for a request, empty for nothing. */
  found(exchange: Exchange, value: StoredValue): void {
    const state = this.stateOf(exchange);
    const rule = state.rule;
    const service = this.service;
    if (rule === null || service === null) return;
    service.answered(state);
    if (state.replayOf != 0) return this.goOn(exchange, this.takeReplay(exchange, state, rule, value));
    const similar = value.similarity > 0;
    const fits = service.fits(exchange, state, value) && (!similar || state.question !== null);
    if (!fits) this.goOn(exchange, this.fetch(exchange, state));
    else if (similar) this.goOn(exchange, this.takeSimilar(exchange, state, rule, value));
    else this.goOn(exchange, this.takeShared(exchange, state, rule, value));
  }

  onTick(): void {
    const now = milliseconds();
    this.calls.tick(now);
    this.purges.refresh(now);
    const service = this.service;
    if (service !== null) service.listen(now);
  }

  onCallAnswer(id: u32, message: Bytes | null): bool {
    const service = this.service;
    const ours = this.calls.receive(id, message) || (service !== null && service.receive(id, message, milliseconds()));
    if (ours) this.calls.tell();
    return ours;
  }

  onGone(): void {
    this.calls.onGone();
    const service = this.service;
    if (service !== null) service.onGone();
  }

  /** There is an answer that is fresh no more. True when it is given while a new one is fetched. */
  private prepareStale(exchange: Exchange, state: CacheState, rule: CacheRule): bool {
    const expiresAt = answer.meta.expiresAt;
    const until = expiresAt + rule.staleIfErrorMs;
    if (state.at <= until) this.given.backUpUntil(exchange, state, until);
    return state.at <= expiresAt + rule.staleWhileRevalidateMs;
  }

  /** Asks the service to give what is in `answer` as it came. False when it cannot be asked: then it is given at once. */
  private askReplay(exchange: Exchange, state: CacheState): bool {
    const service = this.service;
    if (service === null) return false;
    state.replayOf = answer.meta.storedAt;
    if (service.ask(exchange, state)) return true;
    state.replayOf = 0;
    return false;
  }

  /** What the service says to that. */
  private takeReplay(exchange: Exchange, state: CacheState, rule: CacheRule, value: StoredValue): Verdict {
    state.replayOf = 0;
    if (value.replays) return this.readReplay(exchange, state, value, Outcome.Hit);
    if (this.memory.lookFor(state) == Found.Fresh) return this.given.serve(exchange, state, rule, Outcome.Hit, HIT);
    return rule.sharesCalls ? this.join(exchange, state, rule, false, false) : this.ask(exchange, state, rule);
  }

  /** The request goes to the service, which gives it the stored answer as it came. */
  private readReplay(exchange: Exchange, state: CacheState, value: StoredValue, outcome: Outcome): Verdict {
    const gate = exchange.gate;
    if (gate === null || !gate.focus()) return Verdict.Answered;
    unchecked(this.metrics.rules[state.index]).request(outcome);
    exchange.cache = "hit";
    this.given.backUp(exchange, state, HIT);
    state.liveLow = value.replayLow;
    state.liveHigh = value.replayHigh;
    pointToFlight(state);
    gate.divert();
    return Verdict.Diverted;
  }

  /** Joins those who want the same. `stale`: an old answer is at hand. */
  private join(exchange: Exchange, state: CacheState, rule: CacheRule, stale: bool, again: bool): Verdict {
    const calls = this.calls;
    const given = this.given;
    // Who has an old answer never waits, so it may join where calls are not shared.
    const until = stale ? max(state.until, state.at + REVALIDATES) : state.until;
    const role = calls.join(exchange, state, until, again);
    if (role == FlightRole.Look) {
      if (this.memory.lookFor(state) == Found.Fresh) return given.serve(exchange, state, rule, Outcome.Coalesced, COALESCED);
      return this.join(exchange, state, rule, stale, true);
    }
    if (role == FlightRole.Alone) return this.ask(exchange, state, rule);
    const isLive = role == FlightRole.Live;
    if (isLive && !stale) return this.readAlong(exchange, state);
    if (role == FlightRole.Leader) {
      calls.lead(exchange, state, rule);
      return this.ask(exchange, state, rule);
    }
    if (stale) {
      const found = this.memory.lookFor(state);
      if (found != Found.Missing || !rule.sharesCalls || isLive) {
        if (!isLive) calls.withdraw(state);
        if (found == Found.Missing) return this.ask(exchange, state, rule);
        return found == Found.Fresh ? given.serve(exchange, state, rule, Outcome.Hit, HIT) : given.serve(exchange, state, rule, Outcome.Stale, STALE);
      }
    }
    calls.follow(exchange, state, rule);
    return this.wait(state, Step.Follows);
  }

  /** The request goes to the service, which gives it what comes of another one's answer. */
  private readAlong(exchange: Exchange, state: CacheState): Verdict {
    const gate = state.held ? exchange.gate : null;
    if (gate !== null && !gate.focus()) return Verdict.Answered;
    unchecked(this.metrics.rules[state.index]).request(Outcome.Coalesced);
    exchange.cache = "coalesced";
    this.given.backUp(exchange, state, COALESCED);
    pointToFlight(state);
    if (gate !== null) gate.divert();
    return Verdict.Diverted;
  }

  /** The call that it waited for has brought something. */
  private lookAgain(exchange: Exchange, state: CacheState, rule: CacheRule): Verdict {
    if (this.memory.lookFor(state) == Found.Fresh) return this.given.serve(exchange, state, rule, Outcome.Coalesced, COALESCED);
    return this.join(exchange, state, rule, false, true);
  }

  /** Asks the service, or goes upstream. */
  private ask(exchange: Exchange, state: CacheState, rule: CacheRule): Verdict {
    const service = this.service;
    if (service !== null && !state.refreshes && service.ask(exchange, state)) return this.wait(state, Step.Asks);
    return this.fetch(exchange, state);
  }

  private wait(state: CacheState, step: Step): Verdict {
    state.step = step;
    state.held = true;
    return Verdict.Wait;
  }

  /** Nobody has it: the upstream is asked. */
  private fetch(exchange: Exchange, state: CacheState): Verdict {
    if (state.onlyIfCached) {
      this.calls.end(state, FlightOutcome.Abandoned);
      return this.given.refuse(exchange, state);
    }
    state.step = Step.Fetches;
    exchange.cache = state.refreshes ? "stored" : "miss";
    // What becomes of one with an old answer behind it is known at its end.
    if (!state.backedUp) unchecked(this.metrics.rules[state.index]).request(Outcome.Miss);
    return Verdict.Next;
  }

  /** The service has an answer. */
  private takeShared(exchange: Exchange, state: CacheState, rule: CacheRule, value: StoredValue): Verdict {
    const kept = this.memory.take(state, rule, value.bytes);
    this.calls.finish(state, isKept(kept) ? FlightOutcome.Stored : FlightOutcome.Private, state.at);
    if (value.replays) return this.readReplay(exchange, state, value, Outcome.Shared);
    return this.given.serve(exchange, state, rule, Outcome.Shared, HIT);
  }

  /** The service has an answer to a question like this one. It stays the other question's: kept under this key too, answers would drift from one to the next. */
  private takeSimilar(exchange: Exchange, state: CacheState, rule: CacheRule, value: StoredValue): Verdict {
    this.calls.finish(state, FlightOutcome.Private, state.at);
    state.low = value.low;
    state.high = value.high;
    state.similarity = value.similarity;
    return this.given.serve(exchange, state, rule, Outcome.Similar, HIT);
  }

  /** Does with a held request what was decided. */
  private goOn(exchange: Exchange, verdict: Verdict): void {
    const gate = exchange.gate;
    if (verdict == Verdict.Next && gate !== null) gate.proceed();
  }
}

/** Followers find it. */
function isKept(kept: Kept): bool {
  return kept == Kept.Stored || kept == Kept.Newer;
}
