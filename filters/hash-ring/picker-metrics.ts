/**
 * What the picker does, as Envoy statistics `tokenmesh_endpoint_*`, `;key=value` labels in the name as in pipeline/telemetry.ts. Counted in the VM and written on
 * ticks. All of them exist from the start.
 *
 *   tokenmesh_endpoint_picks;pool=P;outcome=O            affinity: where the prompt's beginning is cached | key: by the consistent hash | load: by load |
 *                                                        fallback: left to Envoy | refused | shed
 *   tokenmesh_endpoint_prompt_tokens;pool=P;kind=K       all | predicted (of them cached, as the index has it) | cached (as the engines report it)
 *   tokenmesh_endpoint_answers;pool=P;outcome=O          served | moved: another endpoint of the list answered | elsewhere: none of the pool | failed
 *   tokenmesh_endpoint_inflight;pool=P                   gauge: requests in flight, all workers of this Envoy
 *   tokenmesh_endpoint_available;pool=P                  gauge: endpoints that may be picked
 *   tokenmesh_endpoint_state;pool=P;event=E              gossip_lost (of any pool, counted for the first) | feed_failed
 */
import { Metric } from "../sdk";
import { Pending } from "../pipeline/pending-counter";

export const enum Pick {
  Affinity = 0,
  Key = 1,
  Load = 2,
  Fallback = 3,
  Refused = 4,
  Shed = 5,
}

export const enum Tokens {
  All = 0,
  Predicted = 1,
  Cached = 2,
}

export const enum Served {
  /** By the endpoint that was picked. */
  Served = 0,
  Moved = 1,
  Elsewhere = 2,
  Failed = 3,
}

export const enum PoolEvent {
  GossipLost = 0,
  FeedFailed = 1,
}

const PICKS: StaticArray<string> = ["affinity", "key", "load", "fallback", "refused", "shed"];
const TOKENS: StaticArray<string> = ["all", "predicted", "cached"];
const SERVED: StaticArray<string> = ["served", "moved", "elsewhere", "failed"];
const EVENTS: StaticArray<string> = ["gossip_lost", "feed_failed"];
const PREFIX = "tokenmesh_endpoint_";

/** Of one pool. */
@final
export class PoolMetrics {
  private readonly picks: Pending[];
  private readonly tokens: Pending[];
  private readonly answers: Pending[];
  private readonly events: Pending[];
  private readonly inflight: Metric;
  private readonly available: Metric;
  private inflightShown: i64 = -1;
  private availableShown: i64 = -1;

  /** Defines all of them: one hostcall each. */
  constructor(pool: string) {
    const label = ";pool=" + pool;
    this.picks = counters("picks" + label + ";outcome=", PICKS);
    this.tokens = counters("prompt_tokens" + label + ";kind=", TOKENS);
    this.answers = counters("answers" + label + ";outcome=", SERVED);
    this.events = counters("state" + label + ";event=", EVENTS);
    this.inflight = Metric.gauge(PREFIX + "inflight" + label);
    this.available = Metric.gauge(PREFIX + "available" + label);
  }

  picked(how: Pick): void {
    unchecked(this.picks[how]).add(1);
  }

  count(kind: Tokens, tokens: i64): void {
    unchecked(this.tokens[kind]).add(tokens);
  }

  answered(served: Served): void {
    unchecked(this.answers[served]).add(1);
  }

  happened(event: PoolEvent, times: i64): void {
    unchecked(this.events[event]).add(times);
  }

  /** The gauges are those of all workers, so one of them writes them. */
  show(inflight: i64, available: i64): void {
    if (inflight != this.inflightShown) this.inflight.record(inflight);
    if (available != this.availableShown) this.available.record(available);
    this.inflightShown = inflight;
    this.availableShown = available;
  }

  /** Another worker writes the gauges now. */
  forget(): void {
    this.inflightShown = -1;
    this.availableShown = -1;
  }

  flush(): void {
    flushAll(this.picks);
    flushAll(this.tokens);
    flushAll(this.answers);
    flushAll(this.events);
  }
}

function counters(name: string, values: StaticArray<string>): Pending[] {
  const list: Pending[] = [];
  for (let i = 0; i < values.length; i++) list.push(new Pending(Metric.counter(PREFIX + name + values[i])));
  return list;
}

function flushAll(list: Pending[]): void {
  for (let i = 0; i < list.length; i++) unchecked(list[i]).flush();
}
