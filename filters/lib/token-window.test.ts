import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  aside,
  availableAt,
  availableOf,
  open,
  remaining,
  remainingOf,
  reserve,
  reserveOf,
  resetAt,
  settle,
  used,
  wasm,
} from "../../test/lib/token-window-driver.ts";
import {
  type Admission,
  nextWindow,
  type Period,
  periodMs,
  periods,
  ReferenceWindow,
  sameWindow,
  type WindowShape,
} from "../../test/lib/token-window-reference.ts";

/** Every answer against a reference that remembers every request, under clocks that jump; the promise to users; any bytes as a meter. Granted windows: token-window-grant.test.ts. */

/** The same request at another time, nothing having happened in between. */
const wouldPass = (time: number, want: number, amount: number) => aside(() => reserveOf(time, want, amount) >= 0);

const epoch = Date.UTC(2026, 10, 21, 15, 4, 5, 678);
const shapes = fc.record<WindowShape>({
  amount: fc.integer({ min: 1, max: 1000 }),
  period: fc.constantFrom(...periods),
  rolling: fc.boolean(),
  offsetSeconds: fc.integer({ min: -14 * 60, max: 14 * 60 }).map((minutes) => minutes * 60),
});
const shape = shapes.map((any) => ({ ...any, rolling: any.rolling && any.period !== "month" }));

/** A step of the clock in periods; most are small, some leave the window, a few go back. */
const step = fc.oneof(
  { weight: 6, arbitrary: fc.double({ min: 0, max: 0.08, noNaN: true }) },
  { weight: 2, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.double({ min: 0, max: 1.2, noNaN: true }) },
  { weight: 1, arbitrary: fc.double({ min: 0, max: 4, noNaN: true }) },
);
const backStep = fc.oneof(
  { weight: 8, arbitrary: step },
  { weight: 1, arbitrary: fc.double({ min: -0.3, max: 0, noNaN: true }) },
  { weight: 1, arbitrary: fc.double({ min: -3, max: 0, noNaN: true }) },
);
/** Steps of minutes for windows of days, where leases end. */
const quarters = fc.double({ min: 0, max: 25 * 60_000, noNaN: true });
interface Event {
  step: number;
  minutes: number;
  small: boolean;
  want: number;
  /** Of this request in relation to the window's. */
  amount: number;
  /** Which of the open requests ends now, if any, and what it used in relation to what it reserved. */
  ends: number | null;
  use: number;
}
const event = (steps: fc.Arbitrary<number>): fc.Arbitrary<Event> =>
  fc.record({
    step: steps,
    minutes: quarters,
    small: fc.boolean(),
    want: fc.oneof(fc.nat(40), fc.nat(1500)),
    amount: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, fc.double({ min: 0.1, max: 3, noNaN: true })),
    ends: fc.option(fc.nat(1000), { freq: 3 }),
    use: fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(1.5, 4)),
  });

const advance = (shape: WindowShape, now: number, e: Event) =>
  now + Math.round(e.small && periodMs(shape.period) > 36e5 ? e.minutes : e.step * periodMs(shape.period));

it("meters are as small as promised", () => {
  for (const period of periods) {
    for (const rolling of [false, true]) {
      const leases = period === "day" || period === "month" ? 16 : 0;
      const shape = { amount: 1, period, rolling, offsetSeconds: 0 };
      expect(open(shape)).toBe((rolling && period !== "month" ? 144 : 16) + leases);
      expect(open({ ...shape, granted: true })).toBe(40 + leases);
    }
  }
});

