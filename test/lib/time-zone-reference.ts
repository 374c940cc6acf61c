/**
 * Time zones with summer time, written down a second time: all stretches between changes of a century in a list, and every question asked of each. `Date` knows the calendar. Times are ms since 1970.
 */
export interface DateRule {
  /** As POSIX writes it: `M3.5.0`, `J60`, `59`. */
  date: string;
  /** Seconds after midnight. */
  time: number;
}

export interface ZoneRule {
  /** Seconds ahead of UTC. */
  standard: number;
  daylight: number;
  begins: DateRule;
  ends: DateRule;
}

interface Stretch {
  from: number;
  until: number;
  offset: number;
}

const DAY = 86_400_000;

/** Midnight of the day, as if in UTC; counted day by day. */
function dayOf(date: string, year: number): number {
  const days = Array.from({ length: 367 }, (_, index) => new Date(Date.UTC(year, 0, 1 + index)));
  const [kind] = date;
  if (kind === "M") {
    const [month, week, weekday] = date.slice(1).split(".").map(Number) as [number, number, number];
    const found = days.filter(
      (day) => day.getUTCFullYear() === year && day.getUTCMonth() + 1 === month && day.getUTCDay() === weekday,
    );
    return (week === 5 ? found.at(-1) : found[week - 1])?.getTime() ?? Number.NaN;
  }
  if (kind !== "J") return days[Number(date)]?.getTime() ?? Number.NaN;
  const counted = days.filter((day) => day.getUTCMonth() !== 1 || day.getUTCDate() !== 29);
  return counted[Number(date.slice(1)) - 1]?.getTime() ?? Number.NaN;
}

export class ZoneReference {
  readonly changes: number[] = [];
  readonly #stretches: Stretch[] = [];

  /** `years`: the first and the last one that is asked about. */
  constructor({ standard, daylight, begins, ends }: ZoneRule, years: readonly [number, number]) {
    const all: { at: number; offset: number }[] = [];
    for (let year = years[0] - 2; year <= years[1] + 2; year++) {
      all.push({ at: dayOf(begins.date, year) + (begins.time - standard) * 1000, offset: daylight });
      all.push({ at: dayOf(ends.date, year) + (ends.time - daylight) * 1000, offset: standard });
    }
    all.sort((a, b) => a.at - b.at);
    for (const [index, { at, offset }] of all.entries()) {
      this.#stretches.push({ from: at, until: all[index + 1]?.at ?? Number.POSITIVE_INFINITY, offset: offset * 1000 });
      this.changes.push(at);
    }
  }

  offsetAt(time: number): number {
    return this.#stretches.find(({ from, until }) => time >= from && time < until)?.offset ?? Number.NaN;
  }

  /** When a clock there shows `local` or more for the first time. */
  reaches(local: number): number {
    const moments = this.#stretches.flatMap(({ from, until, offset }) => {
      const at = Math.max(from, local - offset);
      return at < until ? [at] : [];
    });
    return Math.min(...moments);
  }

  /** The window that a time is in: begins are tried one after the other. */
  windowOf(period: "day" | "month", time: number): { start: number; end: number } {
    const begin = (index: number) => this.reaches(period === "day" ? index * DAY : Date.UTC(1970, index));
    const local = new Date(time + 2 * DAY);
    let index =
      period === "day" ? Math.floor(local.getTime() / DAY) : (local.getUTCFullYear() - 1970) * 12 + local.getUTCMonth();
    while (begin(index) > time) index--;
    return { start: begin(index), end: begin(index + 1) };
  }
}
