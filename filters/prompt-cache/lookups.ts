/**
 * The ways of a request to a stored answer, in this order: the memory of this Envoy, a call for the same key that runs already, the service behind all Envoys; in the end
 * the upstream, and the way of its answer into the memory.
 */
import { Recording } from "../lib/answer-segments";
import { Exchange } from "../pipeline/exchange";
import { notCached } from "../pipeline/refusal";
import { Stage, Verdict } from "../pipeline/stage";
import { Bytes, IdTable, time } from "../sdk";
import { FLAG_STREAM } from "../state/answer-entry";
import { Found, Kept } from "../state/answer-slab";
import { FlightBoard, FlightNews, FlightOutcome, FlightRole, FlightSink } from "../state/flight-board";
import { PurgeList } from "../state/purge-list";
import { WorkerSlots } from "../state/worker-slots";
import { answer, AnswerMemory, isTooOld } from "./answer-memory";
import { AnswersClient, AnswersSink } from "./answers-client";
import { CacheEvent, CacheMetrics, Outcome } from "./cache-metrics";
import { CacheState, Step } from "./cache-state";
import { PromptCacheConfig } from "./config";
import { DeferredNews, NewsTaker } from "./deferred-news";
import { MOST_TEXT } from "./question";
import { Recorder } from "./recorder";
import { sendAnswer } from "./reply";
import { CacheRule } from "./rule";
import { LiveAnswers, pointToFlight } from "./live-answers";
import { knownTokens, savedMoney } from "./saved-money";
import { beginPut, StoredValue } from "./service-messages";
import { SpareEntry, STALE } from "./spare-entry";
import { StoredReplay } from "./stored-replay";

const HIT = Bytes.literal("hit");
const COALESCED = Bytes.literal("coalesced");
const MS: u64 = 1_000_000;
/** ms that a call which replaces an old answer may take before another one is made. */
const REVALIDATES: i64 = 60_000;
/** What tells the numbers of workers here from those of others with the same scope. */
const FLIGHTS: u64 = 0x7466_6c69_6768_7473;
const LISTENERS: u64 = 0x746c_6973_7465_6e73;

const nothing = new Bytes();

/** Hears for the lookups, which are not there yet when it is needed. */
@final
class News extends FlightSink implements AnswersSink {
  lookups: Lookups | null = null;

  onNews(id: u32, ticket: u32, news: FlightNews): void {
    const lookups = this.lookups;
    if (lookups !== null) lookups.onNews(ticket, news);
  }

  onWanted(ticket: u32): void {
    const lookups = this.lookups;
    if (lookups !== null) lookups.onWanted(ticket);
  }

  found(exchange: Exchange, value: StoredValue): void {
    const lookups = this.lookups;
    if (lookups !== null) lookups.found(exchange, value);
  }
}

@final
export class Lookups implements NewsTaker {
  private stage: Stage | null = null;
  private readonly purges: PurgeList;
  private readonly memory: AnswerMemory;
  private readonly flights: FlightBoard;
  private readonly client: AnswersClient | null;
  /** Which workers listen for purges; null when there is nobody to say them. */
  private readonly listeners: WorkerSlots | null;
  /** Requests that wait for others, by ticket. */
  private readonly following: IdTable<Exchange> = new IdTable<Exchange>();
  /** Null where there is no service. */
  private live: LiveAnswers | null = null;
  private readonly deferred: DeferredNews = new DeferredNews();
  private handovers: u64 = 0;
  private timeouts: u64 = 0;
  private unshared: u64 = 0;

  constructor(
    private readonly config: PromptCacheConfig,
    private readonly metrics: CacheMetrics,
    scope: u64,
  ) {
    const news = new News();
    const purges = new PurgeList();
    this.purges = purges;
    this.memory = new AnswerMemory(config, metrics, purges);
    this.flights = new FlightBoard(scope ^ FLIGHTS, news);
    const listens = config.purgeCluster.len > 0;
    this.client = listens ? new AnswersClient(config.service, config.purgeCluster, metrics, purges, news) : null;
    this.listeners = listens ? new WorkerSlots(scope ^ LISTENERS) : null;
    news.lookups = this;
  }

  /** For whom it works; its place among the stages is known by now. */
  belong(stage: Stage): void {
    this.stage = stage;
    const service = this.config.service;
    if (service !== null) this.live = new LiveAnswers(service.cluster, this.flights, stage);
  }

