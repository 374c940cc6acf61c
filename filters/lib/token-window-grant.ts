/**
 * What a distant service has granted of a window, and whether somebody asks it for more: 24 bytes of a meter.
 *
 *   |granted: i64|askedUntil: i64|elsewhere: i64|
 *
 *   granted     units of this window that may be used here
 *   askedUntil  ms since the epoch: somebody asks, or nobody shall, until then. 0: nobody
 *   elsewhere   units that the service had left when it last said so
 *
 * Whoever finds too few units left writes `askedUntil` in the same step as its reservation; so one asks and the others see it. The clock of the caller counts, not the time of the meter: that one
 * stands still after a clock was ahead.
 */
import { add, bounded, CEILING, read } from "./token-window-meter";

export const GRANT_BYTES: i32 = 24;

/** An asking that is not answered ends: its VM may have died. */
const PATIENCE: i64 = 2_000;
/** The most that an answer can put off the next asking; more is left of a clock that was ahead, and does not count. */
const LONGEST_PAUSE: i64 = 60_000;

@inline
export function grantedUnits(at: usize): i64 {
  return read(at);
}

export function addGrant(at: usize, units: i64): void {
  add(at, bounded(units, CEILING));
}

/** What is left at the service, as far as it is known. */
@inline
export function unitsElsewhere(at: usize): i64 {
  return bounded(load<i64>(at, 16), CEILING);
}

export function setElsewhere(at: usize, units: i64): void {
  store<i64>(at, bounded(units, CEILING), 16);
}

/** When the next may ask; 0: now. */
export function askedUntil(at: usize, now: i64): i64 {
  const until = load<i64>(at, 8);
  return until > now && until <= now + LONGEST_PAUSE ? until : 0;
}

/** The caller asks from now on. */
export function beginAsking(at: usize, now: i64): void {
  store<i64>(at, now + PATIENCE, 8);
}

/** Tells the asking that has begun last from others. */
@inline
export function currentAsking(at: usize): i64 {
  return load<i64>(at, 8);
}

/** That asking is answered; the next may begin at `notBefore`. False when it has run out and another one has begun. */
export function endAsking(at: usize, asking: i64, now: i64, notBefore: i64): bool {
  if (asking == 0 || currentAsking(at) != asking) return false;
  store<i64>(at, notBefore > now ? min(notBefore, now + LONGEST_PAUSE) : 0, 8);
  return true;
}
