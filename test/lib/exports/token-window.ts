/** Exports of filters/lib/token-window for its tests on Node. */
import "../../../filters/sdk/abort";
import { TokenWindow, WindowPeriod } from "../../../filters/lib/token-window";

/** Room around the meter shows writes outside of it. */
const meter: usize = heap.alloc(512) + 128;
let window: TokenWindow = new TokenWindow(1, WindowPeriod.Second);

export function open(amount: i64, period: i32, rolling: bool, offsetSeconds: i32): i32 {
  window = new TokenWindow(amount, period, rolling, offsetSeconds);
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
