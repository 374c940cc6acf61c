/**
 * Budgets that a Rate Limit Service keeps: what a request asks of it, what the answer means for the request, and shares that are taken in advance.
 *
 *   strict   each request reserves at the service, and settles there
 *   leased   the store of this Envoy holds what the service has granted. A request for which that does not suffice asks for what is missing, and waits; the one that
 *            leaves less than half a lease asks for a whole one, and does not wait
 */
import { RateLimitCode } from "../lib/rate-limit-answer";
import { TokenCounts } from "../lib/token-charge";
import { Exchange } from "../pipeline/exchange";
import { StageHost } from "../pipeline/stage";
import { MAX_LIMITS } from "../state/budget-store";
import { RateLimitState, Standing } from "./rate-limit-state";
import { Mode, RateLimitRule } from "./rule";
import { RuleBudgets } from "./rule-budgets";
import { ServiceClaim, ServiceClaimState } from "./service-claim";
import { ServiceClient } from "./service-client";

/** For so long a budget that the service has no lease of is not asked for again, in ms. */
const REFUSED_PAUSE: i64 = 5000;

const units: StaticArray<i64> = new StaticArray<i64>(MAX_LIMITS);

@final
export class ServiceBudgets {
  constructor(
    private readonly rules: RateLimitRule[],
    private readonly budgets: RuleBudgets,
    readonly client: ServiceClient,
    private readonly ledger: bool,
  ) {}

  /** Asks for what the rules need that are still open. False when the service is not asked now. */
  ask(host: StageHost, exchange: Exchange, state: RateLimitState): bool {
    const claim = this.client.begin(ServiceClaimState.Asking, exchange, exchange.model, state.now);
    for (let place = 0; place < state.count; place++) {
      if (unchecked(state.standings[place]) != Standing.Open) continue;
      const index = unchecked(state.rules[place]);
      const rule = unchecked(this.rules[index]);
      const own = unchecked(state.claims[place]);
      const leased = rule.mode == Mode.Leased;
      claim.addRule(index, state.keysOf(place), leased ? own : null);
      const wants = leased ? own.shortfall : this.budgets.wants(state, place, exchange.model);
      for (let i = 0; i < rule.limits.length; i++) {
        const limit = rule.limits[i];
        if (leased && unchecked(wants[i]) == 0) continue;
        claim.addLimit(i, limit.wireAmount(state.amountOf(place, i, limit.amount)), limit.wireHits(unchecked(wants[i])));
      }
      unchecked((state.standings[place] = Standing.Asked));
    }
    state.asked = claim;
    return this.client.ask(host, claim, state.now);
  }

  /** Asks for `units` more of the limits of the rule at this place. False when the service is not asked now. */
  askMore(host: StageHost, exchange: Exchange, state: RateLimitState, place: i32, units: StaticArray<i64>): bool {
    const claim = this.client.begin(ServiceClaimState.Asking, exchange, exchange.model, state.now);
    const index = unchecked(state.rules[place]);
    const rule = unchecked(this.rules[index]);
    claim.addRule(index, state.keysOf(place), rule.mode == Mode.Leased ? unchecked(state.claims[place]) : null);
    for (let i = 0; i < rule.limits.length; i++) {
      if (unchecked(units[i]) == 0) continue;
      const limit = rule.limits[i];
      claim.addLimit(i, limit.wireAmount(state.amountOf(place, i, limit.amount)), limit.wireHits(unchecked(units[i])));
    }
    if (this.client.ask(host, claim, state.now)) {
      state.asked = claim;
      return true;
    }
    this.client.end(claim);
    return false;
  }

  /** What `askMore` asked for is there: granted to the store, or added to what the request has at the service. False when the service refused. The claim is over. */
  takeMore(state: RateLimitState, claim: ServiceClaim, now: i64): bool {
    const admitted = !this.client.overLimit;
    const held = state.held;
    if (admitted && this.isLeased(claim, 0)) this.grantTo(claim, 0, true, now, false, 0);
    else if (admitted && held !== null) held.merge(claim);
    if (admitted) this.client.end(claim);
    else this.refused(claim);
    return admitted;
  }

  /** Asks for a lease where the claim of the rule at this place has the job to do so. */
  askAhead(host: StageHost, exchange: Exchange, state: RateLimitState, place: i32): void {
    const own = unchecked(state.claims[place]);
    const index = unchecked(state.rules[place]);
    const rule = unchecked(this.rules[index]);
    let asks = false;
    for (let i = 0; i < rule.limits.length; i++) asks = asks || unchecked(own.ask[i]) > 0;
    if (!asks) return;
    const claim = this.client.begin(ServiceClaimState.Ahead, null, exchange.model, state.now);
    claim.addRule(index, state.keysOf(place), own);
    for (let i = 0; i < rule.limits.length; i++) {
      if (unchecked(own.ask[i]) == 0) continue;
      const limit = rule.limits[i];
      claim.addLimit(i, limit.wireAmount(state.amountOf(place, i, limit.amount)), limit.wireHits(unchecked(own.ask[i])));
    }
    if (!this.client.ask(host, claim, state.now)) this.leased(claim, false, state.now);
  }

  /** A lease was answered: it is granted, or not asked for again so soon. The claim is over. */
  leased(claim: ServiceClaim, understood: bool, now: i64): void {
    const ok = understood && !this.client.overLimit;
    let notBefore: i64 = ok ? 0 : now + (understood ? REFUSED_PAUSE : 1000);
    if (ok && this.isNearlyOut(claim)) notBefore = now + REFUSED_PAUSE;
    this.grantTo(claim, 0, ok, now, true, notBefore);
    if (understood && !ok) this.refused(claim);
    else this.client.end(claim);
  }

