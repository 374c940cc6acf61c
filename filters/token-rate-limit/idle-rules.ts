/**
 * Notices rules that nothing matched for an hour: a misspelled model or header makes a limit that limits nobody, and nobody would see.
 *
 *   tokenmesh_rate_limit_idle;rule=R    gauge: 1 when no request matched the rule in the last whole hour
 *
 * Each VM looks at the counters of all of them; the first one that finds a rule idle in an hour says so in the log.
 */
import { Bytes, log, LogLevel, Metric, sharedData, Status } from "../sdk";
import { LimitMetrics } from "./limit-metrics";
import { RateLimitRule } from "./rule";

const HOUR: i64 = 3_600_000;
const SAID = "tm.rl.idle.";

@final
export class IdleRules {
  private readonly gauges: Metric[] = [];
  private readonly names: string[] = [];
  /** Requests that have matched, by rule, when the hour began. */
  private readonly matched: u64[] = [];
  private began: i64 = 0;

  constructor(
    rules: RateLimitRule[],
    private readonly metrics: LimitMetrics,
  ) {
    for (let i = 0; i < rules.length; i++) {
      const name = rules[i].name.toString();
      this.names.push(name);
      this.gauges.push(Metric.gauge("tokenmesh_rate_limit_idle;rule=" + name));
      this.gauges[i].record(0);
      this.matched.push(0);
    }
  }

  /** `now`: ms since the epoch. Behind the counters' flush. */
  onTick(now: i64): void {
    if (this.began == 0 || now < this.began) this.begin(now);
    if (now - this.began < HOUR) return;
    for (let i = 0; i < this.names.length; i++) {
      const idle = this.metrics.matched(i) == this.matched[i];
      this.gauges[i].record(idle ? 1 : 0);
      if (idle && isFirst(this.names[i], now)) {
        log.text(LogLevel.Warn, "rate limit: no request matched rule " + this.names[i] + " in the last hour; see whether its match is what you mean");
      }
    }
    this.begin(now);
  }

  private begin(now: i64): void {
    this.began = now;
    for (let i = 0; i < this.names.length; i++) this.matched[i] = this.metrics.matched(i);
  }
}

/** Nobody else has said it in the last half hour. */
function isFirst(rule: string, now: i64): bool {
  const key = Bytes.literal(SAID + rule);
  const value = new Bytes();
  const found = sharedData.get(key, value) == Status.Ok && value.len == 8;
  if (found && now - load<i64>(value.ptr) < HOUR / 2) return false;
  const time = new StaticArray<i64>(1);
  time[0] = now;
  value.set(changetype<usize>(time), 8);
  return sharedData.set(key, value, found ? sharedData.cas() : 0xffffffff) == Status.Ok;
}
