/** What one request has, or asks for, of budgets that a Rate Limit Service keeps. Pooled: it outlives its stream until the service knows the end of it. */
import { Exchange } from "../pipeline/exchange";
import { Bytes, ByteWriter } from "../sdk";
import { Claim } from "../state/budget-store";

export const enum ServiceClaimState {
  /** In the pool. */
  Free = 0,
  /** The service was asked for what a request needs. */
  Asking = 1,
  /** The service was asked for a lease; nobody waits. */
  Ahead = 2,
}

@final
export class ServiceClaim {
  state: ServiceClaimState = ServiceClaimState.Free;
  /** Whose claim it is; null once that stream is over. */
  exchange: Exchange | null = null;
  /** When it was asked for: ms since the epoch. */
  askedAt: i64 = 0;
  /** Its own among the claims of this VM. */
  number: u64 = 0;
  /** Settles that failed, and when the next one is due. */
  tries: i32 = 0;
  retryAt: i64 = 0;
  readonly model: ByteWriter = new ByteWriter();
  /** Values of the parts of all keys, each behind its length of two bytes. */
  readonly keys: ByteWriter = new ByteWriter();

  /** Rules: index, where the values of the key begin, and with a lease a copy of what the store knows. */
  ruleCount: i32 = 0;
  readonly rules: i32[] = [];
  readonly keyAt: i32[] = [];
  readonly claims: Claim[] = [];

  /** Descriptors, one for each limit: place of the rule in `rules`, index of the limit, and on the wire its amount, what was asked for and what was used. */
  count: i32 = 0;
  readonly rule: i32[] = [];
  readonly limit: i32[] = [];
  readonly amount: u32[] = [];
  readonly asked: u32[] = [];
  readonly used: u32[] = [];

  begin(state: ServiceClaimState, exchange: Exchange | null, askedAt: i64, number: u64): void {
    this.state = state;
    this.exchange = exchange;
    this.askedAt = askedAt;
    this.number = number;
    this.tries = 0;
    this.retryAt = 0;
    this.ruleCount = 0;
    this.count = 0;
    this.model.reset();
    this.keys.reset();
  }

  /** The descriptors that come are of this rule. `keys`: values of its key, as `keys` has them. */
  addRule(rule: i32, keys: Bytes, claim: Claim | null): void {
    if (this.ruleCount == this.rules.length) {
      this.rules.push(0);
      this.keyAt.push(0);
      this.claims.push(new Claim());
    }
    const at = this.ruleCount++;
    unchecked((this.rules[at] = rule));
    unchecked((this.keyAt[at] = this.keys.len));
    this.keys.bytes(keys);
    if (claim !== null) unchecked(this.claims[at]).copy(claim);
  }

  addLimit(limit: i32, amount: u32, asked: u32): void {
    if (this.count == this.rule.length) {
      this.rule.push(0);
      this.limit.push(0);
      this.amount.push(0);
      this.asked.push(0);
      this.used.push(0);
    }
    const at = this.count++;
    unchecked((this.rule[at] = this.ruleCount - 1));
    unchecked((this.limit[at] = limit));
    unchecked((this.amount[at] = amount));
    unchecked((this.asked[at] = asked));
    unchecked((this.used[at] = 0));
  }

  /** Adds what another claim of the same request, of one rule, was given. */
  merge(other: ServiceClaim): void {
    for (let i = 0; i < this.count; i++) {
      if (unchecked(this.rules[unchecked(this.rule[i])]) != unchecked(other.rules[0])) continue;
      for (let j = 0; j < other.count; j++) {
        if (unchecked(other.limit[j]) == unchecked(this.limit[i])) unchecked((this.asked[i] += other.asked[j]));
      }
    }
  }

  /** Takes the descriptors of a rule out, by its place in `rules`. */
  drop(place: i32): void {
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      if (unchecked(this.rule[i]) == place) continue;
      unchecked((this.rule[kept] = this.rule[i]));
      unchecked((this.limit[kept] = this.limit[i]));
      unchecked((this.amount[kept] = this.amount[i]));
      unchecked((this.asked[kept] = this.asked[i]));
      unchecked((this.used[kept] = this.used[i]));
      kept++;
    }
    this.count = kept;
  }

  /** Memory for another request. Large keys are not kept. */
  end(): void {
    this.state = ServiceClaimState.Free;
    this.exchange = null;
    this.keys.release();
  }
}
