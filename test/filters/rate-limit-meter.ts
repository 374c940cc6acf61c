/** One limit of one budget as a list of everything that was ever admitted: the reference of the tests for windows. Written from its description, not from the filter. */

export type Period = "second" | "minute" | "hour" | "day" | "month";

export interface LimitSpec {
  readonly unit: "tokens" | "promptTokens" | "completionTokens" | "weightedTokens" | "requests";
  readonly amount: number;
  readonly per: Period;
  readonly rolling?: boolean;
  /** `+hh:00` or `-hh:00`. */
  readonly timeZone?: string;
}

/** One admission. Never changed once it is in a meter, but for `used`, which comes in the end. */
export interface Grant {
  /** Time as the meter saw it: it stands still while the clock is behind. */
  readonly at: number;
  readonly reserved: number;
  readonly used: number | undefined;
}

/** What there is of a limit at some time. Replaced, never changed: so a lost race can be told by identity. */
export interface Meter {
  /** Newest time that was written. */
  readonly newest: number;
  readonly grants: ReadonlyMap<number, Grant>;
  /** How often a clock that was wrong has made it begin anew. */
  readonly begun: number;
}

export const UNTOUCHED: Meter = { newest: 0, grants: new Map(), begun: 0 };

const LENGTHS = { second: 1e3, minute: 6e4, hour: 36e5, day: 864e5, month: 31 * 864e5 };
const LEASE = 900_000;

export const lengthOfPeriod = ({ per }: LimitSpec): number => LENGTHS[per];

const isLeased = ({ per }: LimitSpec): boolean => per === "day" || per === "month";

/** Begin of a window of the calendar, and of the one after the next `more`. */
export function windowOf({ per, timeZone = "+00:00" }: LimitSpec, time: number, more = 0): number {
  const offset = Number(timeZone.slice(0, 3)) * 36e5;
  if (per !== "month") return Math.floor((time + offset) / LENGTHS[per] + more) * LENGTHS[per] - offset;
  const local = new Date(time + offset);
  return Date.UTC(local.getUTCFullYear(), local.getUTCMonth() + more, 1) - offset;
}

/** The meter at that time: what a clock that went back by more than a period leaves is nothing. */
export function advanced(limit: LimitSpec, meter: Meter, now: number): Meter {
  if (meter.newest > now + lengthOfPeriod(limit)) return { newest: now, grants: new Map(), begun: meter.begun + 1 };
  return { ...meter, newest: Math.max(meter.newest, now) };
}

/** Units that count at `at`, if nothing happens until then. */
export function used(limit: LimitSpec, meter: Meter, at = meter.newest): number {
  let sum = 0;
  for (const grant of meter.grants.values()) if (counts(limit, grant.at, at)) sum += unitsOf(limit, grant, at);
  return sum;
}

/** Whether what was admitted at `from` is in the window that `at` is in. */
function counts(limit: LimitSpec, from: number, at: number): boolean {
  if (limit.rolling !== true) return windowOf(limit, from) === windowOf(limit, at);
  const bucket = Math.ceil(lengthOfPeriod(limit) / 16);
  return Math.floor(at / bucket) - Math.floor(from / bucket) <= 16;
}

/** In long windows a reservation that nobody settles ends with the next but one quarter of an hour. */
function unitsOf(limit: LimitSpec, grant: Grant, at: number): number {
  if (grant.used !== undefined) return grant.used;
  const quarters = Math.floor(at / LEASE) - Math.floor(grant.at / LEASE);
  return isLeased(limit) && quarters > 1 ? 0 : grant.reserved;
}

export const remaining = (limit: LimitSpec, meter: Meter): number => Math.max(0, limit.amount - used(limit, meter));

/** What a request of any size reserves at most. */
export const reservedOf = (limit: LimitSpec, want: number): number => Math.min(want, limit.amount);

export function admits(limit: LimitSpec, meter: Meter, want: number, at = meter.newest): boolean {
  return used(limit, meter, Math.max(at, meter.newest)) + reservedOf(limit, want) <= limit.amount;
}

export function granted(meter: Meter, id: number, reserved: number): Meter {
  return withGrant(meter, id, { at: meter.newest, reserved, used: undefined });
}

/** Nothing, when the meter has begun anew since. */
export function settled(meter: Meter, id: number, used: number): Meter {
  const grant = meter.grants.get(id);
  return grant === undefined ? meter : withGrant(meter, id, { ...grant, used });
}

function withGrant(meter: Meter, id: number, grant: Grant): Meter {
  return { ...meter, grants: new Map(meter.grants).set(id, grant) };
}
