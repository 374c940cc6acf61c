/**
 * What a limit means, written down a second time: it keeps every request for ever, asks `Date` for the calendar, and counts again from the begin for every question.
 * Times are ms since 1970, amounts are plain numbers.
 */
export const periods = ["second", "minute", "hour", "day", "month"] as const;
export type Period = (typeof periods)[number];

export interface WindowShape {
  amount: number;
  period: Period;
  rolling: boolean;
  offsetSeconds: number;
  /** In place of the offset, with days and months: how the window is told its zone, and how `Intl` is. */
  zone?: { posix: string; name: string };
  /** Only what a service grants may be used; it is asked for more when less than half of the lease is left. */
  granted?: boolean;
  lease?: number;
}

export interface Admission {
  /** Tells it in copies of its window. */
  id?: number;
  at: number;
  reserved: number;
  /** Absent while the request runs. */
  actual?: number;
}

const lengths: Record<Period, number> = { second: 1e3, minute: 6e4, hour: 36e5, day: 864e5, month: 31 * 864e5 };
/** Characters of an ISO date that two times in one window have in common: "2026-02-28T23:59:59". */
const prefixes: Record<Period, number> = { second: 19, minute: 16, hour: 13, day: 10, month: 7 };
const quarter = 15 * 60_000;

export const periodMs = (period: Period): number => lengths[period];

const calendars = new Map<string, { format: Intl.DateTimeFormat; dates: Map<number, string> }>();

/** The date there, as ISO writes it. Kept: `Intl` takes a microsecond. */
function dateIn(name: string, time: number): string {
  let calendar = calendars.get(name);
  if (!calendar) {
    const date = { year: "numeric", month: "2-digit", day: "2-digit" } as const;
    calendar = { format: new Intl.DateTimeFormat("en-CA", { timeZone: name, ...date }), dates: new Map() };
    calendars.set(name, calendar);
  }
  const date = calendar.dates.get(time) ?? calendar.format.format(time);
  if (calendar.dates.size < 100_000) calendar.dates.set(time, date);
  return date;
}

/** The page of the calendar that hangs on the wall there. */
function pageAt({ period, offsetSeconds, zone }: WindowShape, time: number): string {
  const date = zone ? dateIn(zone.name, time) : new Date(time + offsetSeconds * 1000).toISOString();
  return date.slice(0, prefixes[period]);
}

/** Both times on one page. */
export function sameWindow(shape: WindowShape, a: number, b: number): boolean {
  return pageAt(shape, a) === pageAt(shape, b);
}

/** The next page begins here. */
export function nextWindow(shape: WindowShape, time: number): number {
  const { period, offsetSeconds, zone } = shape;
  if (zone) {
    const step = 12 * lengths.hour;
    let [low, high] = [time, time + step];
    for (; sameWindow(shape, time, high); high += step) low = high;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (sameWindow(shape, time, middle)) low = middle;
      else high = middle;
    }
    return high;
  }
  const wall = new Date(time + offsetSeconds * 1000);
  if (period === "month") return Date.UTC(wall.getUTCFullYear(), wall.getUTCMonth() + 1, 1) - offsetSeconds * 1000;
  const page = wall.toISOString().slice(0, prefixes[period]);
  const begin = Date.parse(`${page}${"YYYY-MM-DDT00:00:00".slice(page.length)}Z`);
  return begin + lengths[period] - offsetSeconds * 1000;
}

export class ReferenceWindow {
  readonly shape: WindowShape;
  admissions: Admission[] = [];
  /** By the time of the meter when they came. */
  grants: { at: number; units: number }[] = [];
  asking: { at: number; until: number } | undefined;
  #newest = 0;

  constructor(shape: WindowShape) {
    this.shape = shape;
  }

  /** A copy that goes its own way. */
  clone(): ReferenceWindow {
    const copy = new ReferenceWindow(this.shape);
    copy.admissions = this.admissions.map((admission) => ({ ...admission }));
    copy.grants = [...this.grants];
    copy.asking = this.asking;
    copy.#newest = this.#newest;
    return copy;
  }

  get leased(): boolean {
    return this.shape.period === "day" || this.shape.period === "month";
  }

  /** True when the clock had been wrong by more than a period and everything is forgotten. */
  tick(now: number): boolean {
    const wrong = this.#newest > now + lengths[this.shape.period];
    if (wrong) {
      this.admissions = [];
      this.grants = [];
      this.asking = undefined;
    }
    this.#newest = wrong ? now : Math.max(this.#newest, now);
    return wrong;
  }

  get time(): number {
    return this.#newest;
  }