it("answers as the reference, whatever happens in whatever order under whatever clock", () => {
  fc.assert(
    fc.property(shape, fc.array(event(backStep), { minLength: 1, maxLength: 60 }), (shape, events) => {
      open(shape);
      const reference = new ReferenceWindow(shape);
      let open_: Admission[] = [];
      let now = epoch;
      for (const e of events) {
        now = advance(shape, now, e);
        const amount = Math.max(1, Math.round(shape.amount * e.amount));
        if (reference.tick(now)) open_ = [];
        if (e.ends !== null && open_.length > 0) {
          const ended = open_.splice(e.ends % open_.length, 1)[0] as Admission;
          const actual = Math.round(ended.reserved * e.use);
          settle(now, ended, actual);
          ended.actual = actual;
        } else {
          const expected = reference.reserve(e.want, amount);
          const reserved = amount === shape.amount ? reserve(now, e.want) : reserveOf(now, e.want, amount);
          expect(reserved).toBe(expected?.reserved ?? -1);
          if (expected) {
            expect(Number(wasm.admittedAt())).toBe(expected.at);
            open_.push(expected);
          }
        }
        expect(used(now)).toBe(reference.used());
        expect(remaining(now)).toBe(reference.remaining());
        expect(remainingOf(now, amount)).toBe(reference.remaining(amount));

        const free = availableOf(now, e.want, amount);
        if (amount === shape.amount) expect(availableAt(now, e.want)).toBe(free);
        expect(free).toBe(reference.availableAt(now, e.want, amount));
        expect(free).toBeGreaterThanOrEqual(now);
        expect(wouldPass(free, e.want, amount)).toBe(true);
        if (free > now) {
          expect(wouldPass(free - 1, e.want, amount)).toBe(false);
          const part = Math.min(e.want, amount);
          expect(reference.used(free)).toBeLessThanOrEqual(amount - part);
          expect(reference.used(free - 1)).toBeGreaterThan(amount - part);
        }

        const reset = resetAt(now);
        expect(aside(() => used(reset))).toBe(0);
        expect(reference.used(Math.max(reset, reference.time))).toBe(0);
        if (reference.used() === 0) expect(reset).toBe(now);
        else if (!shape.rolling) expect(reset).toBe(nextWindow(shape, reference.time));
        else if (reference.admissions.every(({ actual }) => actual !== undefined))
          expect(aside(() => used(reset - 1))).toBeGreaterThan(0);
      }
    }),
    { numRuns: 500 },
  );
});

