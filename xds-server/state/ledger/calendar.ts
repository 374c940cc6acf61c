/**
 * Calendar windows: which second, minute, hour, day or month of a time zone a moment belongs to, as [start, end) in ms since the epoch.
 * Zones are `Z`, `+hh:mm`, `-hh:mm` or IANA names; the rules of the latter come from Node's own ICU data through Intl, so there is no zone
 * table to keep up to date. A Temporal polyfill does the same at 50 KB and ten times the time.
 *
 * A day is what the zone calls a day: 23 or 25 hours when the clocks change. A month likewise.
 */

export const PERIODS = ["second", "minute", "hour", "day", "month"] as const;
export type Period = (typeof PERIODS)[number];

/** Nominal length in ms; of a month, 31 days. */
export const PERIOD_MS: Readonly<Record<Period, number>> = {
  second: 1_000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
  month: 31 * 86_400_000,
};

export interface CalendarWindow {
  readonly start: number;
  readonly end: number;
}

interface Zone {
  /** What a clock on the wall shows ahead of UTC, in ms. */
  offset(at: number): number;
}

const FIXED_OFFSET = /^([+-])(0\d|1[0-4]):([0-5]\d)$/;
const IANA_NAME = /^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/;

const zones = new Map<string, Zone | undefined>();

/** The zone, or undefined when there is no such zone. Kept: the first use of an IANA name costs about a millisecond. */
function zoneOf(name: string): Zone | undefined {
  if (!zones.has(name) && zones.size < 1_000) zones.set(name, createZone(name));
  return zones.get(name);
}

export function isTimeZone(name: string): boolean {
  return zoneOf(name) !== undefined;
}

function createZone(name: string): Zone | undefined {
  if (name === "Z") return { offset: () => 0 };
  const [, sign, hours, minutes] = FIXED_OFFSET.exec(name) ?? [];
  if (sign !== undefined) {
    const ms = (Number(hours) * 60 + Number(minutes)) * 60_000;
    if (ms > 14 * 3_600_000) return undefined;
    return { offset: () => (sign === "-" ? -ms : ms) };
  }
  if (!IANA_NAME.test(name)) return undefined;
  try {
    const format = new Intl.DateTimeFormat("en-US", {
      timeZone: name,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    return {
      offset: (at) => {
        const second = Math.floor(at / 1_000) * 1_000;
        const shown: Record<string, number> = {};
        for (const { type, value } of format.formatToParts(second)) shown[type] = Number(value);
        const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second: seconds = 0 } = shown;
        return Date.UTC(year, month - 1, day, hour, minute, seconds) - second;
      },
    };
  } catch {
    return undefined;
  }
}

/** Windows with the last one of each (zone, period) kept: nearly every call falls into it. */
export class Calendar {
  readonly #latest = new Map<string, CalendarWindow>();

  /**
   * The window that holds the moment `at` (ms since the epoch).
   * @throws RangeError for a name that {@link isTimeZone} refuses
   */
  window(period: Period, timeZone: string, at: number): CalendarWindow {
    const key = `${period} ${timeZone}`;
    const kept = this.#latest.get(key);
    if (kept !== undefined && at >= kept.start && at < kept.end) return kept;
    const window = windowAt(period, timeZone, at);
    if (this.#latest.size < 10_000 || this.#latest.has(key)) this.#latest.set(key, window);
    return window;
  }
}

function windowAt(period: Period, timeZone: string, at: number): CalendarWindow {
  const zone = zoneOf(timeZone);
  if (zone === undefined) throw new RangeError(`${timeZone} is no time zone`);
  if (period === "second" || period === "minute") {
    // No zone of this century is off by a part of a minute.
    const length = PERIOD_MS[period];
    const start = Math.floor(at / length) * length;
    return { start, end: start + length };
  }
  const offset = zone.offset(at);
  if (period === "hour") return hourAt(zone, at, offset);
  const wall = new Date(at + offset);
  const [year, month, day] = [wall.getUTCFullYear(), wall.getUTCMonth(), wall.getUTCDate()];
  return period === "day"
    ? { start: beginOf(zone, Date.UTC(year, month, day)), end: beginOf(zone, Date.UTC(year, month, day + 1)) }
    : { start: beginOf(zone, Date.UTC(year, month, 1)), end: beginOf(zone, Date.UTC(year, month + 1, 1)) };
}

/** The hour on the wall clock, cut where the clocks change by less than an hour (Lord Howe Island: 30 minutes). */
function hourAt(zone: Zone, at: number, offset: number): CalendarWindow {
  const length = PERIOD_MS.hour;
  let start = Math.floor((at + offset) / length) * length - offset;
  let end = start + length;
  if (zone.offset(start) !== offset) start = changeBetween(zone, start, at);
  if (zone.offset(end - 1) !== offset) end = changeBetween(zone, at, end - 1);
  return { start, end };
}

/** First moment after `before` with the offset of `after`; the two have different offsets and are less than a day apart. */
function changeBetween(zone: Zone, before: number, after: number): number {
  const offset = zone.offset(after);
  let [low, high] = [before, after];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (zone.offset(middle) === offset) high = middle;
    else low = middle;
  }
  return high;
}

/**
 * The first moment at which the date on the wall is `midnight`'s or later (`midnight` is a date at 00:00 as if in UTC). Midnight may not exist,
 * or exist twice, when the clocks change at midnight; a whole day may not exist when a zone crosses the date line.
 */
function beginOf(zone: Zone, midnight: number): number {
  const day = PERIOD_MS.day;
  const candidates = [zone.offset(midnight - 1.5 * day), zone.offset(midnight + 1.5 * day)].map(
    (offset) => midnight - offset,
  );
  const reached = candidates.filter((at) => at + zone.offset(at) >= midnight);
  return reached.length > 0 ? Math.min(...reached) : Math.max(...candidates);
}