  get #bucket(): number {
    return Math.ceil(lengths[this.shape.period] / 16);
  }

  /** What is admitted at these times counts, and stops to count, together. */
  together(a: number, b: number): boolean {
    if (!this.shape.rolling) return sameWindow(this.shape, a, b);
    return Math.floor(a / this.#bucket) === Math.floor(b / this.#bucket);
  }

  #counts({ at }: Admission, time: number): boolean {
    if (!this.shape.rolling) return sameWindow(this.shape, at, time);
    return Math.floor(time / this.#bucket) - Math.floor(at / this.#bucket) <= 16;
  }

  leaseIsOver({ at }: Admission, time: number): boolean {
    return this.leased && Math.floor(time / quarter) - Math.floor(at / quarter) > 1;
  }

  /** Units that count at a time that is not before now. */
  used(time = this.#newest): number {
    let sum = 0;
    for (const admission of this.admissions) {
      if (!this.#counts(admission, time)) continue;
      sum += admission.actual ?? (this.leaseIsOver(admission, time) ? 0 : admission.reserved);
    }
    return sum;
  }

  /** Units that may be used in the window of that time. */
  total(amount = this.shape.amount, time = this.#newest): number {
    if (!this.shape.granted) return amount;
    const grants = this.grants.filter(({ at }) => sameWindow(this.shape, at, time));
    return grants.reduce((sum, { units }) => sum + units, 0);
  }

  remaining(amount = this.shape.amount): number {
    return Math.max(0, this.total(amount) - this.used());
  }

  admits(want: number, time = this.#newest, amount = this.shape.amount): boolean {
    return this.used(time) + Math.min(want, amount) <= this.total(amount, time);
  }

  reserve(want: number, amount = this.shape.amount): Admission | undefined {
    const part = Math.min(want, amount);
    if (!this.admits(want, this.#newest, amount)) return undefined;
    const admission = { at: this.#newest, reserved: part };
    this.admissions.push(admission);
    return admission;
  }

  /** The first of all times at which something stops to count, and it fits; the end of a granted window, when there may be grants again. */
  availableAt(now: number, want: number, amount = this.shape.amount): number {
    if (this.admits(want, this.#newest, amount)) return now;
    const end = this.shape.rolling ? Number.POSITIVE_INFINITY : nextWindow(this.shape, this.#newest);
    const next = (step: number, more: number) => (Math.floor(this.#newest / step) + more) * step;
    const times = [end];
    if (this.shape.rolling) for (let more = 1; more <= 17; more++) times.push(next(this.#bucket, more));
    if (this.leased) times.push(next(quarter, 1), next(quarter, 2));
    times.sort((a, b) => a - b);
    const fits = (time: number) => (time === end && this.shape.granted) || this.admits(want, time, amount);
    return times.find((time) => time <= end && fits(time)) as number;
  }

  shortfall(want: number, amount = this.shape.amount): number {
    return this.shape.granted ? Math.max(0, this.used() + Math.min(want, amount) - this.total()) : 0;
  }

  /** Until when somebody asks, or nobody shall. */
  askedUntil(now: number): number {
    if (!this.asking || !sameWindow(this.shape, this.asking.at, this.#newest)) return 0;
    return this.asking.until > now && this.asking.until <= now + 60_000 ? this.asking.until : 0;
  }

  askAhead(now: number): number {
    const { granted, lease = 0 } = this.shape;
    const room = this.total() - this.used();
    if (!granted || lease === 0 || room >= lease / 2 || this.askedUntil(now) > 0) return 0;
    this.asking = { at: this.#newest, until: now + 2000 };
    return lease - room;
  }

  /** True when something has changed. */
  grant(now: number, askedAt: number, units: number, asking = 0, notBefore = 0): boolean {
    if (!this.shape.granted) return false;
    const current = this.asking && sameWindow(this.shape, this.asking.at, this.#newest) ? this.asking.until : 0;
    const answers = asking > 0 && current === asking;
    if (answers) this.asking = { at: this.#newest, until: notBefore > now ? Math.min(notBefore, now + 60_000) : 0 };
    if (units <= 0 || !sameWindow(this.shape, askedAt, this.#newest)) return answers;
    this.grants.push({ at: this.#newest, units });
    return true;
  }

  /** Nothing is lost when the meter is, from then on. */
  emptyAt(now: number): number {
    const end = this.shape.rolling ? 0 : nextWindow(this.shape, this.#newest);
    if (this.used() > 0 || (this.shape.granted && this.total() > 0)) return end;
    return Math.max(now, Math.min(this.askedUntil(now), end));
  }
}