  stateOf(exchange: Exchange): CacheState {
    return changetype<CacheState>(unchecked(exchange.states[this.stage!.index]));
  }

  /** The request is to be answered from the cache if it can. */
  begin(exchange: Exchange, state: CacheState, rule: CacheRule): Verdict {
    let stale = false;
    if (!state.refreshes) {
      const found = this.memory.look(state);
      if (found == Found.Fresh) {
        // It may well be asked again.
        if (!exchange.isKnown) this.stage!.host!.keepBody(exchange);
        return this.serve(exchange, state, rule, Outcome.Hit, HIT);
      }
      if (rule.transcode && this.memory.lookForOther(exchange, state)) return this.serve(exchange, state, rule, Outcome.Transcoded, HIT);
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
    if (kept != Kept.Dead) this.put(state, memory.entry, now);
    this.finish(state, isKept(kept) ? FlightOutcome.Stored : FlightOutcome.Private, now);
  }

  /** The call of this request came to nothing that others could have. */
  end(state: CacheState, outcome: FlightOutcome): void {
    if (state.ticket != 0) this.finish(state, outcome, milliseconds());
  }

  /** More of an answer that others may read along. */
  pass(state: CacheState, recorder: Recorder, bytes: Bytes, safe: i32): void {
    const live = this.live;
    if (live !== null) live.pass(state, recorder, bytes, safe, this.stage!.host);
  }

  /** An answer that others may read along is over: it has come to its end, or it is not `whole`. */
  close(state: CacheState, whole: bool): void {
    const live = this.live;
    if (live === null || state.live === null) return;
    if (whole) live.complete(state, this.stage!.host);
    else live.abandon(state, this.stage!.host);
  }

  /** It was ended with these bytes before its time. */
  cut(state: CacheState, ending: Bytes): void {
    const live = this.live;
    if (live !== null && state.live !== null) live.cut(state, ending, this.stage!.host);
    this.end(state, FlightOutcome.Private);
  }

  /** It is to be answered from the cache only, and cannot. */
  refuse(exchange: Exchange, state: CacheState): Verdict {
    unchecked(this.metrics.rules[state.index]).request(Outcome.Refused);
    exchange.cache = "refused";
    if (this.isReachable(exchange, state)) notCached.send(exchange.api, nothing);
    return Verdict.Answered;
  }

  /** The request is over. */
  forget(exchange: Exchange, state: CacheState): void {
    this.close(state, false);
    if (state.step == Step.ReadsAlong) this.noteSaved(exchange, state);
    const client = this.client;
    if (client !== null && state.callId != 0) client.forget(state.callId);
    if (state.ticket == 0) return;
    this.following.delete(state.ticket);
    this.unlead(state.ticket);
    this.flights.leave(state.ticket, milliseconds());
  }

  /** Sends the stored answer of a request that no stage objects to, and says what it took. False when it is there no more. */
  replay(exchange: Exchange): bool {
    const state = this.stateOf(exchange);
    const rule = state.rule;
    if (rule === null) return false;
    state.at = milliseconds();
    if (this.memory.find(state) != Found.Fresh) return false;
    const share = <i64>rule.hitTokens;
    const meta = answer.meta;
    exchange.usage.assume(part(meta.inputTokens, share), part(meta.outputTokens, share), part(meta.cachedTokens, share));
    exchange.answered = true;
    this.send(exchange, state, rule, HIT);
    return true;
  }

  onNews(ticket: u32, news: FlightNews): void {
    const exchange = news == FlightNews.Live ? this.following.get(ticket) : null;
    if (exchange !== null) {
      const state = this.stateOf(exchange);
      state.liveLow = this.flights.liveLow;
      state.liveHigh = this.flights.liveHigh;
    }
    this.deferred.add(ticket, news, this.stage!.host);
  }

  onWanted(ticket: u32): void {
    const live = this.live;
    if (live !== null) live.wanted(ticket, this.stage!.host);
  }

  /** What a request waited for. */
  take(ticket: u32, news: FlightNews): void {
    const exchange = this.following.get(ticket);
    if (exchange === null) return;
    this.following.delete(ticket);
    const state = this.stateOf(exchange);
    const rule = state.rule;
    if (rule === null || state.ticket != ticket) return;
    state.at = milliseconds();
    if (news == FlightNews.Lead) {
      this.lead(exchange, state, rule);
      this.goOn(exchange, this.ask(exchange, state, rule));
    } else if (news == FlightNews.Live) {
      state.ticket = 0;
      this.readAlong(exchange, state, state.liveLow, state.liveHigh);
    } else {
      state.ticket = 0;
      this.goOn(exchange, news == FlightNews.Look ? this.lookAgain(exchange, state, rule) : this.ask(exchange, state, rule));
    }
  }

  /** What the service has for a request, empty for nothing. */
  found(exchange: Exchange, value: StoredValue): void {
    const state = this.stateOf(exchange);
    const rule = state.rule;
    if (rule === null) return;
    state.callId = 0;
    const now = time.now();
    this.metrics.asked(now - state.askedAt);
    state.at = <i64>(now / MS);
    const similar = value.similarity > 0;
    const fits = this.fits(exchange, state, value) && (!similar || state.question !== null);
    if (!fits) this.goOn(exchange, this.fetch(exchange, state, rule));
    else if (similar) this.goOn(exchange, this.takeSimilar(exchange, state, rule, value));
    else this.goOn(exchange, this.takeShared(exchange, state, rule, value.bytes));
  }

  onTick(): void {
    const now = milliseconds();
    this.flights.tick(now);
    this.deferred.tell(this);
    this.purges.refresh(now);
    this.listen(now);
    this.report();
  }

  /** Those who wait are told when their time is over. True while anybody waits. */
  onMoment(): bool {
    if (this.flights.waiting > 0) this.flights.expire(milliseconds());
    this.deferred.tell(this);
    return this.flights.waiting > 0;
  }

  onQueueReady(queue: u32): bool {
    const ours = this.deferred.isReady(queue) || this.flights.onQueueReady(queue, milliseconds());
    if (ours) this.deferred.tell(this);
    return ours;
  }

  onCallAnswer(id: u32, message: Bytes | null): bool {
    const client = this.client;
    const host = this.stage!.host;
    const live = this.live;
    const ours = (live !== null && live.receive(id, message, host)) || (client !== null && host !== null && client.receive(host, id, message, milliseconds()));
    if (!ours) return false;
    this.deferred.tell(this);
    return true;
  }

  onGone(): void {
    this.flights.release(milliseconds());
    this.deferred.tell(this);
    const listeners = this.listeners;
    if (listeners !== null) listeners.leave();
  }

  /** There is an answer that is fresh no more. True when it is given while a new one is fetched. */
  private prepareStale(exchange: Exchange, state: CacheState, rule: CacheRule): bool {
    const expiresAt = answer.meta.expiresAt;
    const until = expiresAt + rule.staleIfErrorMs;
    if (state.at <= until) {
      let spare = state.spare;
      if (spare === null) {
        spare = new SpareEntry(this.memory.slab, state);
        state.spare = spare;
      }
      spare.until = until;
      spare.given = false;
      exchange.spare = spare;
      state.backedUp = true;
    }
    return state.at <= expiresAt + rule.staleWhileRevalidateMs;
  }

  /** Joins those who want the same. `stale`: an old answer is at hand. */
  private join(exchange: Exchange, state: CacheState, rule: CacheRule, stale: bool, again: bool): Verdict {
    const flights = this.flights;
    // Who has an old answer never waits, so it may join where calls are not shared.
    const until = stale ? max(state.until, state.at + REVALIDATES) : state.until;
    const role = flights.join(state.low, state.high, exchange.id, until, state.at, again);
    if (role == FlightRole.Look) {
      if (this.memory.lookFor(state) == Found.Fresh) return this.serve(exchange, state, rule, Outcome.Coalesced, COALESCED);
      return this.join(exchange, state, rule, stale, true);
    }
    if (role == FlightRole.Alone) return this.ask(exchange, state, rule);
    const isLive = role == FlightRole.Live;
    if (isLive && !stale) return this.readAlong(exchange, state, flights.liveLow, flights.liveHigh);
    state.ticket = isLive ? 0 : flights.ticket;
    if (role == FlightRole.Leader) {
      this.lead(exchange, state, rule);
      return this.ask(exchange, state, rule);
    }
    if (stale) {
      const found = this.memory.lookFor(state);
      if (found != Found.Missing || !rule.sharesCalls || isLive) {
        if (!isLive) flights.leave(state.ticket, state.at);
        state.ticket = 0;
        if (found == Found.Missing) return this.ask(exchange, state, rule);
        return found == Found.Fresh ? this.serve(exchange, state, rule, Outcome.Hit, HIT) : this.serve(exchange, state, rule, Outcome.Stale, STALE);
      }
    }
    this.following.set(state.ticket, exchange);
    const host = this.stage!.host;
    if (host !== null) host.hurry();
    if (rule.live && exchange.streaming) flights.order(state.ticket);
    return this.wait(state, Step.Follows);
  }

  /** Others may read along what comes of it. */
  private lead(exchange: Exchange, state: CacheState, rule: CacheRule): void {
    const live = this.live;
    if (live !== null && rule.live && exchange.streaming) live.lead(state.ticket, exchange);
  }

  private unlead(ticket: u32): void {
    const live = this.live;
    if (live !== null) live.forget(ticket);
  }

  /** The request goes to the service, which gives it what comes of another one's answer. */
  private readAlong(exchange: Exchange, state: CacheState, low: u64, high: u64): Verdict {
    const gate = state.held ? exchange.gate : null;
    if (gate !== null && !gate.focus()) return Verdict.Answered;
    unchecked(this.metrics.rules[state.index]).request(Outcome.Coalesced);
    exchange.cache = "coalesced";
    pointToFlight(state, low, high);
    if (gate !== null) gate.divert();
    return Verdict.Diverted;
  }

  /** What reading along has saved, if the answer was one to be kept. */
  private noteSaved(exchange: Exchange, state: CacheState): void {
    const rule = state.rule;
    if (rule !== null && this.memory.find(state) == Found.Fresh) this.countSaved(exchange, state, rule);
  }

  /** The call that it waited for has brought something. */
  private lookAgain(exchange: Exchange, state: CacheState, rule: CacheRule): Verdict {
    if (this.memory.lookFor(state) == Found.Fresh) return this.serve(exchange, state, rule, Outcome.Coalesced, COALESCED);
    return this.join(exchange, state, rule, false, true);
  }

  /** Asks the service, or goes upstream. */
  private ask(exchange: Exchange, state: CacheState, rule: CacheRule): Verdict {
    const client = this.client;
    const host = this.stage!.host;
    if (client !== null && host !== null && !state.refreshes) {
      const id = client.get(host, exchange, state, state.at);
      if (id != 0) {
        state.callId = id;
        state.askedAt = time.now();
        return this.wait(state, Step.Asks);
      }
    }
    return this.fetch(exchange, state, rule);
  }

  private wait(state: CacheState, step: Step): Verdict {
    state.step = step;
    state.held = true;
    return Verdict.Wait;
  }

  /** Nobody has it: the upstream is asked. */
  private fetch(exchange: Exchange, state: CacheState, rule: CacheRule): Verdict {
    if (state.onlyIfCached) {
      this.end(state, FlightOutcome.Abandoned);
      return this.refuse(exchange, state);
    }
    state.step = Step.Fetches;
    exchange.cache = state.refreshes ? "stored" : "miss";
    // What becomes of one with an old answer behind it is known at its end.
    if (!state.backedUp) unchecked(this.metrics.rules[state.index]).request(Outcome.Miss);
    return Verdict.Next;
  }

  /** The service has an answer. */
  private takeShared(exchange: Exchange, state: CacheState, rule: CacheRule, value: Bytes): Verdict {
    const kept = this.memory.take(state, rule, value);
    this.finish(state, isKept(kept) ? FlightOutcome.Stored : FlightOutcome.Private, state.at);
    return this.serve(exchange, state, rule, Outcome.Shared, HIT);
  }

  /** The service has an answer to a question like this one. It stays the other question's: kept under this key too, answers would drift from one to the next. */
  private takeSimilar(exchange: Exchange, state: CacheState, rule: CacheRule, value: StoredValue): Verdict {
    this.finish(state, FlightOutcome.Private, state.at);
    state.low = value.low;
    state.high = value.high;
    state.similarity = value.similarity;
    return this.serve(exchange, state, rule, Outcome.Similar, HIT);
  }

  /** What the service sent is an answer to this request, and fresh. */
  private fits(exchange: Exchange, state: CacheState, value: StoredValue): bool {
    if (!answer.read(value.bytes)) return false;
    const meta = answer.meta;
    if (meta.api != <u8>exchange.api || ((meta.flags & FLAG_STREAM) != 0) != exchange.streaming) return false;
    if (meta.tenant != state.tenant || meta.model != state.model || state.at >= meta.expiresAt || isTooOld(state)) return false;
    this.purges.refresh(state.at);
    const own = value.similarity == 0;
    return this.purges.isKnown && !this.purges.isDead(own ? state.low : value.low, own ? state.high : value.high, meta);
  }

  /** Gives the client what is in `answer`. */
  private serve(exchange: Exchange, state: CacheState, rule: CacheRule, outcome: Outcome, label: Bytes): Verdict {
    unchecked(this.metrics.rules[state.index]).request(outcome);
    exchange.cache = outcome == Outcome.Coalesced ? "coalesced" : outcome == Outcome.Stale ? "stale" : "hit";
    // An answer that is made for this one request is not found again.
    if (rule.hitTokens > 0 && outcome != Outcome.Transcoded && outcome != Outcome.Stale && outcome != Outcome.Similar) {
      let replay = state.replay;
      if (replay === null) {
        replay = new StoredReplay(this, exchange);
        state.replay = replay;
      }
      exchange.replay = replay;
      return Verdict.Next;
    }
    if (this.isReachable(exchange, state)) this.send(exchange, state, rule, label);
    return Verdict.Answered;
  }

  private send(exchange: Exchange, state: CacheState, rule: CacheRule, label: Bytes): void {
    state.step = Step.None;
    this.countSaved(exchange, state, rule);
    sendAnswer(answer, label, state.low, state.high, rule.showKey, state.similarity, state.at);
  }

  /** What is in `answer` was given once more. */
  private countSaved(exchange: Exchange, state: CacheState, rule: CacheRule): void {
    const meta = answer.meta;
    const money = savedMoney(rule, exchange.model, meta);
    unchecked(this.metrics.rules[state.index]).served(answer.body.len, knownTokens(meta.inputTokens), knownTokens(meta.outputTokens), money);
  }

  /** The request is the effective one, and can be answered. */
  private isReachable(exchange: Exchange, state: CacheState): bool {
    if (!state.held) return true;
    const gate = exchange.gate;
    return gate !== null && gate.take();
  }

  /** Does with a held request what was decided. */
  private goOn(exchange: Exchange, verdict: Verdict): void {
    const gate = exchange.gate;
    if (verdict == Verdict.Next && gate !== null) gate.proceed();
  }

  private finish(state: CacheState, outcome: FlightOutcome, now: i64): void {
    if (state.ticket == 0) return;
    const ticket = state.ticket;
    state.ticket = 0;
    this.unlead(ticket);
    this.flights.finish(ticket, outcome, now);
  }

  private put(state: CacheState, value: Bytes, now: i64): void {
    const client = this.client;
    const host = this.stage!.host;
    if (client === null || host === null || !client.canPut(value.len, now)) return;
    // One that leaves no room for the words is found by its key only.
    const asked = client.canPut(value.len + MOST_TEXT, now) ? state.question : null;
    client.put(host, beginPut(state.low, state.high, client.ttlMs, asked, value.len).bytes(value), now);
  }

  /** One worker of the Envoy hears of purges, whether there is traffic or not. */
  private listen(now: i64): void {
    const listeners = this.listeners;
    const client = this.client;
    const host = this.stage!.host;
    if (listeners === null || client === null || host === null) return;
    listeners.traffic(now);
    if (!listeners.tick(now)) return;
    const before = (<u64>1 << listeners.index) - 1;
    if ((listeners.alive & before) == 0) client.listen(host, now);
  }

  private report(): void {
    const flights = this.flights;
    const handovers = flights.handovers + flights.takeovers;
    this.metrics.happened(CacheEvent.Handover, <i64>(handovers - this.handovers));
    this.metrics.happened(CacheEvent.Timeout, <i64>(flights.timeouts - this.timeouts));
    this.metrics.happened(CacheEvent.Unshared, <i64>(flights.unshared - this.unshared));
    this.handovers = handovers;
    this.timeouts = flights.timeouts;
    this.unshared = flights.unshared;
  }
}

/** Tokens that are not known stay so. */
function part(stored: u32, percent: i64): i64 {
  const tokens = knownTokens(stored);
  return tokens < 0 ? -1 : (tokens * percent) / 100;
}

/** Followers find it. */
function isKept(kept: Kept): bool {
  return kept == Kept.Stored || kept == Kept.Newer;
}

function milliseconds(): i64 {
  return <i64>(time.now() / MS);
}
