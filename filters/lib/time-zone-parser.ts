/**
 * Reads time zones as POSIX writes them in the variable TZ, and files of zones in their last line (RFC 9636, section 3.3.2):
 *
 *   CET-1CEST,M3.5.0,M10.5.0/3    name, offset, name in summer, [offset there], change to it, change back
 *   <-03>3                        clocks never change
 *
 * Offsets are positive west of Greenwich. The names mean nothing. Where clocks change, the dates have to be there: without them each system assumes its own.
 */
import { TimeZone } from "./time-zone";
import { ChangeDate, ZoneChange } from "./time-zone-change";

const MOST_BYTES: i32 = 64;
const HOUR: i64 = 3_600_000;
/** Longest distance from UTC: 14 hours, on the Line Islands. */
const FARTHEST: i64 = 14 * HOUR;

const END: i32 = -1;

@final
export class TimeZoneParser {
  /** What is wrong, after `parse` has returned null. */
  fault: string = "";
  private at: i32 = 0;
  /** What is there. */
  private char: i32 = END;

  constructor(private readonly text: string) {
    this.move(0);
  }

  /** Null, with `fault`, when the text is no such zone. Allocates: for the configuration. */
  parse(): TimeZone | null {
    if (this.text.length > MOST_BYTES) this.fail("has more than 64 characters");
    const zone = this.zone();
    if (this.char != END) this.expected("nothing more");
    if (max(-zone.winter, zone.summer) > FARTHEST) this.fail("is more than 14 hours from UTC");
    if (this.fault.length == 0 && !zone.isSpaced) this.fail("changes clocks twice within 14 days; write a fixed offset such as +01:00");
    return this.fault.length == 0 ? zone : null;
  }

  private zone(): TimeZone {
    this.name();
    const standard = -this.time(2, 24);
    if (this.char == END) return new TimeZone(standard);
    this.name();
    const shift = this.char == 0x2c || this.char == END ? standard + HOUR : -this.time(2, 24);
    if (this.char == END) this.fail("has summer time, but not when it begins and ends, as EST5EDT,M3.2.0,M11.1.0 has");
    const begins = this.change();
    const ends = this.change();
    return standard == shift ? new TimeZone(standard) : new TimeZone(standard, shift, begins, ends);
  }

  /** Three letters or more; between < and > also digits and signs. */
  private name(): void {
    const quoted = this.take(0x3c);
    const begin = this.at;
    while (isLetter(this.char) || (quoted && (isDigit(this.char) || isSign(this.char)))) this.move(1);
    if (this.at - begin < 3) this.expected("three letters");
    if (quoted) this.need(0x3e);
  }

  /** `,` and a date, with the time of day if it is not 2 o'clock. */
  private change(): ZoneChange {
    this.need(0x2c);
    const weekday = this.take(0x4d);
    const julian = !weekday && this.take(0x4a);
    const date = weekday ? ChangeDate.Weekday : julian ? ChangeDate.DayOfCommonYear : ChangeDate.DayOfYear;
    let day = this.number(weekday ? 2 : 3, weekday || julian ? 1 : 0, weekday ? 12 : 365);
    let month = 0;
    let week = 0;
    if (weekday) {
      month = day - 1;
      this.need(0x2e);
      week = this.number(1, 1, 5);
      this.need(0x2e);
      day = this.number(1, 0, 6);
    }
    return new ZoneChange(date, month, week, day, this.take(0x2f) ? this.time(3, 167) : 2 * HOUR);
  }

  /** `[+-]h[:mm[:ss]]`, in ms. */
  private time(digits: i32, hours: i32): i64 {
    const negative = this.char == 0x2d;
    if (isSign(this.char)) this.move(1);
    let seconds = this.number(digits, 0, hours) * 3600;
    for (let unit = 60; unit > 0 && this.take(0x3a); unit /= 60) {
      const begin = this.at;
      seconds += this.number(2, 0, 59) * unit;
      if (this.at - begin == 1) this.expected("two digits");
    }
    return <i64>(negative ? -seconds : seconds) * 1000;
  }

  /** A whole number of one to `digits` digits; `least` with a fault. */
  private number(digits: i32, least: i32, most: i32): i32 {
    const begin = this.at;
    let value = 0;
    for (; this.at - begin < digits && isDigit(this.char); this.move(1)) value = value * 10 + this.char - 0x30;
    if (this.at > begin && value >= least && value <= most) return value;
    this.move(begin - this.at);
    this.expected(least.toString() + " to " + most.toString());
    return least;
  }

  private need(char: i32): void {
    if (!this.take(char)) this.expected(String.fromCharCode(char));
  }

  private take(char: i32): bool {
    if (this.char != char) return false;
    this.move(1);
    return true;
  }

  private move(by: i32): void {
    this.at += by;
    this.char = this.at < this.text.length ? this.text.charCodeAt(this.at) : END;
  }

  private expected(what: string): void {
    this.fail("is no POSIX time zone: expected " + what + " at character " + (this.at + 1).toString());
  }

  /** The first fault counts. */
  private fail(fault: string): void {
    if (this.fault.length == 0) this.fault = fault;
  }
}

function isLetter(char: i32): bool {
  return <u32>((char | 0x20) - 0x61) < 26;
}

function isDigit(char: i32): bool {
  return <u32>(char - 0x30) < 10;
}

function isSign(char: i32): bool {
  return char == 0x2b || char == 0x2d;
}
