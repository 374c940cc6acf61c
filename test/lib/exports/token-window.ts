/** Exports of filters/lib/token-window for its tests on Node. */
import "../../../filters/sdk/abort";
import { TimeZone } from "../../../filters/lib/time-zone";
import { TimeZoneParser } from "../../../filters/lib/time-zone-parser";
import { TokenWindow, WindowPeriod } from "../../../filters/lib/token-window";

/** Room around the meter shows writes outside of it. */
const meter: usize = heap.alloc(512) + 128;
let window: TokenWindow = new TokenWindow(1, WindowPeriod.Second);

/** Where the text of a time zone is put, as ASCII. */
const text: usize = heap.alloc(64);

export function textAt(): usize {
  return text;
}

/** `zoneLength`: of the text of a time zone with summer time; 0 for `offsetSeconds`. */
export function open(amount: i64, period: i32, rolling: bool, offsetSeconds: i32, granted: bool, zoneLength: i32): i32 {
  let zone: TimeZone | null = null;
  if (zoneLength > 0) zone = new TimeZoneParser(String.UTF8.decodeUnsafe(text, zoneLength)).parse();
  if (zone === null) zone = new TimeZone(<i64>offsetSeconds * 1000);
  window = new TokenWindow(amount, <WindowPeriod>period, rolling, zone, granted);
  memory.fill(meter, 0, window.size);
  return window.size;
}

export function setAmount(amount: i64): void {
  window.amount = amount;
}

export function meterAt(): usize {
  return meter;
}

export function reserve(now: i64, want: i64): i64 {
  return window.reserve(meter, now, want);
}

/** As `reserve`, `remaining` and `availableAt`, with an amount of this call. */
export function reserveOf(now: i64, want: i64, amount: i64): i64 {
  return window.reserve(meter, now, want, amount);
}

export function remainingOf(now: i64, amount: i64): i64 {
  return window.remaining(meter, now, amount);
}

export function availableOf(now: i64, want: i64, amount: i64): i64 {
  return window.availableAt(meter, now, want, amount);
}

export function admittedAt(): i64 {
  return window.admittedAt(meter);
}

export function settle(now: i64, admittedAt: i64, reserved: i64, actual: i64): void {
  window.settle(meter, now, admittedAt, reserved, actual);
}

export function used(now: i64): i64 {
  return window.used(meter, now);
}

export function remaining(now: i64): i64 {
  return window.remaining(meter, now);
}

export function resetAt(now: i64): i64 {
  return window.resetAt(meter, now);
}

export function availableAt(now: i64, want: i64): i64 {
  return window.availableAt(meter, now, want);
}

export function setLease(lease: i64): void {
  window.lease = lease;
}

export function shortfall(now: i64, want: i64, amount: i64): i64 {
  return window.shortfall(meter, now, want, amount);
}

export function askAhead(now: i64): i64 {
  return window.askAhead(meter, now);
}

export function asking(): i64 {
  return window.asking(meter);
}

export function grant(now: i64, askedAt: i64, units: i64, asking: i64, notBefore: i64): bool {
  return window.grant(meter, now, askedAt, units, asking, notBefore);
}

export function emptyAt(now: i64): i64 {
  return window.emptyAt(meter, now);
}
