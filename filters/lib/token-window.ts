/**
 * One limit: so many units (tokens, requests, nano-dollars) in a window of time. A request reserves what it may use, and settles what it did use.
 *
 * `TokenWindow` is the configuration; the state is a *meter*, a record of `size` bytes in memory of the caller. All zero is an untouched meter, and any bytes are a meter: what is wrong in
 * them makes counts wrong until the window is over, nothing more.
 *
 *   |newest: i64|counter: i64 x 1 or 17|grant: 24 bytes, granted windows only|lease: i64 x 2, windows above an hour only|     8-byte aligned, little endian
 *
 *   newest    ms since the epoch: the newest time the meter has seen. Window, bucket and generation follow from it.
 *   counter   fixed window: one. Rolling window: a ring of buckets of 1/16 period; bucket b is at b % 17.
 *   grant     what a distant service has granted of this window (token-window-grant.ts)
 *   lease     what is reserved and not settled, by generation of 15 minutes; generation g is at g % 2. A reservation that nobody settles, because its VM died, ends when its generation is
 *             two old: after 15 to 30 minutes instead of a month. In shorter windows reservations are in the counters and end with the window.
 *
 * What is counted is by time of admission. 17 buckets of 1/16 always cover a period whole, so that in *any* interval of that length no more than `amount` is admitted; the price is that
 * an amount comes back up to 1/16 period late. What requests use above their reservation is added too: that is by how much `amount` can be exceeded.
 *
 * A clock that steps back gives nothing back: time stands still for the meter until the clock is there again. A meter that is ahead by more than a period begins anew, so that a clock that
 * was wrong once does not close a budget for ever; then reservations made in the wrong time are forgotten.
 *
 * Of a *granted* window nothing may be used that the service has not granted, and each begins with nothing. Grants add up. What is used above them is a debt that the next grants pay first. A
 * meter that is lost takes its grants with it: they are never used, and the service has counted them.
 */
import { TimeZone } from "./time-zone";
import { periodLength, WindowPeriod, windowEnd, windowStart } from "./token-window-calendar";
import { addGrant, askedUntil, beginAsking, currentAsking, endAsking, GRANT_BYTES, grantedUnits, setElsewhere, unitsElsewhere } from "./token-window-grant";
import { add, bounded, CEILING, clamped, LATEST, read } from "./token-window-meter";

export { WindowPeriod } from "./token-window-calendar";

const RING: i64 = 17;
const LEASE: i64 = 900_000;
/** A time that does not come. */
export const NEVER: i64 = LATEST;

const COUNTERS: usize = 8;
/** Where a granted window, which is never rolling, has its grant. */
const GRANT: usize = COUNTERS + 8;

@final
export class TokenWindow {
  /** Units that a granted window should have in advance; may be changed at any time. 0: it is asked for nothing in advance. */
  lease: i64 = 0;
  /** Bytes of a meter, a multiple of 8: 16 (fixed), 32 (fixed, day and month), 40 (granted), 56 (granted, day and month), 144 (rolling), 160 (rolling day). */
  readonly size: i32;
  /** Open reservations are kept apart from what is settled. */
  readonly leased: bool;
  private readonly rolling: bool;
  /** The most that the meter may be ahead of the clock. */
  private readonly longest: i64;
  private readonly bucket: i64;
  /** The window of the calendar that was asked for last, from its begin until just before its end: nearly every question is about it. */
  private since: i64 = 0;
  private until: i64 = 0;

  /**
   * `amount`: units per window, from 1; it may be changed at any time and holds from the next call on. `zone`: where days and months begin. `granted`: a distant service grants what may be used.
   * A month is never rolling, a granted window neither.
   */
  constructor(
    public amount: i64,
    private readonly period: WindowPeriod,
    rolling: bool = false,
    private readonly zone: TimeZone = new TimeZone(0),
    readonly granted: bool = false,
  ) {
    this.rolling = rolling && !granted && period != WindowPeriod.Month;
    this.leased = period > WindowPeriod.Hour;
    this.longest = periodLength(period);
    this.bucket = (this.longest + 15) / 16;
    this.size = <i32>COUNTERS + (this.rolling ? 8 * <i32>RING : 8) + (granted ? GRANT_BYTES : 0) + (this.leased ? 16 : 0);
  }

  /**
   * Reserves `want`, at most the whole amount, so that a request of any size passes an untouched window. Returns what was reserved, or -1: refused, nothing changed but the time.
   * `now` and all other times: ms since the epoch. `amount` here and below: of this call.
   */
  reserve(meter: usize, now: i64, want: i64, amount: i64 = this.amount): i64 {
    const time = this.advance(meter, now);
    const part = partOf(want, amount);
    if (this.usedAt(meter, time, time) > this.total(meter, amount) - part) return -1;
    add(this.leased ? this.generation(meter, time) : this.counter(meter, time), part);
    return part;
  }

  /** The time of the last admission as the meter sees it: what `settle` has to be told. */
  @inline
  admittedAt(meter: usize): i64 {
    return load<i64>(meter);
  }

