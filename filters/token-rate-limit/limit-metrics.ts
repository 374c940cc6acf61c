/**
 * What the limiter does, as Envoy counters `tokenmesh_rate_limit_*`, `;key=value` labels in the name as in pipeline/telemetry.ts. Counted in the VM and written on
 * ticks. All of them exist from the start, so a rule that nothing matches shows as 0 and not as nothing.
 *
 *   tokenmesh_rate_limit_rules                                  gauge: rules in force
 *   tokenmesh_rate_limit_requests;rule=R;outcome=O              admitted | refused | shadow_refused | key_missing; on the way: queued | stopped | paced
 *   tokenmesh_rate_limit_tokens;rule=R;kind=K                   reserved | used: over many requests the two should be close
 *   tokenmesh_rate_limit_unpriced;rule=R                        requests for a model that the price list does not have
 *   tokenmesh_rate_limit_decided_alone;rule=R                   requests that onFailure decided, because the service could not be asked
 *   tokenmesh_rate_limit_store;event=E                          evicted_live | contention | unavailable | settle_lost | grant_lost
 */
import { Metric } from "../sdk";
import { BudgetStore } from "../state/budget-store";
import { Pending } from "../pipeline/pending-counter";
import { RateLimitRule } from "./rule";

export const enum Outcome {
  Admitted = 0,
  Refused = 1,
  ShadowRefused = 2,
  KeyMissing = 3,
  Queued = 4,
  Stopped = 5,
  Paced = 6,
}
/** By `Outcome`, then what else is counted of a rule. */
const NAMES: StaticArray<string> = ["admitted", "refused", "shadow_refused", "key_missing", "queued", "stopped", "paced"];
const RESERVED: i32 = 7;
const USED: i32 = 8;
const UNPRICED: i32 = 9;
const ALONE: i32 = 10;
const COUNTERS: i32 = 11;

const PREFIX = "tokenmesh_rate_limit_";

@final
export class LimitMetrics {
  /** `COUNTERS` for each rule. */
  private readonly counters: Pending[] = [];
  private readonly store: Pending[] = [];
  private evicted: u32 = 0;
  private contention: u32 = 0;
  private unavailable: u32 = 0;
  private lost: u32 = 0;
  private grantsLost: u32 = 0;

  /** Defines all of them: one hostcall each. */
  constructor(rules: RateLimitRule[]) {
    Metric.gauge(PREFIX + "rules").record(rules.length);
    for (let i = 0; i < rules.length; i++) {
      const rule = ";rule=" + rules[i].name.toString();
      for (let outcome = 0; outcome < NAMES.length; outcome++) this.counters.push(counter("requests" + rule + ";outcome=" + NAMES[outcome]));
      this.counters.push(counter("tokens" + rule + ";kind=reserved"));
      this.counters.push(counter("tokens" + rule + ";kind=used"));
      this.counters.push(counter("unpriced" + rule));
      this.counters.push(counter("decided_alone" + rule));
    }
    const events = ["evicted_live", "contention", "unavailable", "settle_lost", "grant_lost"];
    for (let i = 0; i < events.length; i++) this.store.push(counter("store;event=" + events[i]));
  }

  request(rule: i32, outcome: Outcome): void {
    unchecked(this.counters[rule * COUNTERS + outcome]).add(1);
  }

  tokens(rule: i32, reserved: i64, used: i64): void {
    unchecked(this.counters[rule * COUNTERS + RESERVED]).add(reserved);
    unchecked(this.counters[rule * COUNTERS + USED]).add(used);
  }

  unpriced(rule: i32): void {
    unchecked(this.counters[rule * COUNTERS + UNPRICED]).add(1);
  }

  /** The service could not be asked, so the rule's failure policy said what becomes of a request. */
  decidedAlone(rule: i32): void {
    unchecked(this.counters[rule * COUNTERS + ALONE]).add(1);
  }

  /** Requests that the rule was about, in all VMs and since the Envoy started; what is not flushed yet is missing. A hostcall for each outcome. */
  matched(rule: i32): u64 {
    let sum = unchecked(this.counters[rule * COUNTERS + ALONE]).value;
    for (let outcome = 0; outcome < NAMES.length; outcome++) sum += unchecked(this.counters[rule * COUNTERS + outcome]).value;
    return sum;
  }

  /** Writes what has been counted. A hostcall for each counter that moved. */
  flush(store: BudgetStore): void {
    // The counters of a VM's store wrap; their differences do not.
    this.store[0].add(store.evictedLive - this.evicted);
    this.store[1].add(store.contention - this.contention);
    this.store[2].add(store.unavailable - this.unavailable);
    this.store[3].add(store.settlesLost - this.lost);
    this.store[4].add(store.grantsLost - this.grantsLost);
    this.grantsLost = store.grantsLost;
    this.evicted = store.evictedLive;
    this.contention = store.contention;
    this.unavailable = store.unavailable;
    this.lost = store.settlesLost;
    for (let i = 0; i < this.store.length; i++) this.store[i].flush();
    for (let i = 0; i < this.counters.length; i++) this.counters[i].flush();
  }
}

function counter(name: string): Pending {
  return new Pending(Metric.counter(PREFIX + name));
}
