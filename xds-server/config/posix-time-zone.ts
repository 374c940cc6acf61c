/**
 * Time zones as POSIX writes them, `CET-1CEST,M3.5.0,M10.5.0/3` (RFC 9636, section 3.3.2): what filters/lib/time-zone-parser.ts takes, said a second time for the server. It
 * takes neither more nor less, and all that is told of a zone here is when its clocks change.
 */

/** Seconds ahead of UTC; `winter` is the smaller offset. Clocks that never change have one, and no changes. */
export interface PosixTimeZone {
  readonly winter: number;
  readonly summer: number;
  /** From winter to summer, by winter's clock, and back by summer's. */
  readonly forward: ZoneChange | undefined;
  readonly back: ZoneChange | undefined;
}

export interface ZoneChange {
  /** First day of what is looked for in a year: days since 1970-01-01. */
  day(year: number): number;
  /** Seconds after midnight, also below 0 and on other days. */
  readonly time: number;
}

/** Clocks are put to another offset: seconds since 1970, seconds ahead of UTC. */
export interface Turn {
  readonly at: number;
  readonly after: number;
}

/** What is wrong with a text that is no zone. */
export interface ZoneFault {
  readonly fault: string;
}

const MAX_BYTES = 64;
const FARTHEST = 14 * 3600;
const LEAST_APART = 14 * 86_400;

const time = (digits: number) => `[+-]?\\d{1,${digits}}(?::[0-5]\\d){0,2}`;
const NAME = "(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)";
const CHANGE = `,([MJ]?[\\d.]+)(?:/(${time(3)}))?`;
const ZONE = new RegExp(`^${NAME}(${time(2)})(?:${NAME}(${time(2)})?(?:${CHANGE}${CHANGE})?)?$`);
const WITHOUT_CHANGES = new RegExp(`^${NAME}${time(2)}${NAME}(?:${time(2)})?$`);

export function parsePosixTimeZone(text: string): PosixTimeZone | ZoneFault {
  if (text.length > MAX_BYTES) return { fault: `has more than ${MAX_BYTES} characters` };
  if (WITHOUT_CHANGES.test(text))
    return { fault: "has summer time, but not when it begins and ends, as EST5EDT,M3.2.0,M11.1.0 has" };
  const [matched, first = "", second, begins, beginTime, ends, endTime] = ZONE.exec(text) ?? [];
  const standard = 0 - seconds(first, 24);
  const shift = second === undefined ? standard + 3600 : 0 - seconds(second, 24);
  const forward = begins === undefined ? undefined : change(begins, beginTime);
  const back = ends === undefined ? undefined : change(ends, endTime);
  const wrong = [standard, shift, forward?.time, back?.time].some(Number.isNaN);
  if (matched === undefined || wrong) return { fault: "is no POSIX time zone such as CET-1CEST,M3.5.0,M10.5.0/3" };
  const offsets = forward === undefined ? [standard] : [standard, shift];
  if (offsets.some((offset) => Math.abs(offset) > FARTHEST)) return { fault: "is more than 14 hours from UTC" };
  if (forward === undefined || back === undefined || standard === shift)
    return { winter: standard, summer: standard, forward: undefined, back: undefined };
  // Summer is when clocks are further ahead, whatever the text calls it.
  const zone =
    standard < shift
      ? { winter: standard, summer: shift, forward, back }
      : { winter: shift, summer: standard, forward: back, back: forward };
  return isSpaced(zone) ? zone : { fault: "changes clocks twice within 14 days" };
}

/** When clocks change in a year, in order: twice, or never. */
export function changesIn({ winter, summer, forward, back }: PosixTimeZone, year: number): Turn[] {
  if (forward === undefined || back === undefined) return [];
  const turn = (change: ZoneChange, before: number, after: number): Turn => ({
    at: change.day(year) * 86_400 + change.time - before,
    after,
  });
  return [turn(forward, winter, summer), turn(back, summer, winter)].sort((a, b) => a.at - b.at);
}

/** In all years of the calendar's cycle. */
function isSpaced(zone: PosixTimeZone): boolean {
  let last = changesIn(zone, 1969).at(-1);
  for (let year = 1970; year < 2370; year++) {
    for (const turn of changesIn(zone, year)) {
      if (last !== undefined && (turn.at - last.at < LEAST_APART || turn.after === last.after)) return false;
      last = turn;
    }
  }
  return true;
}

/** Seconds of `[+-]h[:mm[:ss]]`; NaN with more hours. */
function seconds(text: string, hours: number): number {
  const [hour = 0, minute = 0, second = 0] = text.replace(/^[+-]/, "").split(":").map(Number);
  const value = hour * 3600 + minute * 60 + second;
  if (hour > hours) return Number.NaN;
  return text.startsWith("-") ? -value : value;
}

/** `Mm.w.d`, `Jn` or `n`, at 2 o'clock unless a time is given; with time NaN when there is no such date. */
function change(date: string, at: string | undefined): ZoneChange {
  const time = at === undefined ? 7200 : seconds(at, 167);
  const [, month, week, weekday] = /^M(\d{1,2})\.([1-5])\.([0-6])$/.exec(date) ?? [];
  if (month !== undefined && Number(month) >= 1 && Number(month) <= 12)
    return { day: (year) => weekdayIn(year, Number(month) - 1, Number(week), Number(weekday)), time };
  const [, julian, digits] = /^(J?)(\d{1,3})$/.exec(date) ?? [];
  const number = Number(digits);
  if (julian === "J" && number >= 1 && number <= 365) {
    // February 29 is not counted: every date is where it is in a common year.
    const common = new Date(Date.UTC(1970, 0, number));
    return { day: (year) => dayOf(year, common.getUTCMonth(), common.getUTCDate()), time };
  }
  if (julian === "" && number <= 365) return { day: (year) => dayOf(year, 0, 1 + number), time };
  return { day: () => 0, time: Number.NaN };
}

function weekdayIn(year: number, month: number, week: number, weekday: number): number {
  const first = new Date(Date.UTC(year, month)).getUTCDay();
  const day = 1 + ((weekday - first + 7) % 7) + 7 * (week - 1);
  const last = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  return dayOf(year, month, day > last ? day - 7 : day);
}

const dayOf = (year: number, month: number, date: number): number => Date.UTC(year, month, date) / 86_400_000;
