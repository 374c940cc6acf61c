/** Years and months of the Gregorian calendar in days since 1970-01-01. */

/** Milliseconds of a day; leap seconds do not exist, as everywhere on Unix. */
export const DAY: i64 = 86_400_000;

/** Days of a common year before the month. */
const DAYS_BEFORE: StaticArray<i32> = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];

/** First day of a month, 0 to 12: January of the next year is the 12th. Years from 1; 477 leap days are before 1970. */
export function firstDay(year: i64, month: i32): i64 {
  const before = year - 1;
  const leapDays = before / 4 - before / 100 + before / 400 - 477;
  const inLeapYear: i64 = month > 1 && isLeap(year) ? 1 : 0;
  return (year - 1970) * 365 + leapDays + unchecked(DAYS_BEFORE[month]) + inLeapYear;
}

/** Months since January 1970 of a day that is not before. 4,800 months have 146,097 days, so the guess is off by one at most. */
export function monthOf(day: i64): i64 {
  const guess = (day * 4800) / 146_097;
  if (monthStart(guess) > day) return guess - 1;
  return monthStart(guess + 1) <= day ? guess + 1 : guess;
}

/** First day of a month since January 1970. */
export function monthStart(month: i64): i64 {
  return firstDay(1970 + month / 12, <i32>(month % 12));
}

export function isLeap(year: i64): bool {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}
