/**
 * Holds requests to their budgets: reserves what a request will take before it runs, and settles for what it took when it is over.
 *
 *   request   all rules that match: key, estimate, reservation in the store of this Envoy. What a service has to be asked for goes out in one call, and the request
 *             waits. One rule that refuses gives back what the others reserved, and answers 429, or queues the request.
 *             Streams are made to report their usage
 *   answer    x-ratelimit-* of the limits with the least left. A stream that outruns its reservation reserves more; when there is no more, it ends, or waits
 *   end       completed, broken off, timed out, refused by a later stage: the reservation becomes what was used
 *
 * Reservations of requests that run at the same time add up, so no number of them overruns a limit by more than they use over their own estimates.
 */
import { TokenCounts } from "../lib/token-charge";
import { Exchange, Problem } from "../pipeline/exchange";
import { keyRequired, rateLimited, rateLimitUnavailable } from "../pipeline/refusal";
import { Flow, Stage, StageState, Verdict } from "../pipeline/stage";
import { Bytes, log, LogLevel, time } from "../sdk";
import { MAX_LIMITS, Verdict as Reservation } from "../state/budget-store";
import { readAmounts } from "./amount-source";
import { budgetKey, hashKey } from "./budget-key";
import { RateLimitConfig } from "./config";
import { IdleRules } from "./idle-rules";
import { limitHeaders } from "./limit-headers";
import { LimitMetrics, Outcome } from "./limit-metrics";
import { RateLimitState, Standing } from "./rate-limit-state";
import { RequestQueue } from "./request-queue";
import { MissingKey, OnFailure, Overrun, RateLimitRule } from "./rule";
import { RuleBudgets } from "./rule-budgets";
import { ServiceBudgets } from "./service-budgets";
import { ServiceClaim, ServiceClaimState } from "./service-claim";
import { ServiceClient } from "./service-client";
import { ServiceMetrics } from "./service-metrics";
import { TokenForecast } from "./token-forecast";

/** How often a request asks the service before it is refused: other requests may take what was granted to it. */
const ROUNDS: i32 = 8;
/** Queued requests that are looked at on one tick. */
const TURNS: i32 = 128;
/** Tokens that a stream reserves beyond what it needs, so that it need not for each piece. */
const STEP: i64 = 64;
/** Tokens of a paced stream that it may catch up with a piece, at least. */
const PACE_STEP: i64 = 4;

/** What the rules say. */
const enum Admission {
  Admitted = 0,
  /** The rule at `state.refusedBy` has no room. */
  Refused = 1,
  /** It needs a service that cannot be asked. */
  Unavailable = 2,
  /** The service is asked. */
  Asked = 3,
}

const amounts: StaticArray<i64> = new StaticArray<i64>(MAX_LIMITS);
const counts = new TokenCounts();

@final
export class RateLimitStage extends Stage {
  private readonly rules: RateLimitRule[];
  private readonly includeUsage: bool;
  private readonly budgets: RuleBudgets;
  private readonly forecast: TokenForecast;
  private readonly metrics: LimitMetrics;
  private readonly idle: IdleRules;
  private readonly queue: RequestQueue = new RequestQueue();
  /** Answers that are held until there is room. */
  private readonly paced: RequestQueue = new RequestQueue();
  /** Of rules whose budgets a service keeps. */
  private service: ServiceBudgets | null = null;
  private serviceMetrics: ServiceMetrics | null = null;

