/**
 * Streams that use more than they reserved: each reserves more as it grows. When its budget has no more, it ends, or waits (paced-streams.ts); where a service keeps
 * the budget, the answer is held until that has said whether there is more.
 */
import { Exchange } from "../pipeline/exchange";
import { Flow } from "../pipeline/stage";
import { Verdict as Reservation } from "../state/budget-store";
import { Outcome } from "./limit-metrics";
import { Limiter } from "./limiter";
import { milliseconds } from "./milliseconds";
import { PacedStreams } from "./paced-streams";
import { RateLimitState, Standing } from "./rate-limit-state";
import { OnFailure, Overrun } from "./rule";
import { ServiceBudgets } from "./service-budgets";
import { ServiceClaim } from "./service-claim";

/** How often a piece asks the service before its stream is stopped: others may take what was granted to it. */
const ROUNDS: i32 = 8;
/** Tokens that a stream reserves beyond what it needs, so that it need not for each piece. */
const STEP: i64 = 64;

@final
export class RunningStreams {
  private readonly paced: PacedStreams;

  constructor(private readonly limiter: Limiter) {
    this.paced = new PacedStreams(limiter);
  }

  /** The pieces of the answer are to be looked at, if a rule says what becomes of a stream that has used up its reservation. */
  watch(exchange: Exchange, state: RateLimitState): void {
    let watches = false;
    let mayEnd = false;
    for (let place = 0; place < state.count; place++) {
      const rule = this.limiter.ruleAt(state, place);
      watches = watches || rule.limitsStreams;
      mayEnd = mayEnd || (rule.limitsStreams && rule.overrun == Overrun.Stop);
    }
    if (watches) exchange.watch(mayEnd);
  }

  onPiece(exchange: Exchange, state: RateLimitState): Flow {
    if (state.stops) return this.end(exchange, state);
    return state.heldUntil != 0 || state.asked !== null ? Flow.Hold : this.reserveMore(exchange, state);
  }

  /** Held answers whose time has come try again. True while some are held. */
  onMoment(): bool {
    const paced = this.paced;
    const now = paced.length > 0 ? milliseconds.now() : 0;
    for (let i = paced.length - 1; i >= 0; i--) {
      const exchange = paced.at(i);
      const state = this.limiter.stateOf(exchange);
      if (state.heldUntil <= now) this.tryHeld(exchange, state);
    }
    return paced.length > 0;
  }

  /** What the service says to an answer that is held. */
  takeAnswer(exchange: Exchange, state: RateLimitState, service: ServiceBudgets, claim: ServiceClaim, understood: bool): void {
    const place = state.extends;
    state.asked = null;
    state.extends = -1;
    let flow = Flow.Pass;
    if (understood) flow = service.takeMore(state, claim, state.now) ? this.reserveMore(exchange, state) : this.stop(exchange, state, place);
    else {
      service.client.end(claim);
      flow = this.extendAlone(exchange, state, place);
    }
    if (flow != Flow.Hold) this.resume(exchange, state, flow);
  }

  /** The stream is over. */
  forget(exchange: Exchange, state: RateLimitState): void {
    if (state.heldUntil != 0) this.paced.remove(exchange);
  }

  /** Reserves what the answer has grown beyond its reservation, and some more. Most pieces are within it. */
  private reserveMore(exchange: Exchange, state: RateLimitState): Flow {
    const budgets = this.limiter.budgets;
    const tokens = this.limiter.forecast.soFar(exchange);
    for (let place = 0; place < state.count; place++) {
      const standing = unchecked(state.standings[place]);
      if (!this.limiter.ruleAt(state, place).limitsStreams || (standing != Standing.Reserved && standing != Standing.Held)) continue;
      budgets.wantsMore(state, place, exchange.model, tokens);
      if (!budgets.wantsAny(place, state)) continue;
      state.now = milliseconds.now();
      const flow = standing == Standing.Held ? this.askMore(exchange, state, place, tokens) : this.extend(exchange, state, place, tokens);
      if (flow != Flow.Pass) return flow;
    }
    return Flow.Pass;
  }

  /** Of the store's budget. */
  private extend(exchange: Exchange, state: RateLimitState, place: i32, tokens: i64): Flow {
    const rule = this.limiter.ruleAt(state, place);
    if (rule.overrun == Overrun.Pace) return this.paced.pace(exchange, state, place, tokens);
    const budgets = this.limiter.budgets;
    const claim = unchecked(state.claims[place]);
    let outcome = budgets.store.extend(claim, budgets.wantsMore(state, place, exchange.model, tokens + STEP), state.now);
    if (outcome == Reservation.Refused) outcome = budgets.store.extend(claim, budgets.wantsMore(state, place, exchange.model, tokens), state.now);
    if (rule.isRemote) this.limiter.askAhead(exchange, state, place);
    if (outcome != Reservation.Refused) {
      state.rounds = 0;
      return Flow.Pass;
    }
    return rule.isRemote ? this.askMore(exchange, state, place, tokens) : this.stop(exchange, state, place);
  }

  /** Holds the answer until the service has said whether there is more. */
  private askMore(exchange: Exchange, state: RateLimitState, place: i32, tokens: i64): Flow {
    const service = this.limiter.service;
    const host = this.limiter.host;
    if (service === null || host === null) return Flow.Pass;
    const budgets = this.limiter.budgets;
    const rule = this.limiter.ruleAt(state, place);
    const claim = unchecked(state.claims[place]);
    if (rule.isStrict) state.rounds = 0;
    else if (++state.rounds > ROUNDS) return this.stop(exchange, state, place);
    const units = rule.isStrict ? budgets.wantsMore(state, place, exchange.model, tokens + STEP) : claim.shortfall;
    state.extends = place;
    if (service.askMore(host, exchange, state, place, units)) {
      // What the service is asked for counts as reserved: if it refuses, the answer ends.
      if (rule.isStrict) budgets.count(claim, units, rule.limits.length);
      return Flow.Hold;
    }
    return this.extendAlone(exchange, state, place);
  }

  /** The service cannot be asked for more. What runs may run on, unless nothing may without it. */
  private extendAlone(exchange: Exchange, state: RateLimitState, place: i32): Flow {
    this.limiter.metrics.decidedAlone(unchecked(state.rules[place]));
    state.extends = -1;
    if (this.limiter.ruleAt(state, place).onFailure == OnFailure.Closed) return this.stop(exchange, state, place);
    return Flow.Pass;
  }

  private stop(exchange: Exchange, state: RateLimitState, place: i32): Flow {
    this.limiter.note(state, place, Outcome.Stopped);
    return this.end(exchange, state);
  }

  private end(exchange: Exchange, state: RateLimitState): Flow {
    exchange.inputSoFar = exchange.usage.inputTotal > 0 ? exchange.usage.inputTotal : state.prompt;
    exchange.outputSoFar = this.limiter.forecast.soFar(exchange);
    return Flow.End;
  }

  private tryHeld(exchange: Exchange, state: RateLimitState): void {
    const flow = this.reserveMore(exchange, state);
    if (flow == Flow.Hold) return;
    this.paced.remove(exchange);
    state.heldUntil = 0;
    this.resume(exchange, state, flow);
  }

  private resume(exchange: Exchange, state: RateLimitState, flow: Flow): void {
    // What was held is on its way: the answer ends with what comes next.
    state.stops = flow == Flow.End;
    const gate = exchange.gate;
    if (gate !== null) gate.resumeAnswer();
  }
}
