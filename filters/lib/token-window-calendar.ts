/**
 * Windows of time that begin where a clock on the wall says so: whole seconds, minutes, hours, days and calendar months in a time zone. A day or month begins at the first moment at which the clock shows
 * its midnight or more; so it is an hour shorter or longer when clocks change in it.
 *
 * All times and lengths are milliseconds since 1970-01-01T00:00:00Z; leap seconds do not exist, as everywhere on Unix.
 */
import { DAY, monthOf, monthStart } from "./civil-date";
import { TimeZone } from "./time-zone";

export const enum WindowPeriod {
  Second,
  Minute,
  Hour,
  Day,
  Month,
}

/** Length of a window, by a clock that never changes; of the longest one for months. */
export function periodLength(period: WindowPeriod): i64 {
  if (period == WindowPeriod.Second) return 1000;
  if (period == WindowPeriod.Minute) return 60_000;
  if (period == WindowPeriod.Hour) return 3_600_000;
  return period == WindowPeriod.Day ? DAY : 31 * DAY;
}

/** Begin of the window that `time` lies in. Hours are those of the zone's winter. Times before 1970 on that clock count as 1970. */
export function windowStart(period: WindowPeriod, zone: TimeZone, time: i64): i64 {
  if (period < WindowPeriod.Day) {
    const local = max(time + zone.winter, 0);
    return local - (local % periodLength(period)) - zone.winter;
  }
  const local = max(zone.wall(time), 0);
  return zone.reaches(period == WindowPeriod.Month ? monthStart(monthOf(local / DAY)) * DAY : local - (local % DAY));
}

/** End of the window that begins at `start`: the begin of the next one. */
export function windowEnd(period: WindowPeriod, zone: TimeZone, start: i64): i64 {
  if (period < WindowPeriod.Day) return start + periodLength(period);
  const local = max(zone.wall(start), 0);
  return zone.reaches(period == WindowPeriod.Month ? monthStart(monthOf(local / DAY) + 1) * DAY : local - (local % DAY) + DAY);
}
