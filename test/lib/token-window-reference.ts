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
}

export interface Admission {
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

/** Both times on one page of the calendar that hangs on the wall there. */
export function sameWindow({ period, offsetSeconds }: WindowShape, a: number, b: number): boolean {
  const page = (time: number) => new Date(time + offsetSeconds * 1000).toISOString().slice(0, prefixes[period]);
  return page(a) === page(b);
}

/** The next page begins here. */
export function nextWindow({ period, offsetSeconds }: WindowShape, time: number): number {
  const wall = new Date(time + offsetSeconds * 1000);
  if (period === "month") return Date.UTC(wall.getUTCFullYear(), wall.getUTCMonth() + 1, 1) - offsetSeconds * 1000;
  const page = wall.toISOString().slice(0, prefixes[period]);
  const begin = Date.parse(`${page}${"YYYY-MM-DDT00:00:00".slice(page.length)}Z`);
  return begin + lengths[period] - offsetSeconds * 1000;
}

export class ReferenceWindow {
  readonly shape: WindowShape;
  admissions: Admission[] = [];
  #newest = 0;

  constructor(shape: WindowShape) {
    this.shape = shape;
  }

  get leased(): boolean {
    return this.shape.period === "day" || this.shape.period === "month";
  }

  /** True when the clock had been wrong by more than a period and everything is forgotten. */
  tick(now: number): boolean {
    const wrong = this.#newest > now + lengths[this.shape.period];
    if (wrong) this.admissions = [];
    this.#newest = wrong ? now : Math.max(this.#newest, now);
    return wrong;
  }

  get time(): number {
    return this.#newest;
  }

  #counts({ at }: Admission, time: number): boolean {
    if (!this.shape.rolling) return sameWindow(this.shape, at, time);
    const bucket = Math.ceil(lengths[this.shape.period] / 16);
    return Math.floor(time / bucket) - Math.floor(at / bucket) <= 16;
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

  admits(want: number, time = this.#newest): boolean {
    return this.used(time) + Math.min(want, this.shape.amount) <= this.shape.amount;
  }

  reserve(want: number): Admission | undefined {
    const part = Math.min(want, this.shape.amount);
    if (!this.admits(want)) return undefined;
    const admission = { at: this.#newest, reserved: part };
    this.admissions.push(admission);
    return admission;
  }
}