describe("the promise", () => {
  /** Runs a schedule and returns everything that was admitted, by time of admission as the meter sees it. */
  function run(shape: WindowShape, events: readonly Event[]): Admission[] {
    open(shape);
    const admitted: Admission[] = [];
    let now = epoch;
    for (const e of events) {
      now = advance(shape, now, { ...e, minutes: e.minutes / 30 });
      const open = admitted.filter(({ actual }) => actual === undefined);
      const ending = e.ends === null ? undefined : open[e.ends % Math.max(1, open.length)];
      // Nothing runs longer than a lease.
      for (const request of open) {
        if (now - request.at < 14 * 60_000 && request !== ending) continue;
        request.actual = Math.round(request.reserved * e.use);
        settle(Math.min(now, request.at + 14 * 60_000), request, request.actual);
      }
      const reserved = reserve(now, e.want);
      if (reserved >= 0) admitted.push({ at: Number(wasm.admittedAt()), reserved });
    }
    return admitted;
  }
  const schedule = fc.array(event(step), { minLength: 5, maxLength: 120 });
  const over = (requests: Admission[]) =>
    requests.reduce((sum, { reserved, actual = reserved }) => sum + Math.max(0, actual - reserved), 0);
  const charged = (requests: Admission[]) => requests.reduce((sum, { reserved, actual = reserved }) => sum + actual, 0);

  it("no fixed window, and no rolling interval of a period whatever its begin, has more than the amount and what was used over reservations", () => {
    let most = 0;
    fc.assert(
      fc.property(shape, schedule, (shape, events) => {
        const admitted = run(shape, events);
        for (const first of admitted) {
          const window = admitted.filter(({ at }) =>
            shape.rolling ? at >= first.at && at < first.at + periodMs(shape.period) : sameWindow(shape, at, first.at),
          );
          const sum = charged(window) - over(window);
          expect(sum).toBeLessThanOrEqual(shape.amount);
          most = Math.max(most, sum / shape.amount);
        }
      }),
      { numRuns: 400 },
    );
    expect(most).toBe(1);
  });

  it("a settle counts while its bucket does, and touches no other bucket later", () => {
    const bucket = periodMs("minute") / 16;
    for (let age = 0; age < 40; age++) {
      open({ amount: 100, period: "minute", rolling: true, offsetSeconds: 0 });
      const begin = epoch - (epoch % bucket);
      reserve(begin, 10);
      const now = begin + age * bucket;
      reserve(now, 20);
      settle(now, { at: begin, reserved: 10 }, 3);
      expect(used(now)).toBe(age < 17 ? 23 : 20);
    }
  });

  it("a settle below 0 takes off what was settled there, never more than there is", () => {
    for (const period of ["minute", "day"] as const) {
      open({ amount: 100, period, rolling: false, offsetSeconds: 0 });
      for (const _ of [1, 2]) settle(epoch, { at: epoch, reserved: reserve(epoch, 40) }, 40);
      settle(epoch + 1, { at: epoch, reserved: reserve(epoch, 10) }, -30);
      expect(used(epoch + 1)).toBe(50);
      settle(epoch + 1, { at: epoch, reserved: 0 }, -70);
      expect(used(epoch + 1)).toBe(0);
    }
  });

  it("a rolling window gives back a sixteenth of a period late, never later", () => {
    for (const period of ["second", "minute", "hour", "day"] as const) {
      for (let into = 0; into < 40; into++) {
        open({ amount: 10, period, rolling: true, offsetSeconds: 0 });
        const now = epoch + Math.round((into * periodMs(period)) / 37);
        expect(reserve(now, 10)).toBe(10);
        settle(now, { at: now, reserved: 10 }, 10);
        const wait = availableAt(now, 1) - now;
        expect(wait).toBeGreaterThanOrEqual(periodMs(period));
        expect(wait).toBeLessThanOrEqual(Math.ceil(periodMs(period) / 16) * 17);
      }
    }
  });

  it("a request of any size passes an untouched window, and reserves at most the whole amount", () => {
    fc.assert(
      fc.property(shape, fc.maxSafeNat(), (shape, want) => {
        open(shape);
        expect(reserve(epoch, want)).toBe(Math.min(want, shape.amount));
        expect(reserve(epoch, 1)).toBe(want >= shape.amount ? -1 : 1);
      }),
    );
  });

  it("debt closes the window and is gone with it", () => {
    open({ amount: 100, period: "minute", rolling: false, offsetSeconds: 0 });
    expect(reserve(epoch, 10)).toBe(10);
    settle(epoch + 1, { at: epoch, reserved: 10 }, 250);
    expect(used(epoch + 2)).toBe(250);
    expect(remaining(epoch)).toBe(0);
    expect(reserve(epoch + 3, 0)).toBe(-1);
    expect(reserve(availableAt(epoch, 100), 100)).toBe(100);
  });

  it("a changed amount holds from the next call on and keeps the count", () => {
    open({ amount: 100, period: "hour", rolling: false, offsetSeconds: 0 });
    expect(reserve(epoch, 60)).toBe(60);
    wasm.setAmount(50n);
    expect(reserve(epoch, 1)).toBe(-1);
    wasm.setAmount(200n);
    expect(reserve(epoch, 140)).toBe(140);
  });
});

