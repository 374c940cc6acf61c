/**
 * Names of time zones (`Europe/Berlin`) as the POSIX time zones that the filter takes. What a name means comes from Node's own ICU data through Intl, so there is no table to keep
 * up to date. Clocks are watched for eleven years from now on: in as many, a date such as the last Sunday of March falls on each day that it can fall on, February 29 excepted. A rule is made of their
 * changes, and has to give back each of them and no other.
 */
import { changesIn, parsePosixTimeZone, type Turn } from "./posix-time-zone.ts";

/** `irregular`: clocks that do not change at two dates of every year, or not for long. */
export type ZoneTranslation = { readonly posix: string } | { readonly fault: "unknown" | "irregular" };

const NAME = /^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/;
const MAX_NAME = 64;
const YEARS = 11;
const DAY = 86_400;
const LOOK = 5 * DAY;

const translations = new Map<string, ZoneTranslation>();

/** The zone of a name, from the day of the first question on. That one takes a few milliseconds, the next ones nothing. */
export function translateTimeZone(name: string): ZoneTranslation {
  const known = translations.get(name);
  if (known !== undefined) return known;
  const found = translateTimeZoneAt(name, Date.now());
  if (translations.size < 1_000) translations.set(name, found);
  return found;
}

/** The zone of a name; `now` in ms. A fixed offset reads `Z` or `+05:30`. */
export function translateTimeZoneAt(name: string, now: number): ZoneTranslation {
  const offset = NAME.test(name) && name.length <= MAX_NAME ? clocksOf(name) : undefined;
  if (offset === undefined) return { fault: "unknown" };
  const posix = zoneOfClocks(offset, Math.floor(now / 1000 / DAY) * DAY);
  return posix === undefined ? { fault: "irregular" } : { posix };
}

/** Seconds that clocks are ahead of UTC at a time in seconds. */
export type Clocks = (at: number) => number;

/** The zone of clocks that are watched from a time in seconds on; undefined when no zone fits. */
export function zoneOfClocks(offset: Clocks, from: number): string | undefined {
  const changes = changesOf(offset, from);
  return changes.length === 0 ? fixed(offset(from)) : ruleOf(changes, from);
}

interface Change extends Turn {
  readonly before: number;
}

/** Undefined for a name that Intl does not know. */
function clocksOf(name: string): Clocks | undefined {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat("en-US", { timeZone: name, timeZoneName: "longOffset" });
  } catch {
    return undefined;
  }
  return (at) => {
    const [, sign, hours, minutes, seconds = "0"] =
      /GMT([+-])(\d\d):(\d\d)(?::(\d\d))?$/.exec(format.format(at * 1000)) ?? [];
    const offset = sign === undefined ? 0 : Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
    return sign === "-" ? -offset : offset;
  };
}

/** All changes of the years to come. Clocks are looked at every fifth day: no zone changes them twice in between. */
function changesOf(offset: Clocks, from: number): Change[] {
  const until = yearsAfter(from);
  const changes: Change[] = [];
  let before = offset(from);
  for (let seen = from; seen < until; seen += LOOK) {
    const next = Math.min(seen + LOOK, until);
    const after = offset(next);
    if (after === before) continue;
    let [low, high] = [seen, next];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (offset(middle) === before) low = middle;
      else high = middle;
    }
    changes.push({ at: high, before, after });
    before = after;
  }
  return changes;
}

function yearsAfter(from: number): number {
  const date = new Date(from * 1000);
  return date.setUTCFullYear(date.getUTCFullYear() + YEARS) / 1000;
}

/** `Z` or `+05:30`; undefined for what these cannot say. */
function fixed(offset: number): string | undefined {
  if (offset === 0) return "Z";
  const minutes = Math.abs(offset) / 60;
  if (minutes > 14 * 60 || !Number.isInteger(minutes)) return undefined;
  const two = (value: number) => String(value).padStart(2, "0");
  return `${offset < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** The POSIX time zone that has these changes, and no others in these years; undefined when there is none. */
function ruleOf(changes: readonly Change[], from: number): string | undefined {
  const winter = Math.min(...changes.map(({ before }) => before));
  const summer = Math.max(...changes.map(({ before }) => before));
  const forward = dateOf(changes.filter(({ before }) => before === winter));
  const back = dateOf(changes.filter(({ before }) => before === summer));
  if (forward === undefined || back === undefined) return undefined;
  // Without an offset of its own summer is an hour ahead.
  const ahead = summer - winter === 3600 ? "" : clock(-summer);
  const posix = `<${label(winter)}>${clock(-winter)}<${label(summer)}>${ahead},${forward},${back}`;
  const zone = parsePosixTimeZone(posix);
  if ("fault" in zone) return undefined;
  const firstYear = new Date(from * 1000).getUTCFullYear() - 1;
  const said = Array.from({ length: YEARS + 3 }, (_, index) => changesIn(zone, firstYear + index)).flat();
  const expected = said.filter(({ at }) => at > from && at <= yearsAfter(from));
  const list = (turns: readonly Turn[]) => turns.map(({ at, after }) => `${at} ${after}`).join();
  return list(expected) === list(changes) ? posix : undefined;
}

/**
 * The date `Mm.w.d/time` of changes, by the clock before them. It may have to be said from another day: Sundays from the 2nd to the 8th at 0:00 are the first Saturday at 24:00.
 */
function dateOf(changes: readonly Change[]): string | undefined {
  for (const shift of [0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6]) {
    const dates = changes.map(({ at, before }) => new Date((at + before - shift * DAY) * 1000));
    const month = alike(dates.map((date) => date.getUTCMonth() + 1));
    const weekday = alike(dates.map((date) => date.getUTCDay()));
    const time = alike(dates.map((date) => (date.getTime() / 1000) % DAY));
    const week = dates.every(isLastOfMonth) ? 5 : alike(dates.map((date) => Math.ceil(date.getUTCDate() / 7)));
    if (month === undefined || weekday === undefined || time === undefined || week === undefined) continue;
    const late = time + shift * DAY;
    return `M${month}.${week}.${weekday}${late === 7200 ? "" : `/${clock(late)}`}`;
  }
  return undefined;
}

/** The one value that a list has. */
function alike(values: readonly number[]): number | undefined {
  return new Set(values).size === 1 ? values[0] : undefined;
}

/** A week later is another month. */
function isLastOfMonth(date: Date): boolean {
  return new Date(date.getTime() + 7 * DAY * 1000).getUTCMonth() !== date.getUTCMonth();
}

/** `-1`, `2:45`. */
function clock(seconds: number): string {
  const rest = Math.abs(seconds);
  const two = (value: number) => String(value).padStart(2, "0");
  const minutes = rest % 3600 === 0 ? "" : `:${two(Math.floor(rest / 60) % 60)}`;
  return `${seconds < 0 ? "-" : ""}${Math.floor(rest / 3600)}${minutes}${rest % 60 === 0 ? "" : `:${two(rest % 60)}`}`;
}

/** `+01`, `-0330`: the name of a zone without one. */
function label(offset: number): string {
  const minutes = Math.abs(offset) / 60;
  const two = (value: number) => String(value).padStart(2, "0");
  return `${offset < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}${minutes % 60 === 0 ? "" : two(Math.floor(minutes % 60))}`;
}