  /** Both times count in the same window, or the same bucket of a rolling one. */
  together(a: i64, b: i64): bool {
    const first = clamped(a);
    const second = clamped(b);
    return this.rolling ? first / this.bucket == second / this.bucket : min(first, second) >= this.start(max(first, second));
  }

  /**
   * The reservation becomes `actual` in the window of its admission; when that window is gone, nothing happens. A lease that has ended only adds `actual`. Below 0, `actual` takes off what was
   * settled there before.
   */
  settle(meter: usize, now: i64, admittedAt: i64, reserved: i64, actual: i64): void {
    const time = this.advance(meter, now);
    const admitted = clamped(admittedAt);
    if (this.rolling) {
      const age = time / this.bucket - admitted / this.bucket;
      if (age < 0 || age >= RING) return;
    } else if (!this.together(admitted, time)) return;
    const used = min(max(actual, -CEILING), CEILING);
    const given = bounded(reserved, CEILING);
    if (this.leased) {
      add(this.counter(meter, admitted), used);
      const age = time / LEASE - admitted / LEASE;
      if (age == 0 || age == 1) add(this.generation(meter, admitted), -given);
    } else add(this.counter(meter, admitted), used - given);
  }

  /** Units that count now, settled and reserved. It may exceed the amount. */
  used(meter: usize, now: i64): i64 {
    const time = this.advance(meter, now);
    return this.usedAt(meter, time, time);
  }

  /** Units that are left now; of those granted, in a granted window. */
  remaining(meter: usize, now: i64, amount: i64 = this.amount): i64 {
    const used = this.used(meter, now);
    return max(0, this.total(meter, amount) - used);
  }

  /**
   * When the full amount is there again if nothing else happens: the end of a fixed window, or when the last counted bucket leaves a rolling one. `now` when nothing is counted.
   * Open leases are taken for use: what they become will count as long. What was granted is not there again before the end of its window.
   */
  resetAt(meter: usize, now: i64): i64 {
    const time = this.advance(meter, now);
    if (this.usedAt(meter, time, time) == 0 && (!this.granted || grantedUnits(meter + GRANT) == 0)) return clamped(now);
    if (!this.rolling) return this.end(time);
    const newest = time / this.bucket;
    let age: i64 = 0;
    if (this.leases(meter, time, time) == 0) while (age < RING - 1 && read(this.ring(meter, newest - age)) == 0) age++;
    return (newest - age + RING) * this.bucket;
  }

  /**
   * The earliest time at which `want` passes if nothing else happens; `now` when it does now. A granted window at its end, when there may be new grants. O(buckets squared), for refusals.
   */
  availableAt(meter: usize, now: i64, want: i64, amount: i64 = this.amount): i64 {
    const time = this.advance(meter, now);
    const room = this.total(meter, amount) - partOf(want, amount);
    if (this.usedAt(meter, time, time) <= room) return clamped(now);
    let found = this.rolling ? (time / this.bucket + RING) * this.bucket : this.end(time);
    if (this.rolling) {
      for (let left: i64 = 1; left < RING; left++) {
        const at = (time / this.bucket + left) * this.bucket;
        if (this.usedAt(meter, time, at) > room) continue;
        found = at;
        break;
      }
    }
    if (!this.leased) return found;
    for (let generation = time / LEASE + 2; generation > time / LEASE; generation--) {
      const at = generation * LEASE;
      if (at < found && this.usedAt(meter, time, at) <= room) found = at;
    }
    return found;
  }

  /** Units that the service had left when it last said so, in this window; 0 in a window that needs no grants. */
  elsewhere(meter: usize): i64 {
    return this.granted ? unitsElsewhere(meter + GRANT) : 0;
  }

  /** Notes what the service has left, if the window is still the one of `askedAt`. True when that changes anything. */
  noteElsewhere(meter: usize, now: i64, askedAt: i64, units: i64): bool {
    if (!this.granted || units < 0 || !this.together(askedAt, this.advance(meter, now)) || unitsElsewhere(meter + GRANT) == units) return false;
    setElsewhere(meter + GRANT, units);
    return true;
  }

  /** Units that have to be granted for `want` to pass; 0 when it does, and in a window that needs no grants. */
  shortfall(meter: usize, now: i64, want: i64, amount: i64 = this.amount): i64 {
    if (!this.granted) return 0;
    const used = this.used(meter, now);
    return max(0, used + partOf(want, amount) - grantedUnits(meter + GRANT));
  }

  /** Notes that the caller asks for more, and returns how much it should ask for: to have the lease again, debts included. 0: there is enough, or somebody asks already. */
  askAhead(meter: usize, now: i64): i64 {
    if (!this.granted) return 0;
    const lease = bounded(this.lease, CEILING);
    const used = this.used(meter, now);
    const room = grantedUnits(meter + GRANT) - used;
    if (2 * room >= lease || lease == 0 || askedUntil(meter + GRANT, clamped(now)) != 0) return 0;
    beginAsking(meter + GRANT, clamped(now));
    return lease - room;
  }

