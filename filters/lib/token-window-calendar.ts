/**
 * Windows of time that begin where a clock on the wall says so: whole seconds, minutes, hours, days and calendar months in a zone with a fixed offset.
 *
 * All times and lengths are milliseconds since 1970-01-01T00:00:00Z; leap seconds do not exist, as everywhere on Unix.
 */
export const enum WindowPeriod {
  Second,
  Minute,
  Hour,
  Day,
  Month,
}

const DAY: i64 = 86_400_000;

/** Days of a common year before the month. */
const DAYS_BEFORE: StaticArray<i32> = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/** Length of a window; of the longest one for months. */
export function periodLength(period: WindowPeriod): i64 {
  if (period == WindowPeriod.Second) return 1000;
  if (period == WindowPeriod.Minute) return 60_000;
  if (period == WindowPeriod.Hour) return 3_600_000;
  return period == WindowPeriod.Day ? DAY : 31 * DAY;
}

/** Begin of the window that `time` lies in. `offset`: local time minus UTC. Times before 1970 on that clock count as 1970. */
export function windowStart(period: WindowPeriod, offset: i64, time: i64): i64 {
  const local = max(time + offset, 0);
  if (period == WindowPeriod.Month) return monthStart(monthOf(local / DAY)) * DAY - offset;
  return local - (local % periodLength(period)) - offset;
}

/** End of the window that begins at `start`: the begin of the next one. */
export function windowEnd(period: WindowPeriod, offset: i64, start: i64): i64 {
  if (period != WindowPeriod.Month) return start + periodLength(period);
  return monthStart(monthOf((start + offset) / DAY) + 1) * DAY - offset;
}

/** Months since January 1970 of a day since 1970-01-01. 4,800 months have 146,097 days, so the guess is off by one at most. */
function monthOf(day: i64): i64 {
  const guess = (day * 4800) / 146_097;
  if (monthStart(guess) > day) return guess - 1;
  return monthStart(guess + 1) <= day ? guess + 1 : guess;
}

/** First day of a month; 477 leap days are before 1970. */
function monthStart(month: i64): i64 {
  const years = month / 12;
  const before = 1969 + years;
  const leapDays = before / 4 - before / 100 + before / 400 - 477;
  const index = <i32>(month % 12);
  const inLeapYear: i64 = index > 1 && isLeap(before + 1) ? 1 : 0;
  return years * 365 + leapDays + unchecked(DAYS_BEFORE[index]) + inLeapYear;
}

function isLeap(year: i64): bool {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}