describe("leases", () => {
  const day = (rolling: boolean): WindowShape => ({ amount: 100, period: "day", rolling, offsetSeconds: 0 });
  const minutes = (count: number) => count * 60_000;
  const begin = Date.UTC(2026, 10, 21, 12);

  it.each([false, true])("nobody settles: the reservation ends with its generation, rolling %s", (rolling) => {
    open(day(rolling));
    expect(reserve(begin + minutes(14), 100)).toBe(100);
    expect(availableAt(begin + minutes(14), 1)).toBe(begin + minutes(30));
    expect(used(begin + minutes(30) - 1)).toBe(100);
    expect(used(begin + minutes(30))).toBe(0);
  });

  it.each([false, true])("settled late, it costs what it used, once, rolling %s", (rolling) => {
    open(day(rolling));
    const late = { at: begin, reserved: 40 };
    reserve(begin, 40);
    reserve(begin + minutes(40), 50);
    settle(begin + minutes(41), late, 30);
    expect(used(begin + minutes(41))).toBe(80);
    settle(begin + minutes(42), { at: begin + minutes(40), reserved: 50 }, 0);
    expect(used(begin + minutes(42))).toBe(30);
  });

  it("an hour's window has none: the reservation ends with the window", () => {
    open({ ...day(false), period: "hour" });
    reserve(begin, 100);
    expect(used(begin + minutes(60) - 1)).toBe(100);
    expect(used(begin + minutes(60))).toBe(0);
  });
});

describe("clocks that step", () => {
  const minute: WindowShape = { amount: 100, period: "minute", rolling: false, offsetSeconds: 0 };

  it("back within a period: nothing is given back", () => {
    for (const rolling of [false, true]) {
      open({ ...minute, rolling });
      reserve(epoch, 100);
      expect(reserve(epoch - 59_000, 1)).toBe(-1);
      expect(reserve(epoch - 60_000, 1)).toBe(-1);
    }
  });

  it("back by more: the meter begins anew instead of being closed for ever", () => {
    for (const rolling of [false, true]) {
      open({ ...minute, rolling });
      reserve(epoch + 365 * 864e5, 100);
      expect(reserve(epoch, 100)).toBe(100);
    }
  });

  it("a reservation of the wrong time takes nothing off the right one", () => {
    open(minute);
    reserve(epoch + 365 * 864e5, 100);
    reserve(epoch, 100);
    settle(epoch + 1, { at: epoch + 365 * 864e5, reserved: 100 }, 0);
    expect(used(epoch + 1)).toBe(100);
  });
});

describe("the calendar", () => {
  const ends = (period: Period, offsetSeconds: number, now: number): number => {
    open({ amount: 10, period, rolling: false, offsetSeconds });
    expect(reserve(now, 10)).toBe(10);
    const end = availableAt(now, 10);
    expect(resetAt(now)).toBe(end);
    return end;
  };

  it("months, leap years and centuries, in any zone, as Date.UTC", () => {
    for (const year of [1970, 1999, 2000, 2024, 2026, 2027, 2028, 2096, 2100, 2104, 2400]) {
      for (let month = 0; month < 12; month++) {
        for (const offset of [0, -14 * 3600, 14 * 3600, 5 * 3600 + 45 * 60, -60]) {
          const first = Date.UTC(year, month) - offset * 1000;
          const next = Date.UTC(year, month + 1) - offset * 1000;
          if (first < 0) continue;
          expect(nextWindow({ amount: 1, period: "month", rolling: false, offsetSeconds: offset }, first)).toBe(next);
          // A day window's lease is over long before the end, so the amount has to be settled to count to the end of the month.
          open({ amount: 10, period: "month", rolling: false, offsetSeconds: offset });
          for (const now of [first, first + 1, next - 1]) {
            open({ amount: 10, period: "month", rolling: false, offsetSeconds: offset });
            reserve(now, 10);
            settle(now, { at: now, reserved: 10 }, 10);
            expect(availableAt(now, 1)).toBe(next);
          }
        }
      }
    }
  });

  it("days begin at midnight there, hours in zones with half hours", () => {
    const india = 5.5 * 3600;
    expect(ends("hour", india, Date.UTC(2026, 10, 21, 15, 4))).toBe(Date.UTC(2026, 10, 21, 15, 30));
    expect(ends("hour", 0, Date.UTC(2026, 10, 21, 15, 4))).toBe(Date.UTC(2026, 10, 21, 16));
    open({ amount: 10, period: "day", rolling: false, offsetSeconds: india });
    reserve(Date.UTC(2026, 10, 21, 18, 29), 10);
    expect(resetAt(Date.UTC(2026, 10, 21, 18, 29))).toBe(Date.UTC(2026, 10, 21, 18, 30));
    open({ amount: 10, period: "day", rolling: false, offsetSeconds: -8 * 3600 });
    reserve(Date.UTC(2026, 10, 21, 7, 59), 10);
    expect(resetAt(Date.UTC(2026, 10, 21, 7, 59))).toBe(Date.UTC(2026, 10, 21, 8));
  });
});

