/** How much of what in which time. Made from the configuration, never changed. */
import { LimitUnit } from "../lib/token-charge";
import { TokenWindow, WindowPeriod } from "../lib/token-window";

@final
export class Limit {
  unit: LimitUnit = LimitUnit.Tokens;
  /** In the units of `LimitUnit`; at least 1. */
  amount: i64 = 1;
  period: WindowPeriod = WindowPeriod.Minute;
  /** Any interval of that length, instead of one of the calendar. */
  rolling: bool = false;
  /** Local time minus UTC: where days and months begin. */
  offsetSeconds: i32 = 0;

  window(): TokenWindow {
    return new TokenWindow(this.amount, this.period, this.rolling, this.offsetSeconds);
  }
}
