/**
 * Holds requests to their budgets: reserves what a request will take before it runs, and settles for what it took when it is over.
 *
 *   request   all rules that match: key, estimate, reservation; one that refuses gives back what the others reserved, and answers 429
 *             streams are made to report their usage
 *   answer    x-ratelimit-* of the limits with the least left
 *   end       completed, broken off, timed out, refused by a later stage: the reservation becomes what was used
 *
 * Reservations of requests that run at the same time add up, so no number of them overruns a limit by more than they use over their own estimates.
 */
import { LimitUnit, TokenCounts } from "../lib/token-charge";
import { TokenWindow } from "../lib/token-window";
import { Exchange, Problem } from "../pipeline/exchange";
import { keyRequired, rateLimited } from "../pipeline/refusal";
import { Stage, StageState, Verdict } from "../pipeline/stage";
import { Bytes, log, LogLevel, time } from "../sdk";
import { Budget, BudgetStore, Claim, MAX_LIMITS, Verdict as Reservation } from "../state/budget-store";
import { budgetKey, hashKey } from "./budget-key";
import { RateLimitConfig } from "./config";
import { limitHeaders } from "./limit-headers";
import { LimitMetrics, Outcome } from "./limit-metrics";
import { MissingKey, RateLimitRule } from "./rule";
import { TokenForecast } from "./token-forecast";

const amounts: StaticArray<i64> = new StaticArray<i64>(MAX_LIMITS);
const counts = new TokenCounts();

/** What a request holds of the budgets of the rules that match it. */
@final
class RateLimitState extends StageState {
  /** Rules whose budgets hold a reservation of this request: `rules[i]` is the index of the rule of `claims[i]`. */
  count: i32 = 0;
  readonly rules: i32[] = [];
  readonly claims: Claim[] = [];
  promptBytes: u32 = 0;
  prompt: i64 = 0;
  completion: i64 = 0;
  estimated: bool = false;
  /** When the reservations were made: ms since the epoch, 0 before. */
  now: i64 = 0;

  begin(): void {
    this.count = 0;
    this.estimated = false;
    this.now = 0;
  }

  /** The claim that comes next; it counts once `count` is raised. Made when more rules match than ever before. */
  next(rule: i32): Claim {
    if (this.count == this.claims.length) {
      this.claims.push(new Claim());
      this.rules.push(0);
    }
    unchecked((this.rules[this.count] = rule));
    return unchecked(this.claims[this.count]);
  }
}

@final
export class RateLimitStage extends Stage {
  private readonly rules: RateLimitRule[];
  private readonly includeUsage: bool;
  /** By rule. */
  private readonly budgets: Budget[];
  private readonly identities: Bytes[] = [];
  private readonly store: BudgetStore;
  private readonly forecast: TokenForecast;
  private readonly metrics: LimitMetrics;

  constructor(config: RateLimitConfig, tokensPerByte: f64) {
    super();
    const rules = config.rules;
    const budgets: Budget[] = [];
    let largest = 0;
    for (let i = 0; i < rules.length; i++) {
      budgets.push(budgetOf(rules[i]));
      largest = max(largest, budgets[i].size);
    }
    this.rules = rules;
    this.budgets = budgets;
    this.includeUsage = config.includeUsage;
    this.store = new BudgetStore(config.maxKeys, largest);
    this.forecast = forecastOf(tokensPerByte);
    this.metrics = new LimitMetrics(rules);
    this.needsChat = config.needsChat;
    this.needsStatus = true;
    for (let i = 0; i < rules.length; i++) this.identities.push(rules[i].identity());
    log.text(
      LogLevel.Info,
      "rate limit: " + rules.length.toString() + " rules in force, at most " + this.store.bytes.toString() + " bytes of shared data for budgets",
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
      if (!hashKey(unchecked(this.identities[i]), rule.key, exchange) && rule.missingKey != MissingKey.Shared) {
        this.metrics.request(i, Outcome.KeyMissing);
        if (rule.missingKey == MissingKey.Skip) continue;
        this.giveBack(state);
        keyRequired.send(exchange.api, rule.name);
        return Verdict.Answered;
      }
      if (!this.reserve(exchange, state, i)) return this.refuse(exchange, state, i);
    }
    // Alone, without a stage that routes, the answer is to be looked at all the same.
    if (state.count > 0 && exchange.problem == Problem.None) {
      exchange.routed = true;
      if (this.includeUsage && this.countsTokens(state)) exchange.wantUsage();
    }
    return Verdict.Next;
  }

  onResponseHeaders(exchange: Exchange): void {
    const state = this.stateOf(exchange);
    if (state.count == 0) return;
    limitHeaders.begin();
    for (let i = 0; i < state.count; i++) this.report(state, i);
    limitHeaders.writeToAnswer();
  }

