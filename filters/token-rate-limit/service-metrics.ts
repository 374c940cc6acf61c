/**
 * What becomes of calls to the Rate Limit Service, as Envoy counters `tokenmesh_rate_limit_*`, written on ticks as those of limit-metrics.ts.
 *
 *   tokenmesh_rate_limit_calls;call=C;outcome=O     C: reserve | settle | lease. O: ok | over_limit | failed | skipped
 *   tokenmesh_rate_limit_settles_lost               what requests used and the service will never know
 *   tokenmesh_rate_limit_service_up                 gauge: 0 while calls are skipped because too many failed
 */
import { Metric } from "../sdk";
import { Pending } from "../pipeline/pending-counter";

export const enum Call {
  Reserve = 0,
  Settle = 1,
  Lease = 2,
}

export const enum CallOutcome {
  Ok = 0,
  OverLimit = 1,
  Failed = 2,
  Skipped = 3,
}

const CALLS: StaticArray<string> = ["reserve", "settle", "lease"];
const OUTCOMES: StaticArray<string> = ["ok", "over_limit", "failed", "skipped"];

@final
export class ServiceMetrics {
  settlesLost: u32 = 0;
  up: bool = true;

  private readonly counters: Pending[] = [];
  private readonly lost: Pending = new Pending(Metric.counter("tokenmesh_rate_limit_settles_lost"));
  private readonly gauge: Metric = Metric.gauge("tokenmesh_rate_limit_service_up");
  private written: bool = false;

  /** Defines all of them: one hostcall each. */
  constructor() {
    for (let kind = 0; kind < CALLS.length; kind++) {
      for (let outcome = 0; outcome < OUTCOMES.length; outcome++) {
        const name = "tokenmesh_rate_limit_calls;call=" + CALLS[kind] + ";outcome=" + OUTCOMES[outcome];
        this.counters.push(new Pending(Metric.counter(name)));
      }
    }
    this.gauge.record(1);
    this.written = true;
  }

  call(kind: Call, outcome: CallOutcome): void {
    unchecked(this.counters[kind * OUTCOMES.length + outcome]).add(1);
  }

  flush(): void {
    this.lost.add(this.settlesLost);
    this.settlesLost = 0;
    this.lost.flush();
    for (let i = 0; i < this.counters.length; i++) unchecked(this.counters[i]).flush();
    if (this.up == this.written) return;
    this.gauge.record(this.up ? 1 : 0);
    this.written = this.up;
  }
}
