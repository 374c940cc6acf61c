/**
 * What the cache does, as Envoy statistics `tokenmesh_cache_*`, `;key=value` labels in the name as in pipeline/telemetry.ts. Counted in the VM and written on ticks.
 * All of them exist from the start.
 *
 *   tokenmesh_cache_requests;rule=R;outcome=O         hit: from the memory of this Envoy | shared: from the service | coalesced: from a call that ran already |
 *                                                     stale: an old answer, while a new one is fetched or the upstream fails | transcoded | similar: to a question like it | miss | bypass |
 *                                                     refused: only-if-cached, and it is not
 *   tokenmesh_cache_answers;rule=R;outcome=O          stored | unfit: not whole, filtered, an error, or not to be stored | large: larger than an entry may be | lost: no room, or races
 *   tokenmesh_cache_saved_tokens;rule=R;kind=K        input | output: of the answers that were given again
 *   tokenmesh_cache_saved_money;rule=R                1e-9 US dollar, by the prices of the rule
 *   tokenmesh_cache_bytes;rule=R;kind=K               served | stored: of bodies
 *   tokenmesh_cache_lookup_microseconds;tier=T        histogram: envoy, of one lookup in 64 | service, of each
 *   tokenmesh_cache_events;event=E                    evicted | contended | service_failed | put_failed | purged: purges that came | handover: a follower took the call over |
 *                                                     unshared: a call that only its worker knew of | timeout: waited as long as the rule says
 */
import { Pending } from "../pipeline/pending-counter";
import { Metric } from "../sdk";

export const enum Outcome {
  Hit = 0,
  Shared = 1,
  Coalesced = 2,
  Stale = 3,
  Transcoded = 4,
  Similar = 5,
  Miss = 6,
  Bypass = 7,
  Refused = 8,
}

export const enum Stored {
  Stored = 0,
  Unfit = 1,
  Large = 2,
  Lost = 3,
}

export const enum CacheEvent {
  Evicted = 0,
  Contended = 1,
  ServiceFailed = 2,
  PutFailed = 3,
  Purged = 4,
  Handover = 5,
  Unshared = 6,
  Timeout = 7,
}

const OUTCOMES: StaticArray<string> = ["hit", "shared", "coalesced", "stale", "transcoded", "similar", "miss", "bypass", "refused"];
const STORED: StaticArray<string> = ["stored", "unfit", "large", "lost"];
const TOKENS: StaticArray<string> = ["input", "output"];
const BYTES: StaticArray<string> = ["served", "stored"];
const EVENTS: StaticArray<string> = ["evicted", "contended", "service_failed", "put_failed", "purged", "handover", "unshared", "timeout"];
const PREFIX = "tokenmesh_cache_";

/** Of one rule. */
@final
export class RuleMetrics {
  private readonly requests: Pending[];
  private readonly answers: Pending[];
  private readonly tokens: Pending[];
  private readonly bytes: Pending[];
  private readonly money: Pending;

  /** Defines all of them: one hostcall each. */
  constructor(rule: string) {
    const label = ";rule=" + rule;
    this.requests = counters("requests" + label + ";outcome=", OUTCOMES);
    this.answers = counters("answers" + label + ";outcome=", STORED);
    this.tokens = counters("saved_tokens" + label + ";kind=", TOKENS);
    this.bytes = counters("bytes" + label + ";kind=", BYTES);
    this.money = new Pending(Metric.counter(PREFIX + "saved_money" + label));
  }

  request(outcome: Outcome): void {
    unchecked(this.requests[outcome]).add(1);
  }

  answer(outcome: Stored): void {
    unchecked(this.answers[outcome]).add(1);
  }

  stored(bytes: i64): void {
    unchecked(this.answers[Stored.Stored]).add(1);
    unchecked(this.bytes[1]).add(bytes);
  }

  /** An answer was given again. Tokens that are not known are none. */
  served(bytes: i64, input: i64, output: i64, money: i64): void {
    unchecked(this.bytes[0]).add(bytes);
    unchecked(this.tokens[0]).add(max<i64>(input, 0));
    unchecked(this.tokens[1]).add(max<i64>(output, 0));
    this.money.add(money);
  }

  flush(): void {
    flushAll(this.requests);
    flushAll(this.answers);
    flushAll(this.tokens);
    flushAll(this.bytes);
    this.money.flush();
  }
}

/** Of the whole cache. */
@final
export class CacheMetrics {
  readonly rules: RuleMetrics[] = [];
  private readonly events: Pending[] = counters("events;event=", EVENTS);
  private readonly own: Metric = Metric.histogram(PREFIX + "lookup_microseconds;tier=envoy");
  private readonly service: Metric = Metric.histogram(PREFIX + "lookup_microseconds;tier=service");

  happened(event: CacheEvent, times: i64): void {
    unchecked(this.events[event]).add(times);
  }

  /** A lookup took so many ns. */
  lookedUp(ns: u64): void {
    this.own.record(<i64>(ns / 1000));
  }

  asked(ns: u64): void {
    this.service.record(<i64>(ns / 1000));
  }

  flush(): void {
    flushAll(this.events);
    for (let i = 0; i < this.rules.length; i++) unchecked(this.rules[i]).flush();
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