  constructor(config: RateLimitConfig, tokensPerByte: f64) {
    super();
    const rules = config.rules;
    const budgets = new RuleBudgets(rules, config.maxKeys);
    this.rules = rules;
    this.budgets = budgets;
    this.includeUsage = config.includeUsage;
    this.forecast = forecastOf(tokensPerByte);
    const limitMetrics = new LimitMetrics(rules);
    this.metrics = limitMetrics;
    this.idle = new IdleRules(rules, limitMetrics);
    this.needsChat = config.needsChat;
    this.needsStatus = true;
    const service = config.service;
    if (service !== null) {
      const metrics = new ServiceMetrics();
      this.serviceMetrics = metrics;
      this.service = new ServiceBudgets(rules, budgets, new ServiceClient(service, rules, metrics), service.ledger);
    }
    log.text(
      LogLevel.Info,
      "rate limit: " +
        rules.length.toString() +
        " rules in force, at most " +
        budgets.store.bytes.toString() +
        " bytes of shared data for budgets" +
        (service === null ? "" : ", service " + service.cluster.toString()),
    );
  }

  createState(): StageState {
    return new RateLimitState();
  }

  onRequest(exchange: Exchange): Verdict {
    const state = this.stateOf(exchange);
    for (let i = 0; i < this.rules.length; i++) {
      const rule = unchecked(this.rules[i]);
      if (!rule.match.holds(exchange)) continue;
      state.add(i);
      const complete = hashKey(unchecked(this.budgets.identities[i]), rule.key, exchange, rule.isRemote ? state.keys : null);
      unchecked((state.hashLow[state.count - 1] = budgetKey.low));
      unchecked((state.hashHigh[state.count - 1] = budgetKey.high));
      if (complete || rule.missingKey == MissingKey.Shared) {
        if (rule.saysAmounts) readAmounts(rule.limits, exchange, state.askAmounts(state.count - 1));
        continue;
      }
      this.metrics.request(i, Outcome.KeyMissing);
      state.removeLast();
      if (rule.missingKey == MissingKey.Skip) continue;
      state.count = 0;
      keyRequired.send(exchange.api, rule.name);
      return Verdict.Answered;
    }
    if (state.count == 0) return Verdict.Next;
    this.estimate(exchange, state);
    const admission = this.admit(exchange, state);
    if (admission == Admission.Refused && !this.enqueue(exchange, state)) {
      this.sendRefusal(exchange, state);
      return Verdict.Answered;
    }
    if (admission == Admission.Unavailable) {
      this.sendUnavailable(exchange, state);
      return Verdict.Answered;
    }
    // Alone, without a stage that routes, the answer is to be looked at all the same.
    if (exchange.problem == Problem.None && this.isCounted(state)) {
      exchange.routed = true;
      if (this.includeUsage && this.countsTokens(state)) exchange.wantUsage();
      this.watchStream(exchange, state);
    }
    return admission == Admission.Admitted ? Verdict.Next : Verdict.Hold;
  }

  onResponseHeaders(exchange: Exchange): void {
    const state = this.stateOf(exchange);
    if (state.count == 0) return;
    limitHeaders.begin();
    for (let place = 0; place < state.count; place++) this.report(state, place);
    limitHeaders.writeToAnswer();
  }

  onPiece(exchange: Exchange): Flow {
    const state = this.stateOf(exchange);
    if (state.stops) return this.end(exchange, state);
    return state.heldUntil != 0 || state.asked !== null ? Flow.Hold : this.reserveMore(exchange, state);
  }

  onEnd(exchange: Exchange): void {
    const state = this.stateOf(exchange);
    if (state.count == 0) return;
    const now = milliseconds(exchange.endedAt != 0 ? exchange.endedAt : time.now());
    this.forecast.settle(exchange, counts, state.prompt, state.promptBytes);
    for (let place = 0; place < state.count; place++) {
      const standing = unchecked(state.standings[place]);
      if (standing != Standing.Reserved && standing != Standing.Held) continue;
      const index = unchecked(state.rules[place]);
      this.metrics.tokens(index, state.prompt + state.completion, counts.prompt + counts.completion);
      if (standing == Standing.Reserved) this.settle(exchange, state, place, now);
    }
    if (state.queuedUntil != 0) this.queue.remove(exchange);
    if (state.heldUntil != 0) this.paced.remove(exchange);
    const asked = state.asked;
    // Its answer will find nobody.
    if (asked !== null) asked.exchange = null;
    const held = state.held;
    const service = this.service;
    if (held !== null && service !== null) service.settle(held, counts, exchange);
    state.begin();
  }

