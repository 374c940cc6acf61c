/**
 * A time zone: by how much its clocks are ahead of UTC, always the same or in two turns, winter and summer, that change at two dates of every year. Zones that follow other rules, such as the moon, are none.
 *
 * "Summer" is the time of year with the larger offset, wherever it is and whatever a country calls it; so a zone has one form, and two that mean the same have the same identity.
 *
 * What a clock on the wall shows jumps: midnight may come twice, or never. A window of the calendar is bounded by *first moments*: `reaches(x)` is when a clock in the zone shows x or more for the first
 * time, and `wall(t)` is the most that it has shown until t. Both never fall, so windows cut at first moments follow one another without gaps, whatever the clocks do.
 *
 * Times are ms since the epoch. The stretch between two changes that was asked for last is kept: nearly every question is about it.
 */
import { DAY, monthOf } from "./civil-date";
import { ZoneChange } from "./time-zone-change";

/** Changes are further apart, in either direction: no zone has them closer, and then the two of the year before and after are all that count at any moment. */
const LEAST_APART: i64 = 14 * DAY;

@final
export class TimeZone {
  /** ms ahead of UTC; equal when clocks never change. */
  readonly winter: i64;
  readonly summer: i64;
  /** From winter to summer, by winter's clock, and back by summer's; null when clocks never change. */
  private readonly forward: ZoneChange | null;
  private readonly back: ZoneChange | null;
  /** The stretch that was asked for last: `offset` holds from `since` until just before `until`. */
  private since: i64 = i64.MIN_VALUE;
  private until: i64 = i64.MAX_VALUE;
  private offset: i64;

  /** Offsets: ms, to a day either way. `toSecond`: the change from `first` to `second` offset by the clock of the first, `toFirst` the other one. Both are there, or none. */
  constructor(first: i64, second: i64 = first, toSecond: ZoneChange | null = null, toFirst: ZoneChange | null = null) {
    this.winter = min(first, second);
    this.summer = max(first, second);
    this.offset = first;
    this.forward = first < second ? toSecond : toFirst;
    this.back = first < second ? toFirst : toSecond;
    if (!this.isFixed) this.until = this.since;
  }

  /** Clocks never change. */
  get isFixed(): bool {
    return this.winter == this.summer;
  }

  /** In every year two weeks are between changes, without which nothing here holds. O(400 years). */
  get isSpaced(): bool {
    if (this.isFixed) return true;
    const northern = this.ahead(1969) < this.behind(1969);
    let last = northern ? this.behind(1969) : this.ahead(1969);
    for (let year: i64 = 1970; year < 2370; year++) {
      const first = northern ? this.ahead(year) : this.behind(year);
      const second = northern ? this.behind(year) : this.ahead(year);
      if (first - last < LEAST_APART || second - first < LEAST_APART) return false;
      last = second;
    }
    return true;
  }

  /** Differs between zones that differ; of a zone without changes the seconds ahead of UTC. Allocates: for the configuration. */
  get identity(): string {
    const forward = this.forward;
    const back = this.back;
    const offset = (this.winter / 1000).toString();
    if (forward === null || back === null) return offset;
    return offset + "," + (this.summer / 1000).toString() + "," + forward.identity + "," + back.identity;
  }

  /** ms ahead of UTC at a time. O(1). */
  @inline
  offsetAt(time: i64): i64 {
    if (time < this.since || time >= this.until) this.seek(time);
    return this.offset;
  }

  /** The most that a clock in the zone has shown until `time`, as ms since 1970 on that clock. */
  wall(time: i64): i64 {
    const local = time + this.offsetAt(time);
    // Just before it was put back it showed more.
    return this.offset == this.summer ? local : max(local, this.since + this.summer - 1);
  }

  /** When a clock in the zone first shows `local` or more. */
  reaches(local: i64): i64 {
    const earliest = local - this.summer;
    if (this.offsetAt(earliest) == this.summer) return earliest;
    // It is put forward over `local`, or gets there in its winter.
    return min(local - this.winter, this.until);
  }

  /** Finds the stretch that a time is in. */
  private seek(time: i64): void {
    const year = 1970 + monthOf(max(time, 0) / DAY) / 12;
    this.since = i64.MIN_VALUE;
    this.until = i64.MAX_VALUE;
    for (let each = year - 1; each <= year + 1; each++) {
      this.bound(time, this.ahead(each), this.summer);
      this.bound(time, this.behind(each), this.winter);
    }
  }

  /** Narrows the stretch around `time` by a change. */
  @inline
  private bound(time: i64, change: i64, offset: i64): void {
    if (change > time) this.until = min(this.until, change);
    else if (change > this.since) {
      this.since = change;
      this.offset = offset;
    }
  }

  /** When clocks are put forward in a year. */
  private ahead(year: i64): i64 {
    return this.forward!.inYear(year) - this.winter;
  }

  /** When they are put back. */
  private behind(year: i64): i64 {
    return this.back!.inYear(year) - this.summer;
  }
}
