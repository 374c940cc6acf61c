/**
 * Which requests run: reserves what a request will take under all rules that match, or under none.
 *
 *   Open -> Reserved   there was room in the store of this Envoy
 *   Open -> Asked      a service has to be asked; the request waits
 *   Asked -> Held      it has room: reserved there
 *   Asked -> Open      a lease came: to be reserved in the store, with all others that are open
 *   Open -> Free       a rule in shadow has no room; or nobody can be asked, and the rule lets pass what nobody decides on
 *
 * A request that is refused may wait for room in a queue, with nothing reserved.
 */
import { Exchange } from "../pipeline/exchange";
import { Verdict as Reservation } from "../state/budget-store";
import { ClientAnswers } from "./client-answers";
import { Outcome } from "./limit-metrics";
import { Limiter } from "./limiter";
import { milliseconds } from "./milliseconds";
import { RateLimitState, Standing } from "./rate-limit-state";
import { RequestQueue } from "./request-queue";
import { OnFailure } from "./rule";
import { ServiceBudgets } from "./service-budgets";
import { ServiceClaim } from "./service-claim";

/** How often a request asks the service before it is refused: other requests may take what was granted to it. */
const ROUNDS: i32 = 8;
/** Queued requests that are looked at on one tick. */
const TURNS: i32 = 128;

/** What the rules say. */
export const enum Admission {
  Admitted = 0,
  /** The rule at `state.refusedBy` has no room. */
  Refused = 1,
  /** It needs a service that cannot be asked. */
  Unavailable = 2,
  /** The service is asked, or the request is queued. */
  Waits = 3,
}

@final
export class AdmissionControl {
  private readonly queue: RequestQueue = new RequestQueue();

  constructor(
    private readonly limiter: Limiter,
    private readonly answers: ClientAnswers,
  ) {}

  /** Decides on a request that has come, or queues it. */
  decide(exchange: Exchange, state: RateLimitState): Admission {
    const admission = this.admit(exchange, state);
    return admission == Admission.Refused && this.enqueue(exchange, state) ? Admission.Waits : admission;
  }

  /** Tells the client of a request that does not run. */
  refuse(exchange: Exchange, state: RateLimitState, admission: Admission): void {
    if (admission == Admission.Refused) this.answers.sendRefusal(exchange, state);
    else this.answers.sendUnavailable(exchange, state);
  }

  /** What the service said to a request that waits for it. */
  takeAnswer(exchange: Exchange, state: RateLimitState, service: ServiceBudgets, claim: ServiceClaim, understood: bool): void {
    let admission = Admission.Refused;
    if (!understood) {
      admission = this.decideAlone(exchange, state);
      if (admission == Admission.Admitted) admission = this.admit(exchange, state);
    } else {
      state.asked = null;
      const passes = service.take(state, claim, state.now);
      this.countHeld(state);
      // What was granted is reserved of now; a shadow rule that refused does not count, and the others are asked for again.
      if (passes || this.passShadow(state, state.refusedBy)) admission = this.admit(exchange, state);
    }
    this.goOn(exchange, state, admission);
  }

  /** Queued requests try again, in the order in which they came. True while some wait. */
  onMoment(): bool {
    const turns = this.queue.begin(TURNS);
    for (let i = 0; i < turns; i++) {
      const exchange = this.queue.turn();
      if (exchange !== null) this.retry(exchange);
    }
    return this.queue.length > 0;
  }

  /** The request is over. */
  forget(exchange: Exchange, state: RateLimitState): void {
    if (state.queuedUntil != 0) this.queue.remove(exchange);
  }

  /** Reserves for all rules that are open; when one refuses, for none. */
  private admit(exchange: Exchange, state: RateLimitState): Admission {
    const limiter = this.limiter;
    state.now = milliseconds.now();
    let asks = false;
    for (let place = 0; place < state.count; place++) {
      if (unchecked(state.standings[place]) != Standing.Open) continue;
      const rule = limiter.ruleAt(state, place);
      if (!rule.hasPrice(exchange.model)) limiter.metrics.unpriced(unchecked(state.rules[place]));
      if (rule.isStrict) {
        asks = true;
        continue;
      }
      const wants = limiter.budgets.wants(state, place, exchange.model);
      const outcome = limiter.budgets.reserve(state, place, wants);
      if (rule.isRemote) limiter.askAhead(exchange, state, place);
      if (outcome != Reservation.Refused) this.admitted(state, place);
      else if (rule.isRemote) asks = true;
      else if (!this.passShadow(state, place)) return this.refused(state, place);
    }
    return asks ? this.ask(exchange, state) : Admission.Admitted;
  }

