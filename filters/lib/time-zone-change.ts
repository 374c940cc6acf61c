/** When the clocks of a zone change, every year anew: one of the two dates in a POSIX time zone. */
import { DAY, firstDay, isLeap } from "./civil-date";

export const enum ChangeDate {
  /** `Mm.w.d`: a weekday, the `week`-th or, with 5, the last of its month. */
  Weekday,
  /** `Jn`: day 1 to 365; February 29 is never counted. */
  DayOfCommonYear,
  /** `n`: day 0 to 365. */
  DayOfYear,
}

@final
export class ZoneChange {
  /**
   * `month` 0 to 11, `week` 1 to 5: for a weekday only. `day`: 0 (Sunday) to 6 for a weekday, else of the year. `time`: ms after midnight, which may be below 0 or on another day.
   */
  constructor(
    private readonly date: ChangeDate,
    private readonly month: i32,
    private readonly week: i32,
    private readonly day: i32,
    private readonly time: i64,
  ) {}

  /** What the clocks show when they are changed, as ms since 1970 on that clock. O(1). */
  inYear(year: i64): i64 {
    return this.dayIn(year) * DAY + this.time;
  }

  /** Differs between changes that differ. Allocates: for the configuration. */
  get identity(): string {
    return this.date.toString() + "." + this.month.toString() + "." + this.week.toString() + "." + this.day.toString() + "/" + (this.time / 1000).toString();
  }

  /** Days since 1970-01-01. */
  private dayIn(year: i64): i64 {
    const day = <i64>this.day;
    if (this.date == ChangeDate.DayOfYear) return firstDay(year, 0) + day;
    if (this.date == ChangeDate.DayOfCommonYear) return firstDay(year, 0) + day - (day < 60 || !isLeap(year) ? 1 : 0);
    const first = firstDay(year, this.month);
    // 1970-01-01 was a Thursday. 7 is added twice, for days before that.
    const weekday = (((first + 4) % 7) + 7) % 7;
    const found = first + ((day - weekday + 7) % 7) + 7 * (<i64>this.week - 1);
    return found < firstDay(year, this.month + 1) ? found : found - 7;
  }
}
