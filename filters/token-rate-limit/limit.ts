/** How much of what in which time. Made from the configuration, never changed. */
import { TimeZone } from "../lib/time-zone";
import { LimitUnit, MONEY_SCALE, WEIGHT_SCALE } from "../lib/token-charge";
import { TokenWindow, WindowPeriod } from "../lib/token-window";
import { KeyPart } from "../pipeline/caller-key/key-part";
import { Bytes } from "../sdk";

/** By `LimitUnit`, as the configuration names them. */
export const UNIT_NAMES = ["tokens", "promptTokens", "completionTokens", "weightedTokens", "requests", "money"];
/** By `WindowPeriod`, likewise. */
export const PERIOD_NAMES = ["second", "minute", "hour", "day", "month"];

const MOST_TOKENS: i64 = 1_000_000_000_000;
const MOST_DOLLARS: i64 = 1_000_000;

/** What an amount is at most on the wire to a Rate Limit Service, where it has 32 bits. */
const MOST_ON_WIRE: i64 = 4_000_000_000;

@final
export class Limit {
  unit: LimitUnit = LimitUnit.Tokens;
  /** In the units of `LimitUnit`; at least 1. */
  amount: i64 = 1;
  period: WindowPeriod = WindowPeriod.Minute;
  /** Any interval of that length, instead of one of the calendar. */
  rolling: bool = false;
  /** Where days and months begin. */
  zone: TimeZone = new TimeZone(0);
  /** Where a request says its own amount: a captured header (`headers[0]`) or a property (`text`); null: `amount` holds for all. */
  amountFrom: KeyPart | null = null;
  /** Only in rules with mode strict or leased: units that are 1 on the wire, a power of ten. */
  scale: i64 = 1;
  /** Likewise: `tokens/minute`, or `money/month/10` with a scale of 10: what a Rate Limit Service is told that the limit is. */
  label: Bytes = new Bytes();

  /** `granted`: only what a service has granted may be used. */
  window(granted: bool = false): TokenWindow {
    return new TokenWindow(this.amount, this.period, this.rolling, this.zone, granted);
  }

  /** The most that an amount may be. */
  get most(): i64 {
    if (this.unit == LimitUnit.Money) return MOST_DOLLARS * MONEY_SCALE;
    return this.unit == LimitUnit.WeightedTokens ? MOST_TOKENS * WEIGHT_SCALE : MOST_TOKENS;
  }

  /** Sets `scale` and `label`. Allocates: for the configuration. */
  goRemote(): void {
    let scale: i64 = 1;
    while (this.amount / scale > MOST_ON_WIRE) scale *= 10;
    this.scale = scale;
    // Another scale makes another budget: hits of the one are nothing that the other could count on in.
    const label = UNIT_NAMES[this.unit] + "/" + PERIOD_NAMES[this.period];
    this.label = Bytes.literal(scale == 1 ? label : label + "/" + scale.toString());
  }

  /** What is counted of `units` on the wire: rounded up, so that what costs something costs at least 1. 0 to 4e9. */
  wireHits(units: i64): u32 {
    const whole = units / this.scale + (units % this.scale > 0 ? 1 : 0);
    return <u32>min(max<i64>(whole, 0), MOST_ON_WIRE);
  }

  /** What an amount of `units` is on the wire: rounded down, at least 1 and at most 4e9, which a request that says its own may go beyond. */
  wireAmount(units: i64): u32 {
    return <u32>min(max<i64>(units / this.scale, 1), MOST_ON_WIRE);
  }
}
