/** Exports of filters/lib/time-zone and of the calendar's windows for their tests on Node. */
import "../../../filters/sdk/abort";
import { TimeZone } from "../../../filters/lib/time-zone";
import { TimeZoneParser } from "../../../filters/lib/time-zone-parser";
import { WindowPeriod, windowEnd, windowStart } from "../../../filters/lib/token-window-calendar";

let input: usize = 0;
let fault = "";
let zone: TimeZone = new TimeZone(0);

/** Room for so many bytes of text. */
export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

/** UTF-8. False, with a fault and the zone as it was, when it is none. */
export function parse(length: i32): bool {
  const parser = new TimeZoneParser(String.UTF8.decodeUnsafe(input, length));
  const parsed = parser.parse();
  fault = parser.fault;
  if (parsed !== null) zone = parsed;
  return parsed !== null;
}

export function fixed(seconds: i32): void {
  zone = new TimeZone(<i64>seconds * 1000);
}

/** Where the text is, in UTF-16. */
export function faultAt(): usize {
  return changetype<usize>(fault);
}

export function faultLength(): i32 {
  return fault.length;
}

/** The identity of the zone, where `faultAt` says. */
export function identify(): void {
  fault = zone.identity;
}

export function offsetAt(time: i64): i64 {
  return zone.offsetAt(time);
}

export function wall(time: i64): i64 {
  return zone.wall(time);
}

export function reaches(local: i64): i64 {
  return zone.reaches(local);
}

export function start(period: i32, time: i64): i64 {
  return windowStart(<WindowPeriod>period, zone, time);
}

export function end(period: i32, start: i64): i64 {
  return windowEnd(<WindowPeriod>period, zone, start);
}

/** For measuring: so many windows, `step` ms apart; the sum of their begins. */
export function startSum(period: i32, time: i64, step: i64, rounds: i32): i64 {
  let sum: i64 = 0;
  for (let i = 0; i < rounds; i++) sum += windowStart(<WindowPeriod>period, zone, time + i * step);
  return sum;
}

export function collect(): void {
  __collect();
}