  private admitted(state: RateLimitState, place: i32): void {
    unchecked((state.standings[place] = Standing.Reserved));
    this.limiter.note(state, place, Outcome.Admitted);
  }

  private refused(state: RateLimitState, place: i32): Admission {
    state.refusedBy = place;
    return Admission.Refused;
  }

  /** True when the rule that refuses is not in force. */
  private passShadow(state: RateLimitState, place: i32): bool {
    if (!this.limiter.ruleAt(state, place).shadow) return false;
    this.limiter.note(state, place, Outcome.ShadowRefused);
    unchecked((state.standings[place] = Standing.Free));
    return true;
  }

  private ask(exchange: Exchange, state: RateLimitState): Admission {
    const service = this.limiter.service;
    const host = this.limiter.host;
    if (service === null || host === null) return Admission.Admitted;
    if (++state.rounds > ROUNDS) return this.refused(state, this.firstOpen(state));
    if (service.ask(host, exchange, state)) return Admission.Waits;
    return this.decideAlone(exchange, state);
  }

  private firstOpen(state: RateLimitState): i32 {
    for (let place = 0; place < state.count; place++) {
      if (unchecked(state.standings[place]) != Standing.Open) continue;
      const claim = unchecked(state.claims[place]);
      claim.availableAt = max(claim.availableAt, state.now);
      return place;
    }
    return 0;
  }

  /** The service cannot be asked: each rule says what becomes of the request. */
  private decideAlone(exchange: Exchange, state: RateLimitState): Admission {
    const limiter = this.limiter;
    const asked = state.asked;
    const service = limiter.service;
    if (asked !== null && service !== null) service.client.end(asked);
    state.asked = null;
    let admission = Admission.Admitted;
    for (let place = 0; place < state.count; place++) {
      if (unchecked(state.standings[place]) != Standing.Asked) continue;
      const rule = limiter.ruleAt(state, place);
      unchecked((state.standings[place] = Standing.Open));
      limiter.metrics.decidedAlone(unchecked(state.rules[place]));
      if (admission != Admission.Admitted) continue;
      if (rule.onFailure == OnFailure.Open) {
        unchecked((state.standings[place] = Standing.Free));
      } else if (rule.onFailure == OnFailure.Closed) {
        if (!this.passShadow(state, place)) admission = this.unavailable(state, place);
      } else if (limiter.budgets.reserveAlone(state, place, limiter.budgets.wants(state, place, exchange.model)) != Reservation.Refused) {
        this.admitted(state, place);
      } else if (!this.passShadow(state, place)) admission = this.refused(state, place);
    }
    return admission;
  }

  private unavailable(state: RateLimitState, place: i32): Admission {
    state.refusedBy = place;
    return Admission.Unavailable;
  }

  /** Reservations that the service has made just now. */
  private countHeld(state: RateLimitState): void {
    if (state.held === null) return;
    for (let place = 0; place < state.count; place++) {
      if (unchecked(state.standings[place]) == Standing.Held) this.limiter.note(state, place, Outcome.Admitted);
    }
  }

  /** True when the rule that refused lets the request wait. */
  private enqueue(exchange: Exchange, state: RateLimitState): bool {
    const rule = this.limiter.ruleAt(state, state.refusedBy);
    const host = this.limiter.host;
    if (rule.queueMs == 0 || state.hasWaited || host === null || !this.queue.add(exchange)) return false;
    state.hasWaited = true;
    state.queuedUntil = state.now + rule.queueMs;
    this.limiter.note(state, state.refusedBy, Outcome.Queued);
    this.limiter.giveBack(state);
    host.hurry();
    return true;
  }

  private retry(exchange: Exchange): void {
    const state = this.limiter.stateOf(exchange);
    const admission = this.admit(exchange, state);
    if (admission == Admission.Refused && state.now < state.queuedUntil) {
      this.limiter.giveBack(state);
      return;
    }
    this.queue.remove(exchange);
    state.queuedUntil = 0;
    this.goOn(exchange, state, admission);
  }

  /** A request that was held is decided, or goes on waiting. */
  private goOn(exchange: Exchange, state: RateLimitState, admission: Admission): void {
    const gate = exchange.gate;
    if (gate === null || admission == Admission.Waits) return;
    if (admission == Admission.Admitted) {
      gate.release();
    } else if (admission == Admission.Refused && this.enqueue(exchange, state)) {
      return;
    } else if (gate.take()) this.refuse(exchange, state, admission);
  }
}