  onTick(): void {
    const now = milliseconds(time.now());
    this.budgets.store.retry(now);
    this.metrics.flush(this.budgets.store);
    this.idle.onTick(now);
    const metrics = this.serviceMetrics;
    if (metrics !== null) metrics.flush();
    const service = this.service;
    const host = this.host;
    if (service !== null && host !== null) service.client.onTick(host, now);
  }

  /** Queued requests and held answers try again. */
  onMoment(): bool {
    const turns = min(this.queue.length, TURNS);
    for (let i = 0; i < turns; i++) {
      const exchange = this.queue.turn();
      if (exchange !== null) this.retry(exchange);
    }
    const now = this.paced.length > 0 ? milliseconds(time.now()) : 0;
    for (let i = this.paced.length - 1; i >= 0; i--) {
      const exchange = unchecked(this.paced.exchanges[i]);
      if (this.stateOf(exchange).heldUntil <= now) this.resume(exchange);
    }
    return this.queue.length > 0 || this.paced.length > 0;
  }

  onCallAnswer(callId: u32, message: Bytes | null): bool {
    const service = this.service;
    if (service === null) return false;
    const client = service.client;
    const now = milliseconds(time.now());
    if (!client.receive(callId, message, now)) return false;
    const claim = client.asking;
    if (claim === null) return true;
    const exchange = claim.exchange;
    if (claim.state == ServiceClaimState.Ahead) service.leased(claim, client.understood, now);
    else if (exchange === null) service.abandon(claim, client.understood, now);
    else this.takeAnswer(exchange, service, claim, client.understood, now);
    return true;
  }

  private stateOf(exchange: Exchange): RateLimitState {
    return changetype<RateLimitState>(unchecked(exchange.states[this.index]));
  }

  /** Some rule that is in force holds the request. */
  private isCounted(state: RateLimitState): bool {
    for (let place = 0; place < state.count; place++) if (unchecked(state.standings[place]) != Standing.Free) return true;
    return false;
  }

  private countsTokens(state: RateLimitState): bool {
    for (let place = 0; place < state.count; place++) {
      if (unchecked(state.standings[place]) != Standing.Free && unchecked(this.rules[unchecked(state.rules[place])]).countsTokens) return true;
    }
    return false;
  }

  /** If a rule says what becomes of a stream that has used up its reservation. */
  private watchStream(exchange: Exchange, state: RateLimitState): void {
    let watches = false;
    let mayEnd = false;
    for (let place = 0; place < state.count; place++) {
      const rule = unchecked(this.rules[unchecked(state.rules[place])]);
      watches = watches || rule.limitsStreams;
      mayEnd = mayEnd || (rule.limitsStreams && rule.overrun == Overrun.Stop);
    }
    if (watches) exchange.watch(mayEnd);
  }

  private estimate(exchange: Exchange, state: RateLimitState): void {
    const forecast = this.forecast;
    forecast.estimate(exchange);
    state.promptBytes = forecast.promptBytes;
    state.prompt = forecast.prompt;
    state.completion = forecast.completion;
  }

  /** Reserves for all rules that are open; when one refuses, for none. */
  private admit(exchange: Exchange, state: RateLimitState): Admission {
    state.now = milliseconds(time.now());
    let asks = false;
    for (let place = 0; place < state.count; place++) {
      if (unchecked(state.standings[place]) != Standing.Open) continue;
      const index = unchecked(state.rules[place]);
      const rule = unchecked(this.rules[index]);
      if (!rule.hasPrice(exchange.model)) this.metrics.unpriced(index);
      if (rule.isStrict) {
        asks = true;
        continue;
      }
      const wants = this.budgets.wants(state, place, exchange.model);
      const outcome = this.budgets.reserve(state, place, wants);
      if (rule.isRemote) this.askAhead(exchange, state, place);
      if (outcome != Reservation.Refused) this.admitted(state, place);
      else if (rule.isRemote) asks = true;
      else if (!this.passShadow(state, place)) return this.refused(state, place);
    }
    return asks ? this.ask(exchange, state) : Admission.Admitted;
  }