  /** With the ledger it is all or nothing; other services have charged what they refused, and get it back if they know how. */
  private refused(claim: ServiceClaim): void {
    if (this.ledger) this.client.end(claim);
    else this.giveBack(claim);
  }

  /** The service has less left than another lease. */
  private isNearlyOut(claim: ServiceClaim): bool {
    for (let i = 0; i < claim.count; i++) if (this.client.status(i).remaining < unchecked(claim.asked[i])) return true;
    return false;
  }

  /**
   * Takes over what the service said to a request that still waits: what is left of each limit, and grants, which are to be reserved of then. `state.refusedBy` is
   * the first rule that refuses. True when none does; `state.held` is what is reserved at the service. The claim is over if that is nothing.
   */
  take(state: RateLimitState, claim: ServiceClaim, now: i64): bool {
    const admitted = !this.client.overLimit;
    let place = 0;
    state.refusedBy = -1;
    for (let i = 0; i < claim.ruleCount; i++) {
      while (unchecked(state.standings[place]) != Standing.Asked) place++;
      const leased = this.isLeased(claim, i);
      const over = this.readAnswer(state, place, claim, i, leased, now);
      if (over && state.refusedBy < 0) state.refusedBy = place;
      // Services other than the ledger have charged what fits even if something else does not.
      if (leased && (admitted || (!this.ledger && !over))) this.grantTo(claim, i, true, now, false, 0);
      if (leased) claim.drop(i);
      unchecked((state.standings[place] = admitted && !leased ? Standing.Held : Standing.Open));
    }
    if (!admitted) this.refused(claim);
    else if (claim.count > 0) state.held = claim;
    else this.client.end(claim);
    return admitted;
  }

  /** What the service said of the rule at `place`, which is `index` in the claim. True when it is over a limit. */
  private readAnswer(state: RateLimitState, place: i32, claim: ServiceClaim, index: i32, leased: bool, now: i64): bool {
    const rule = unchecked(this.rules[unchecked(state.rules[place])]);
    const own = leased ? unchecked(state.claims[place]) : this.budgets.claimOfService(state, place);
    let over = false;
    for (let at = 0; at < claim.count; at++) {
      if (unchecked(claim.rule[at]) != index) continue;
      const number = unchecked(claim.limit[at]);
      const status = this.client.status(at);
      const left = <i64>status.remaining * rule.limits[number].scale;
      if (leased) unchecked((own.elsewhere[number] = left));
      else unchecked((own.remaining[number] = left));
      if (!leased) unchecked((own.reserved[number] = <i64>unchecked(claim.asked[at]) * rule.limits[number].scale));
      if (status.resetMs >= 0) unchecked((own.resetAt[number] = now + status.resetMs));
      if (status.code != RateLimitCode.OverLimit) continue;
      over = true;
      own.availableAt = max(own.availableAt, now + max<i64>(status.resetMs, 0));
    }
    return over;
  }

  /** A claim whose request was gone before the answer came: nothing of it is used. */
  abandon(claim: ServiceClaim, understood: bool, now: i64): void {
    // With the ledger it is all or nothing; other services have charged what fits, and what does not.
    if (!understood || (this.client.overLimit && this.ledger)) {
      this.client.end(claim);
      return;
    }
    for (let i = 0; i < claim.ruleCount; i++) {
      if (!this.isLeased(claim, i)) continue;
      this.grantTo(claim, i, !this.client.overLimit, now, false, 0);
      claim.drop(i);
    }
    this.client.settle(claim);
  }

  /** The request does not run after all. */
  giveBack(claim: ServiceClaim): void {
    for (let i = 0; i < claim.count; i++) unchecked((claim.used[i] = 0));
    this.client.settle(claim);
  }

  /** The request is over and took that. */
  settle(claim: ServiceClaim, counts: TokenCounts, exchange: Exchange): void {
    for (let i = 0; i < claim.count; i++) {
      const rule = unchecked(this.rules[unchecked(claim.rules[unchecked(claim.rule[i])])]);
      const limit = unchecked(rule.limits[unchecked(claim.limit[i])]);
      unchecked((claim.used[i] = limit.wireHits(rule.cost(limit, counts, exchange))));
    }
    this.client.settle(claim);
  }

  private isLeased(claim: ServiceClaim, place: i32): bool {
    return unchecked(this.rules[unchecked(claim.rules[place])]).mode == Mode.Leased;
  }

  /** `granted`: the store gets what was asked for. `answers`: another lease may be asked for, from `notBefore` on. */
  private grantTo(claim: ServiceClaim, place: i32, granted: bool, now: i64, answers: bool, notBefore: i64): void {
    const rule = unchecked(this.rules[unchecked(claim.rules[place])]);
    const own = unchecked(claim.claims[place]);
    for (let i = 0; i < MAX_LIMITS; i++) {
      unchecked((units[i] = 0));
      unchecked((own.elsewhere[i] = -1));
    }
    for (let at = 0; at < claim.count; at++) {
      if (unchecked(claim.rule[at]) != place) continue;
      const index = unchecked(claim.limit[at]);
      if (this.client.understood) unchecked((own.elsewhere[index] = <i64>this.client.status(at).remaining * rule.limits[index].scale));
      if (granted) unchecked((units[index] = <i64>unchecked(claim.asked[at]) * rule.limits[index].scale));
    }
    this.budgets.store.grant(own, units, now, answers, notBefore);
  }
}
