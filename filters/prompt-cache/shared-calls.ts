/** Requests with the same key that share a call: who makes it and who waits at the flight board, and streams that are read along. What becomes of one that waits no more is the lookups' (lookups.ts). */
import { Exchange } from "../pipeline/exchange";
import { Stage } from "../pipeline/stage";
import { Bytes, IdTable } from "../sdk";
import { FlightBoard, FlightNews, FlightOutcome, FlightRole, FlightSink } from "../state/flight-board";
import { CacheEvent, CacheMetrics } from "./cache-metrics";
import { CacheState, milliseconds, stateIn } from "./cache-state";
import { DeferredNews, NewsTaker } from "./deferred-news";
import { LiveAnswers } from "./live-answers";
import { Recorder } from "./recorder";
import { CacheRule } from "./rule";

/** What tells the numbers of workers here from those of others with the same scope. */
const FLIGHTS: u64 = 0x7466_6c69_6768_7473;

export interface Followers {
  /** What a request waited for. It has its ticket only with `Lead`; with `Live` its state says where to read along. Only in a callback of the root. */
  told(exchange: Exchange, state: CacheState, rule: CacheRule, news: FlightNews): void;
}

/** Hears for the calls, which are not there yet when it is needed. */
@final
class Board extends FlightSink {
  calls: SharedCalls | null = null;

  onNews(id: u32, ticket: u32, news: FlightNews): void {
    const calls = this.calls;
    if (calls !== null) calls.hear(ticket, news);
  }

  onWanted(ticket: u32): void {
    const calls = this.calls;
    if (calls !== null) calls.wanted(ticket);
  }
}

@final
export class SharedCalls implements NewsTaker {
  private stage: Stage | null = null;
  private readonly flights: FlightBoard;
  /** Requests that wait for others, by ticket. */
  private readonly following: IdTable<Exchange> = new IdTable<Exchange>();
  /** Null where there is no service. */
  private live: LiveAnswers | null = null;
  private readonly deferred: DeferredNews = new DeferredNews();
  // What was reported of the board's figures.
  private handovers: u64 = 0;
  private timeouts: u64 = 0;
  private unshared: u64 = 0;

  constructor(
    private readonly metrics: CacheMetrics,
    scope: u64,
    private readonly followers: Followers,
  ) {
    const board = new Board();
    this.flights = new FlightBoard(scope ^ FLIGHTS, board);
    board.calls = this;
  }

  /** `cluster`: of the service where answers are read along; null for none. */
  belong(stage: Stage, cluster: Bytes | null): void {
    this.stage = stage;
    if (cluster !== null) this.live = new LiveAnswers(cluster, this.flights, stage);
  }

  /** As `FlightBoard.join`; the state has the ticket then, or where to read along. */
  join(exchange: Exchange, state: CacheState, until: i64, again: bool): FlightRole {
    const flights = this.flights;
    const role = flights.join(state.low, state.high, exchange.id, until, state.at, again);
    state.ticket = flights.ticket;
    if (role == FlightRole.Live) this.readFrom(state);
    return role;
  }

  /** It waits for the call of another one. */
  follow(exchange: Exchange, state: CacheState, rule: CacheRule): void {
    this.following.set(state.ticket, exchange);
    const host = this.stage!.host;
    if (host !== null) host.hurry();
    if (rule.live && exchange.streaming) this.flights.order(state.ticket);
  }

  /** It leads: others may read along what comes of it. */
  lead(exchange: Exchange, state: CacheState, rule: CacheRule): void {
    const live = this.live;
    if (live !== null && rule.live && exchange.streaming) live.lead(state.ticket, exchange);
  }

  /** It has joined, and does not want to wait. */
  withdraw(state: CacheState): void {
    this.flights.leave(state.ticket, state.at);
    state.ticket = 0;
  }

  /** The call of this request, if it leads, is over. */
  finish(state: CacheState, outcome: FlightOutcome, now: i64): void {
    if (state.ticket == 0) return;
    const ticket = state.ticket;
    state.ticket = 0;
    this.unlead(ticket);
    this.flights.finish(ticket, outcome, now);
  }

  /** It came to nothing that others could have. */
  end(state: CacheState, outcome: FlightOutcome): void {
    if (state.ticket != 0) this.finish(state, outcome, milliseconds());
  }

  /** The request is over. */
  leave(state: CacheState): void {
    if (state.ticket == 0) return;
    this.following.delete(state.ticket);
    this.unlead(state.ticket);
    this.flights.leave(state.ticket, milliseconds());
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

  hear(ticket: u32, news: FlightNews): void {
    const stage = this.stage!;
    const exchange = news == FlightNews.Live ? this.following.get(ticket) : null;
    if (exchange !== null) this.readFrom(stateIn(exchange, stage));
    this.deferred.add(ticket, news, stage.host);
  }

  wanted(ticket: u32): void {
    const live = this.live;
    if (live !== null) live.wanted(ticket, this.stage!.host);
  }

  take(ticket: u32, news: FlightNews): void {
    const exchange = this.following.get(ticket);
    if (exchange === null) return;
    this.following.delete(ticket);
    const state = stateIn(exchange, this.stage!);
    const rule = state.rule;
    if (rule === null || state.ticket != ticket) return;
    if (news != FlightNews.Lead) state.ticket = 0;
    this.followers.told(exchange, state, rule, news);
  }

  /** Those who are to be told are. Only in a callback of the root. */
  tell(): void {
    this.deferred.tell(this);
  }

  tick(now: i64): void {
    this.flights.tick(now);
    this.tell();
    this.report();
  }

  /** Those who wait are told when their time is over. True while anybody waits. */
  onMoment(): bool {
    if (this.flights.waiting > 0) this.flights.expire(milliseconds());
    this.tell();
    return this.flights.waiting > 0;
  }

  onQueueReady(queue: u32): bool {
    const ours = this.deferred.isReady(queue) || this.flights.onQueueReady(queue, milliseconds());
    if (ours) this.tell();
    return ours;
  }

  /** As `Stage.onCallAnswer`. */
  receive(id: u32, message: Bytes | null): bool {
    const live = this.live;
    return live !== null && live.receive(id, message, this.stage!.host);
  }

  onGone(): void {
    this.flights.release(milliseconds());
    this.tell();
  }

  private readFrom(state: CacheState): void {
    state.liveLow = this.flights.liveLow;
    state.liveHigh = this.flights.liveHigh;
  }

  private unlead(ticket: u32): void {
    const live = this.live;
    if (live !== null) live.forget(ticket);
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