describe("any bytes, any numbers", () => {
  const word = fc.oneof(
    fc.bigInt(-(1n << 63n), (1n << 63n) - 1n),
    fc.constantFrom(0n, -1n, 1n, 1n << 62n, -(1n << 63n), (1n << 63n) - 1n, (1n << 50n) + 1n, 1n << 55n),
    fc.integer({ min: -100, max: 100 }).map((near) => BigInt(epoch + near * 5000)),
  );
  const earliest = 86_400_000n;
  const latest = 1n << 50n;

  it("never trap, never leave the meter, and heal within two periods", () => {
    fc.assert(
      fc.property(
        shape,
        fc.array(word, { minLength: 20, maxLength: 20 }),
        fc.array(fc.record({ what: fc.nat(6), a: word, b: word, c: word, d: word }), { maxLength: 12 }),
        (shape, words, calls) => {
          const size = open(shape);
          const room = new Uint8Array(wasm.memory.buffer, wasm.meterAt() - 64, size + 128);
          room.fill(0xee);
          const view = new DataView(wasm.memory.buffer, wasm.meterAt(), size);
          for (let at = 0; at < size; at += 8) view.setBigInt64(at, words[at >> 3] ?? 0n, true);
          let amount = BigInt(shape.amount);
          for (const { what, a, b, c, d } of calls) {
            const now = a < earliest ? earliest : a > latest ? latest : a;
            if (what === 0) expect(wasm.reserve(a, b)).toBeGreaterThanOrEqual(-1n);
            else if (what === 1) wasm.settle(a, b, c, d);
            else if (what === 2) expect(wasm.used(a)).toBeGreaterThanOrEqual(0n);
            else if (what === 3) expect(wasm.remaining(a)).toBeLessThanOrEqual(amount > 0n ? amount : 0n);
            else if (what === 4) {
              amount = b;
              wasm.setAmount(b);
            } else {
              const time = what === 5 ? wasm.resetAt(a) : wasm.availableAt(a, b);
              expect(time).toBeGreaterThanOrEqual(now);
              expect(time - now).toBeLessThanOrEqual(BigInt(Math.ceil((periodMs(shape.period) * 33) / 16) + 1200));
            }
          }
          expect(room.subarray(0, 64).every((byte) => byte === 0xee)).toBe(true);
          expect(room.subarray(64 + size).every((byte) => byte === 0xee)).toBe(true);
          wasm.setAmount(10n);
          const healed = wasm.availableAt(BigInt(epoch), 10n);
          expect(wasm.reserve(healed, 10n)).toBe(10n);
        },
      ),
      { numRuns: 5000 },
    );
  });

  it("sums saturate instead of wrapping to something that passes", () => {
    for (const rolling of [false, true]) {
      open({ amount: 1e12, period: "day", rolling, offsetSeconds: 0 });
      for (let round = 0; round < 600; round++) {
        wasm.settle(BigInt(epoch + round), BigInt(epoch + round), 0n, (1n << 63n) - 1n);
        expect(used(epoch + round)).toBeGreaterThanOrEqual(2 ** 55);
      }
      expect(reserve(epoch + 600, 1)).toBe(-1);
    }
  });
});
