/** The budgets of all rules in the store of this Envoy: what a request wants of them, and its reservations. */
import { addSaturating } from "../lib/fixed-point";
import { TokenWindow } from "../lib/token-window";
import { Exchange } from "../pipeline/exchange";
import { Bytes } from "../sdk";
import { Budget, BudgetStore, Claim, MAX_LIMITS, Verdict } from "../state/budget-store";
import { Mode, Overrun, RateLimitRule } from "./rule";
import { RateLimitState } from "./rate-limit-state";

@final
export class RuleBudgets {
  readonly store: BudgetStore;
  readonly identities: Bytes[] = [];
  /** By rule: its own windows; and with leases the same ones, of which only that may be used which the service has granted. */
  private readonly own: Budget[];
  private readonly leased: Budget[];
  /** By limit, of the rule that was asked about last. */
  private readonly wanted: StaticArray<i64> = new StaticArray<i64>(MAX_LIMITS);

  constructor(
    private readonly rules: RateLimitRule[],
    maxKeys: i32,
  ) {
    const owned: Budget[] = [];
    const leased: Budget[] = [];
    let largest = 0;
    for (let i = 0; i < rules.length; i++) {
      owned.push(budgetOf(rules[i], false));
      leased.push(rules[i].mode == Mode.Leased ? budgetOf(rules[i], true) : owned[i]);
      largest = max(largest, max(owned[i].size, leased[i].size));
    }
    this.own = owned;
    this.leased = leased;
    this.store = new BudgetStore(maxKeys, largest);
    for (let i = 0; i < rules.length; i++) this.identities.push(rules[i].identity());
  }

  /** What the request will take at most of each limit of the rule at this place. Valid until the next call. */
  wants(state: RateLimitState, place: i32, model: Bytes): StaticArray<i64> {
    const rule = unchecked(this.rules[unchecked(state.rules[place])]);
    // A paced answer is reserved as it comes.
    const completion = rule.overrun == Overrun.Pace ? 0 : state.completion;
    const limits = rule.limits;
    for (let i = 0; i < limits.length; i++) {
      const want = rule.chargeAtMost(limits[i], state.prompt, completion, model);
      unchecked((this.wanted[i] = min(want, state.amountOf(place, i, limits[i].amount))));
    }
    return this.wanted;
  }

  /** What it will take beyond what its claim has, when its answer has grown to so many tokens. 0 in limits that it need not take more of. */
  wantsMore(state: RateLimitState, place: i32, model: Bytes, completion: i64): StaticArray<i64> {
    const rule = unchecked(this.rules[unchecked(state.rules[place])]);
    const claim = unchecked(state.claims[place]);
    const limits = rule.limits;
    for (let i = 0; i < limits.length; i++) {
      const want = rule.chargeAtMost(limits[i], state.prompt, completion, model);
      const more = want - addSaturating(unchecked(claim.closed[i]), unchecked(claim.reserved[i]));
      unchecked((this.wanted[i] = max<i64>(more, 0)));
    }
    return this.wanted;
  }

  /** The service is asked for `units` more: they count as reserved in a claim that the store knows nothing of. */
  count(claim: Claim, units: StaticArray<i64>, limits: i32): void {
    for (let i = 0; i < limits; i++) unchecked((claim.reserved[i] += units[i]));
  }

  /** Whether `wantsMore` found anything. */
  wantsAny(place: i32, state: RateLimitState): bool {
    const count = unchecked(this.rules[unchecked(state.rules[place])]).limits.length;
    for (let i = 0; i < count; i++) if (unchecked(this.wanted[i]) > 0) return true;
    return false;
  }

  /** Reserves `wants` in the store, of what was granted to it if the rule has leases. */
  reserve(state: RateLimitState, place: i32, wants: StaticArray<i64>): Verdict {
    const budget = unchecked(this.leased[unchecked(state.rules[place])]);
    return this.reserveOf(budget, state, place, wants);
  }

  /** The same, of the whole amounts, because the service cannot be asked. */
  reserveAlone(state: RateLimitState, place: i32, wants: StaticArray<i64>): Verdict {
    const budget = unchecked(this.own[unchecked(state.rules[place])]);
    return this.reserveOf(budget, state, place, wants);
  }

  /** Makes a claim that the store knows nothing of: the service has the budget. */
  claimOfService(state: RateLimitState, place: i32): Claim {
    const claim = unchecked(state.claims[place]);
    const budget = unchecked(this.own[unchecked(state.rules[place])]);
    claim.begin(budget, unchecked(state.hashLow[place]), unchecked(state.hashHigh[place]), state.now, state.amounts(place));
    return claim;
  }

  private reserveOf(budget: Budget, state: RateLimitState, place: i32, wants: StaticArray<i64>): Verdict {
    const claim = unchecked(state.claims[place]);
    const low = unchecked(state.hashLow[place]);
    const high = unchecked(state.hashHigh[place]);
    return this.store.reserve(budget, low, high, wants, state.now, claim, state.amounts(place));
  }
}

function budgetOf(rule: RateLimitRule, granted: bool): Budget {
  const windows = new StaticArray<TokenWindow>(rule.limits.length);
  for (let i = 0; i < windows.length; i++) {
    const window = rule.limits[i].window(granted);
    if (granted) window.lease = max<i64>(<i64>(<f64>window.amount * <f64>rule.leasePercent / 100), rule.limits[i].scale);
    windows[i] = window;
  }
  return new Budget(windows);
}