  onEnd(exchange: Exchange): void {
    const state = this.stateOf(exchange);
    if (state.count == 0) return;
    const now = milliseconds(exchange.endedAt != 0 ? exchange.endedAt : time.now());
    this.forecast.settle(exchange, counts, state.prompt, state.promptBytes);
    for (let i = 0; i < state.count; i++) {
      const index = unchecked(state.rules[i]);
      this.metrics.tokens(index, state.prompt + state.completion, counts.prompt + counts.completion);
      this.price(index, exchange);
      this.store.settle(unchecked(state.claims[i]), amounts, now);
    }
    state.begin();
  }

  onTick(): void {
    if (this.store.pendingSettles > 0) this.store.retry(milliseconds(time.now()));
    this.metrics.flush(this.store);
  }

  private stateOf(exchange: Exchange): RateLimitState {
    return changetype<RateLimitState>(unchecked(exchange.states[this.index]));
  }

  private countsTokens(state: RateLimitState): bool {
    for (let i = 0; i < state.count; i++) if (unchecked(this.rules[unchecked(state.rules[i])]).countsTokens) return true;
    return false;
  }

  /** False when the budget of `budgetKey` has no room, and the rule is in force. */
  private reserve(exchange: Exchange, state: RateLimitState, index: i32): bool {
    const rule = unchecked(this.rules[index]);
    if (state.now == 0) state.now = milliseconds(time.now());
    if (!state.estimated) this.estimate(exchange, state);
    const limits = rule.limits;
    for (let i = 0; i < limits.length; i++) {
      unchecked((amounts[i] = rule.chargeAtMost(limits[i], state.prompt, state.completion, exchange.model)));
    }
    if (!rule.hasPrice(exchange.model)) this.metrics.unpriced(index);
    const claim = state.next(index);
    const outcome = this.store.reserve(unchecked(this.budgets[index]), budgetKey.low, budgetKey.high, amounts, state.now, claim);
    if (outcome == Reservation.Refused) {
      this.metrics.request(index, rule.shadow ? Outcome.ShadowRefused : Outcome.Refused);
      return rule.shadow;
    }
    state.count++;
    this.metrics.request(index, Outcome.Admitted);
    return true;
  }

  private estimate(exchange: Exchange, state: RateLimitState): void {
    const forecast = this.forecast;
    forecast.estimate(exchange);
    state.promptBytes = forecast.promptBytes;
    state.prompt = forecast.prompt;
    state.completion = forecast.completion;
    state.estimated = true;
  }

  /** Answers for the rule whose claim comes next, and was refused. */
  private refuse(exchange: Exchange, state: RateLimitState, index: i32): Verdict {
    const claim = unchecked(state.claims[state.count]);
    // Nothing is reserved by a request that is refused: the others have as much left as they had before it.
    limitHeaders.begin();
    for (let i = 0; i < state.count; i++) unchecked(state.claims[i]).withdraw();
    for (let i = 0; i <= state.count; i++) this.report(state, i);
    this.giveBack(state);
    rateLimited.sendWith(exchange.api, unchecked(this.rules[index]).name, limitHeaders.ofRefusal(max(claim.availableAt - state.now, 1)));
    return Verdict.Answered;
  }

  private report(state: RateLimitState, at: i32): void {
    const rule = unchecked(this.rules[unchecked(state.rules[at])]);
    if (!rule.shadow) limitHeaders.offer(rule, unchecked(state.claims[at]), state.now);
  }

  private giveBack(state: RateLimitState): void {
    for (let i = 0; i < state.count; i++) this.store.release(unchecked(state.claims[i]), state.now);
    state.count = 0;
  }

  /** Sets `amounts` to what `counts` cost under the rule; a request that never went anywhere costs nothing, not even itself. */
  private price(index: i32, exchange: Exchange): void {
    const rule = unchecked(this.rules[index]);
    const limits = rule.limits;
    for (let i = 0; i < limits.length; i++) {
      const limit = unchecked(limits[i]);
      const free = limit.unit == LimitUnit.Requests && !exchange.routed;
      unchecked((amounts[i] = free ? 0 : rule.charge(limit, counts, exchange.model)));
    }
  }
}

/** What a VM has learned outlives configurations: one forecast for each beginning that they name. */
const forecasts: TokenForecast[] = [];

function forecastOf(tokensPerByte: f64): TokenForecast {
  for (let i = 0; i < forecasts.length; i++) if (forecasts[i].tokensPerByte == tokensPerByte) return forecasts[i];
  const forecast = new TokenForecast(tokensPerByte);
  // Nobody tries more beginnings than this.
  if (forecasts.length < 8) forecasts.push(forecast);
  return forecast;
}

function budgetOf(rule: RateLimitRule): Budget {
  const windows = new StaticArray<TokenWindow>(rule.limits.length);
  for (let i = 0; i < windows.length; i++) windows[i] = rule.limits[i].window();
  return new Budget(windows);
}

function milliseconds(nanoseconds: u64): i64 {
  return <i64>(nanoseconds / 1_000_000);
}
