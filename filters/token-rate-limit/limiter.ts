/** What the parts of the stage share: rules and their budgets, what a request has of them, and what counts it. */
import { TokenCounts } from "../lib/token-charge";
import { Exchange } from "../pipeline/exchange";
import { Stage, StageHost } from "../pipeline/stage";
import { MAX_LIMITS } from "../state/budget-store";
import { RateLimitConfig } from "./config";
import { LimitMetrics, Outcome } from "./limit-metrics";
import { RateLimitState, Standing } from "./rate-limit-state";
import { RateLimitRule } from "./rule";
import { RuleBudgets } from "./rule-budgets";
import { ServiceBudgets } from "./service-budgets";
import { ServiceClient } from "./service-client";
import { ServiceMetrics } from "./service-metrics";
import { forecastOf, TokenForecast } from "./token-forecast";

const amounts: StaticArray<i64> = new StaticArray<i64>(MAX_LIMITS);

@final
export class Limiter {
  readonly rules: RateLimitRule[];
  readonly budgets: RuleBudgets;
  readonly forecast: TokenForecast;
  readonly metrics: LimitMetrics;
  /** Of rules whose budgets a service keeps. */
  service: ServiceBudgets | null = null;
  serviceMetrics: ServiceMetrics | null = null;

  /** The stage that this belongs to, which knows its place among the others and the plugin. Set by it, before any request comes. */
  stage: Stage | null = null;

  constructor(config: RateLimitConfig, tokensPerByte: f64) {
    const rules = config.rules;
    const budgets = new RuleBudgets(rules, config.maxKeys);
    this.rules = rules;
    this.budgets = budgets;
    this.forecast = forecastOf(tokensPerByte);
    this.metrics = new LimitMetrics(rules);
    const service = config.service;
    if (service !== null) {
      const metrics = new ServiceMetrics();
      this.serviceMetrics = metrics;
      this.service = new ServiceBudgets(rules, budgets, new ServiceClient(service, rules, metrics), service.ledger);
    }
  }

  get host(): StageHost | null {
    return this.stage!.host;
  }

  stateOf(exchange: Exchange): RateLimitState {
    return changetype<RateLimitState>(unchecked(exchange.states[this.stage!.index]));
  }

  ruleAt(state: RateLimitState, place: i32): RateLimitRule {
    return unchecked(this.rules[unchecked(state.rules[place])]);
  }

  /** One of the outcomes of the request under the rule at this place. */
  note(state: RateLimitState, place: i32, outcome: Outcome): void {
    this.metrics.request(unchecked(state.rules[place]), outcome);
  }

  /** Some rule that is in force holds the request. */
  isCounted(state: RateLimitState): bool {
    for (let place = 0; place < state.count; place++) if (unchecked(state.standings[place]) != Standing.Free) return true;
    return false;
  }

  countsTokens(state: RateLimitState): bool {
    for (let place = 0; place < state.count; place++) {
      if (unchecked(state.standings[place]) != Standing.Free && this.ruleAt(state, place).countsTokens) return true;
    }
    return false;
  }

  /** Asks the service for a lease, if the claim at this place has the job to do so. */
  askAhead(exchange: Exchange, state: RateLimitState, place: i32): void {
    const service = this.service;
    const host = this.host;
    if (service !== null && host !== null) service.askAhead(host, exchange, state, place);
  }

  /** Nothing is reserved any more, here or at the service. */
  giveBack(state: RateLimitState): void {
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

  /** The request is over: what it took takes the place of what was reserved, here and at the service. `now` in ms since the epoch. */
  settle(exchange: Exchange, state: RateLimitState, counts: TokenCounts, now: i64): void {
    for (let place = 0; place < state.count; place++) {
      const standing = unchecked(state.standings[place]);
      if (standing != Standing.Reserved && standing != Standing.Held) continue;
      this.metrics.tokens(unchecked(state.rules[place]), state.prompt + state.completion, counts.prompt + counts.completion);
      if (standing == Standing.Reserved) this.settleOwn(exchange, state, place, counts, now);
    }
    const held = state.held;
    const service = this.service;
    if (held !== null && service !== null) service.settle(held, counts, exchange);
  }

  private settleOwn(exchange: Exchange, state: RateLimitState, place: i32, counts: TokenCounts, now: i64): void {
    const rule = this.ruleAt(state, place);
    const limits = rule.limits;
    for (let i = 0; i < limits.length; i++) unchecked((amounts[i] = rule.cost(unchecked(limits[i]), counts, exchange)));
    this.budgets.store.settle(unchecked(state.claims[place]), amounts, now);
  }
}