  /** After `askAhead`: what `grant` has to be told. */
  asking(meter: usize): i64 {
    return currentAsking(meter + GRANT);
  }

  /**
   * Adds units, if the window is still the one of `askedAt`, the time of the meter when they were asked for. `asking`: the asking that this answers, 0 for none; the next may begin at `notBefore`,
   * at most a minute ahead. True when something has changed.
   */
  grant(meter: usize, now: i64, askedAt: i64, units: i64, asking: i64 = 0, notBefore: i64 = 0): bool {
    if (!this.granted) return false;
    const time = this.advance(meter, now);
    const ended = endAsking(meter + GRANT, asking, clamped(now), notBefore);
    if (units <= 0 || !this.together(askedAt, time)) return ended;
    addGrant(meter + GRANT, units);
    return true;
  }

  /** When the meter can be dropped and nobody will know: `resetAt`, but not while somebody asks. */
  emptyAt(meter: usize, now: i64): i64 {
    const reset = this.resetAt(meter, now);
    if (!this.granted || reset > now) return reset;
    return max(reset, min(askedUntil(meter + GRANT, clamped(now)), this.end(load<i64>(meter))));
  }

  /** The clock was far ahead and is back: at this time the meter begins anew, and reservations that it had are gone. */
  restarts(meter: usize, now: i64): bool {
    return load<i64>(meter) > clamped(now) + this.longest;
  }

  /** Brings the meter to the time of the clock, and returns the time that counts: `now`, or the newest the meter has seen. */
  private advance(meter: usize, now: i64): i64 {
    const time = clamped(now);
    const newest = load<i64>(meter);
    if (this.restarts(meter, now)) memory.fill(meter, 0, this.size);
    else if (newest >= time) return newest;
    else this.pass(meter, newest, time);
    store<i64>(meter, time);
    return time;
  }

  /** Forgets what leaves the window between two times. */
  private pass(meter: usize, from: i64, to: i64): void {
    if (this.rolling) {
      const last = to / this.bucket;
      for (let number = max(from / this.bucket, last - RING) + 1; number <= last; number++) {
        store<i64>(this.ring(meter, number), 0);
      }
    } else if (from < this.start(to)) {
      memory.fill(meter, 0, this.size);
      return;
    }
    if (!this.leased) return;
    const generations = to / LEASE - from / LEASE;
    if (generations > 0) store<i64>(this.generation(meter, to), 0);
    if (generations > 1) store<i64>(this.generation(meter, to - LEASE), 0);
  }

  /** Units of a meter brought to `time` that still count at a later time. */
  private usedAt(meter: usize, time: i64, at: i64): i64 {
    let sum = this.leases(meter, time, at);
    if (!this.rolling) return at == time || at < this.end(time) ? sum + read(meter + COUNTERS) : 0;
    const newest = time / this.bucket;
    for (let number = at / this.bucket - RING + 1; number <= newest; number++) sum += read(this.ring(meter, number));
    return sum;
  }

  private leases(meter: usize, time: i64, at: i64): i64 {
    if (!this.leased) return 0;
    const passed = at / LEASE - time / LEASE;
    if (passed > 1) return 0;
    const current = read(this.generation(meter, time));
    return passed == 0 ? current + read(this.generation(meter, time + LEASE)) : current;
  }

  /** When the window of the calendar that a time is in began. */
  @inline
  private start(time: i64): i64 {
    if (time < this.since || time >= this.until) this.turn(time);
    return this.since;
  }

  /** When it ends. */
  private end(time: i64): i64 {
    if (time < this.since || time >= this.until) this.turn(time);
    return this.until;
  }

  /** Turns the calendar to the window that a time is in. */
  private turn(time: i64): void {
    this.since = windowStart(this.period, this.zone, time);
    this.until = windowEnd(this.period, this.zone, this.since);
  }

  /** Units that may be used in the window. */
  @inline
  private total(meter: usize, amount: i64): i64 {
    return this.granted ? grantedUnits(meter + GRANT) : bounded(amount, CEILING);
  }

  /** Where the counter of a time is. */
  @inline
  private counter(meter: usize, time: i64): usize {
    return this.rolling ? this.ring(meter, time / this.bucket) : meter + COUNTERS;
  }

  /** Where a bucket is; numbers below 0, before 1970, are places that nothing was counted at. */
  @inline
  private ring(meter: usize, number: i64): usize {
    return meter + COUNTERS + ((<usize>(<u64>(number + RING) % <u64>RING)) << 3);
  }

  /** Where the leases of a time are. */
  @inline
  private generation(meter: usize, time: i64): usize {
    return meter + <usize>this.size - 16 + ((<usize>(time / LEASE) & 1) << 3);
  }
}

/** What is reserved of a want. */
@inline
function partOf(want: i64, amount: i64): i64 {
  return bounded(want, bounded(amount, CEILING));
}