  private admitted(state: RateLimitState, place: i32): void {
    unchecked((state.standings[place] = Standing.Reserved));
    this.metrics.request(unchecked(state.rules[place]), Outcome.Admitted);
  }

  /** True when the rule that refuses is not in force. */
  private passShadow(state: RateLimitState, place: i32): bool {
    const index = unchecked(state.rules[place]);
    if (!unchecked(this.rules[index]).shadow) return false;
    this.metrics.request(index, Outcome.ShadowRefused);
    unchecked((state.standings[place] = Standing.Free));
    return true;
  }

  private refused(state: RateLimitState, place: i32): Admission {
    state.refusedBy = place;
    return Admission.Refused;
  }

  private askAhead(exchange: Exchange, state: RateLimitState, place: i32): void {
    const service = this.service;
    const host = this.host;
    if (service !== null && host !== null) service.askAhead(host, exchange, state, place);
  }

  private ask(exchange: Exchange, state: RateLimitState): Admission {
    const service = this.service;
    const host = this.host;
    if (service === null || host === null) return Admission.Admitted;
    if (++state.rounds > ROUNDS) return this.refused(state, this.firstOpen(state));
    if (service.ask(host, exchange, state)) return Admission.Asked;
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

  /** Reserves what the answer has grown beyond its reservation, and some more. Most pieces are within it. */
  private reserveMore(exchange: Exchange, state: RateLimitState): Flow {
    const tokens = this.forecast.soFar(exchange);
    for (let place = 0; place < state.count; place++) {
      const standing = unchecked(state.standings[place]);
      const rule = unchecked(this.rules[unchecked(state.rules[place])]);
      if (!rule.limitsStreams || (standing != Standing.Reserved && standing != Standing.Held)) continue;
      this.budgets.wantsMore(state, place, exchange.model, tokens);
      if (!this.budgets.wantsAny(place, state)) continue;
      state.now = milliseconds(time.now());
      const flow = standing == Standing.Held ? this.askMore(exchange, state, place, tokens) : this.extend(exchange, state, place, tokens);
      if (flow != Flow.Pass) return flow;
    }
    return Flow.Pass;
  }

  /** Of the store's budget. */
  private extend(exchange: Exchange, state: RateLimitState, place: i32, tokens: i64): Flow {
    const rule = unchecked(this.rules[unchecked(state.rules[place])]);
    const store = this.budgets.store;
    const claim = unchecked(state.claims[place]);
    if (rule.overrun == Overrun.Pace) return this.pace(exchange, state, place, tokens);
    let outcome = store.extend(claim, this.budgets.wantsMore(state, place, exchange.model, tokens + STEP), state.now);
    if (outcome == Reservation.Refused) outcome = store.extend(claim, this.budgets.wantsMore(state, place, exchange.model, tokens), state.now);
    if (rule.isRemote) this.askAhead(exchange, state, place);
    if (outcome != Reservation.Refused) {
      state.rounds = 0;
      return Flow.Pass;
    }
    return rule.isRemote ? this.askMore(exchange, state, place, tokens) : this.stop(exchange, state, place);
  }

  /** Holds the answer until the service has said whether there is more. */
  private askMore(exchange: Exchange, state: RateLimitState, place: i32, tokens: i64): Flow {
    const service = this.service;
    const host = this.host;
    if (service === null || host === null) return Flow.Pass;
    const rule = unchecked(this.rules[unchecked(state.rules[place])]);
    const claim = unchecked(state.claims[place]);
    if (rule.isStrict) state.rounds = 0;
    else if (++state.rounds > ROUNDS) return this.stop(exchange, state, place);
    const units = rule.isStrict ? this.budgets.wantsMore(state, place, exchange.model, tokens + STEP) : claim.shortfall;
    state.extends = place;
    if (service.askMore(host, exchange, state, place, units)) {
      // What the service is asked for counts as reserved: if it refuses, the answer ends.
      if (rule.isStrict) this.budgets.count(claim, units, rule.limits.length);
      return Flow.Hold;
    }
    return this.extendAlone(exchange, state, place);
  }

  /** The service cannot be asked for more. What runs may run on, unless nothing may without it. */
  private extendAlone(exchange: Exchange, state: RateLimitState, place: i32): Flow {
    const index = unchecked(state.rules[place]);
    this.metrics.decidedAlone(index);
    state.extends = -1;
    if (unchecked(this.rules[index]).onFailure == OnFailure.Closed) return this.stop(exchange, state, place);
    return Flow.Pass;
  }

  private stop(exchange: Exchange, state: RateLimitState, place: i32): Flow {
    this.metrics.request(unchecked(state.rules[place]), Outcome.Stopped);
    return this.end(exchange, state);
  }

  private end(exchange: Exchange, state: RateLimitState): Flow {
    exchange.inputSoFar = exchange.usage.inputTotal > 0 ? exchange.usage.inputTotal : state.prompt;
    exchange.outputSoFar = this.forecast.soFar(exchange);
    return Flow.End;
  }

  /** Lets pass what there is room for. What cannot wait for the next piece is held until there is room for all of it. */
  private pace(exchange: Exchange, state: RateLimitState, place: i32, tokens: i64): Flow {
    const host = this.host;
    const answer = exchange.answer;
    const held = state.heldUntil != 0;
    if (host === null || answer === null) return Flow.Pass;
    // Streams of one budget that have fallen behind catch up in small parts, so that none takes all of what is free again.
    const most = held ? tokens : min(tokens, state.paid + max(2 * (tokens - state.seen), PACE_STEP));
    state.seen = tokens;
    this.payFor(exchange, state, place, most);
    if (state.paid >= tokens) return Flow.Pass;
    if (!state.paced) this.metrics.request(unchecked(state.rules[place]), Outcome.Paced);
    state.paced = true;
    if (!held && !exchange.answered && answer.canWait) {
      answer.passable = (exchange.answerBytes * state.paid) / tokens;
      return Flow.Slow;
    }
    if (!held && !this.paced.add(exchange)) return Flow.Pass;
    state.heldUntil = max(unchecked(state.claims[place]).availableAt, state.now + 1);
    host.hurry();
    return Flow.Hold;
  }

  /** Reserves up to `tokens` of an answer, as many as there is room for. O(log tokens). */
  private payFor(exchange: Exchange, state: RateLimitState, place: i32, tokens: i64): void {
    const claim = unchecked(state.claims[place]);
    for (let part = tokens - state.paid; part > 0; part >>= 1) {
      part = min(part, tokens - state.paid);
      const outcome = this.budgets.store.extend(claim, this.budgets.wantsMore(state, place, exchange.model, state.paid + part), state.now);
      if (outcome != Reservation.Refused) state.paid += part;
    }
  }

  /** The time of a paced answer has come. */
  private resume(exchange: Exchange): void {
    const state = this.stateOf(exchange);
    const flow = this.reserveMore(exchange, state);
    if (flow == Flow.Hold) return;
    this.paced.remove(exchange);
    state.heldUntil = 0;
    this.resumeAnswer(exchange, state, flow);
  }

  private resumeAnswer(exchange: Exchange, state: RateLimitState, flow: Flow): void {
    // What was held is on its way: the answer ends with what comes next.
    state.stops = flow == Flow.End;
    const gate = exchange.gate;
    if (gate !== null) gate.resumeAnswer();
  }

  /** What the service says to an answer that is held. */
  private takeMore(exchange: Exchange, state: RateLimitState, service: ServiceBudgets, claim: ServiceClaim, understood: bool): void {
    const place = state.extends;
    state.asked = null;
    state.extends = -1;
    let flow = Flow.Pass;
    if (understood) flow = service.takeMore(state, claim, state.now) ? this.reserveMore(exchange, state) : this.stop(exchange, state, place);
    else {
      service.client.end(claim);
      flow = this.extendAlone(exchange, state, place);
    }
    if (flow != Flow.Hold) this.resumeAnswer(exchange, state, flow);
  }

  /** The service cannot be asked: each rule says what becomes of the request. */
  private decideAlone(exchange: Exchange, state: RateLimitState): Admission {
    const asked = state.asked;
    const service = this.service;
    if (asked !== null && service !== null) service.client.end(asked);
    state.asked = null;
    let admission = Admission.Admitted;
    for (let place = 0; place < state.count; place++) {
      if (unchecked(state.standings[place]) != Standing.Asked) continue;
      const index = unchecked(state.rules[place]);
      const rule = unchecked(this.rules[index]);
      unchecked((state.standings[place] = Standing.Open));
      this.metrics.decidedAlone(index);
      if (admission != Admission.Admitted) continue;
      if (rule.onFailure == OnFailure.Open) {
        unchecked((state.standings[place] = Standing.Free));
      } else if (rule.onFailure == OnFailure.Closed) {
        if (!this.passShadow(state, place)) admission = this.unavailable(state, place);
      } else if (this.budgets.reserveAlone(state, place, this.budgets.wants(state, place, exchange.model)) != Reservation.Refused) {
        this.admitted(state, place);
      } else if (!this.passShadow(state, place)) admission = this.refused(state, place);
    }
    return admission;
  }

  private unavailable(state: RateLimitState, place: i32): Admission {
    state.refusedBy = place;
    return Admission.Unavailable;
  }

  /** What a request has waited for is there. */
  private takeAnswer(exchange: Exchange, service: ServiceBudgets, claim: ServiceClaim, understood: bool, now: i64): void {
    const state = this.stateOf(exchange);
    state.now = now;
    if (state.extends >= 0) {
      this.takeMore(exchange, state, service, claim, understood);
      return;
    }
    let admission = Admission.Refused;
    if (!understood) {
      admission = this.decideAlone(exchange, state);
      if (admission == Admission.Admitted) admission = this.admit(exchange, state);
    } else {
      state.asked = null;
      const passes = service.take(state, claim, now);
      this.countHeld(state);
      // What was granted is reserved of now; a shadow rule that refused does not count, and the others are asked for again.
      if (passes || this.passShadow(state, state.refusedBy)) admission = this.admit(exchange, state);
    }
    this.goOn(exchange, state, admission);
  }

  /** Reservations that the service has made just now. */
  private countHeld(state: RateLimitState): void {
    if (state.held === null) return;
    for (let place = 0; place < state.count; place++) {
      if (unchecked(state.standings[place]) == Standing.Held) this.metrics.request(unchecked(state.rules[place]), Outcome.Admitted);
    }
  }

  private retry(exchange: Exchange): void {
    const state = this.stateOf(exchange);
    const admission = this.admit(exchange, state);
    if (admission == Admission.Refused && state.now < state.queuedUntil) {
      this.giveBack(state);
      return;
    }
    this.queue.remove(exchange);
    state.queuedUntil = 0;
    this.goOn(exchange, state, admission);
  }

  /** A request that was held is decided, or goes on waiting for the service. */
  private goOn(exchange: Exchange, state: RateLimitState, admission: Admission): void {
    const gate = exchange.gate;
    if (gate === null || admission == Admission.Asked) return;
    if (admission == Admission.Admitted) {
      gate.release();
    } else if (admission == Admission.Refused && this.enqueue(exchange, state)) {
      return;
    } else if (gate.take()) {
      if (admission == Admission.Refused) this.sendRefusal(exchange, state);
      else this.sendUnavailable(exchange, state);
    }
  }

  /** True when the rule that refused lets the request wait. */
  private enqueue(exchange: Exchange, state: RateLimitState): bool {
    const rule = unchecked(this.rules[unchecked(state.rules[state.refusedBy])]);
    const host = this.host;
    if (rule.queueMs == 0 || state.hasWaited || host === null || !this.queue.add(exchange)) return false;
    state.hasWaited = true;
    state.queuedUntil = state.now + rule.queueMs;
    this.metrics.request(unchecked(state.rules[state.refusedBy]), Outcome.Queued);
    this.giveBack(state);
    host.hurry();
    return true;
  }

  private sendRefusal(exchange: Exchange, state: RateLimitState): void {
    const place = state.refusedBy;
    const index = unchecked(state.rules[place]);
    this.metrics.request(index, Outcome.Refused);
    // Nothing is reserved by a request that is refused: the others have as much left as they had before it.
    limitHeaders.begin();
    for (let i = 0; i < state.count; i++) {
      if (unchecked(state.standings[i]) == Standing.Reserved) unchecked(state.claims[i]).withdraw();
      if (i == place || unchecked(state.standings[i]) == Standing.Reserved) this.offer(state, i);
    }
    const wait = max(unchecked(state.claims[place]).availableAt - state.now, 1);
    this.giveBack(state);
    state.count = 0;
    rateLimited.sendWith(exchange.api, unchecked(this.rules[index]).name, limitHeaders.ofRefusal(wait));
  }

  private sendUnavailable(exchange: Exchange, state: RateLimitState): void {
    const index = unchecked(state.rules[state.refusedBy]);
    this.metrics.request(index, Outcome.Refused);
    this.giveBack(state);
    state.count = 0;
    limitHeaders.begin();
    rateLimitUnavailable.sendWith(exchange.api, unchecked(this.rules[index]).name, limitHeaders.ofRefusal(UNAVAILABLE_WAIT));
  }

  private report(state: RateLimitState, place: i32): void {
    const standing = unchecked(state.standings[place]);
    if (standing == Standing.Reserved || standing == Standing.Held) this.offer(state, place);
  }

  private offer(state: RateLimitState, place: i32): void {
    const rule = unchecked(this.rules[unchecked(state.rules[place])]);
    if (!rule.shadow) limitHeaders.offer(rule, state, place);
  }

  /** Nothing is reserved any more, here or at the service. */
  private giveBack(state: RateLimitState): void {
    for (let place = 0; place < state.count; place++) {
      const standing = unchecked(state.standings[place]);
      if (standing == Standing.Reserved) this.budgets.store.release(unchecked(state.claims[place]), state.now);
      if (standing == Standing.Reserved || standing == Standing.Held) unchecked((state.standings[place] = Standing.Open));
    }
    const held = state.held;
    const service = this.service;
    if (held !== null && service !== null) service.giveBack(held);
    state.held = null;
  }

  private settle(exchange: Exchange, state: RateLimitState, place: i32, now: i64): void {
    const rule = unchecked(this.rules[unchecked(state.rules[place])]);
    const limits = rule.limits;
    for (let i = 0; i < limits.length; i++) unchecked((amounts[i] = rule.cost(unchecked(limits[i]), counts, exchange)));
    this.budgets.store.settle(unchecked(state.claims[place]), amounts, now);
  }
}

/** After how long a request is to be tried again when the service cannot be asked, in ms. */
const UNAVAILABLE_WAIT: i64 = 1000;

/** What a VM has learned outlives configurations: one forecast for each beginning that they name. */
const forecasts: TokenForecast[] = [];

function forecastOf(tokensPerByte: f64): TokenForecast {
  for (let i = 0; i < forecasts.length; i++) if (forecasts[i].tokensPerByte == tokensPerByte) return forecasts[i];
  const forecast = new TokenForecast(tokensPerByte);
  // Nobody tries more beginnings than this.
  if (forecasts.length < 8) forecasts.push(forecast);
  return forecast;
}

function milliseconds(nanoseconds: u64): i64 {
  return <i64>(nanoseconds / 1_000_000);
}
