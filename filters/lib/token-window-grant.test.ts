import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  aside,
  askAhead,
  asking,
  availableOf,
  emptyAt,
  grant,
  meter,
  open,
  remaining,
  reserve,
  reserveOf,
  resetAt,
  settle,
  shortfall,
  used,
  wasm,
} from "../../test/lib/token-window-driver.ts";
import {
  type Admission,
  nextWindow,
  periodMs,
  periods,
  ReferenceWindow,
  sameWindow,
  type WindowShape,
} from "../../test/lib/token-window-reference.ts";

/** Granted windows: every answer against the reference under clocks that jump, what is promised to the service, who asks, any bytes as a meter. */

const epoch = Date.UTC(2026, 10, 21, 15, 4, 5, 678);
const minute: WindowShape = {
  amount: 100,
  period: "minute",
  rolling: false,
  offsetSeconds: 0,
  granted: true,
  lease: 20,
};
const shape = fc.record<WindowShape>({
  amount: fc.integer({ min: 1, max: 1000 }),
  period: fc.constantFrom(...periods),
  // Ignored.
  rolling: fc.boolean(),
  offsetSeconds: fc.integer({ min: -14 * 60, max: 14 * 60 }).map((minutes) => minutes * 60),
  granted: fc.constant(true),
  lease: fc.oneof(fc.nat(3), fc.nat(200)),
});

/** A step of the clock: of milliseconds in which an asking lives, of minutes in which leases end, or in periods. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ ms: fc.nat(1500) }) },
  { weight: 1, arbitrary: fc.record({ ms: fc.nat(70_000) }) },
  { weight: 1, arbitrary: fc.record({ ms: fc.nat(25 * 60_000) }) },
  { weight: 1, arbitrary: fc.record({ periods: fc.double({ min: 0, max: 1.2, noNaN: true }) }) },
);
const backStep = fc.oneof(
  { weight: 10, arbitrary: step },
  { weight: 1, arbitrary: fc.record({ ms: fc.integer({ min: -70_000, max: 0 }) }) },
  { weight: 1, arbitrary: fc.record({ periods: fc.double({ min: -0.3, max: 0, noNaN: true }) }) },
  { weight: 1, arbitrary: fc.record({ periods: fc.double({ min: -3, max: 0, noNaN: true }) }) },
);
const after = (shape: WindowShape, now: number, by: { ms?: number; periods?: number }) =>
  now + (by.ms ?? 0) + Math.round((by.periods ?? 0) * periodMs(shape.period));

const what = fc.oneof(
  fc.record({ reserve: fc.oneof(fc.nat(40), fc.nat(1500)), amount: fc.double({ min: 0.5, max: 2, noNaN: true }) }),
  fc.record({
    settle: fc.nat(1000),
    use: fc.oneof(fc.constantFrom(0, 1, 3), fc.double({ min: 0, max: 1, noNaN: true })),
  }),
  fc.record({
    grant: fc.nat(1000),
    units: fc.oneof(fc.constant(0), fc.nat(300)),
    answers: fc.boolean(),
    pause: fc.nat(90_000),
  }),
);
const events = (steps: fc.Arbitrary<{ ms?: number; periods?: number }>) =>
  fc.array(fc.record({ by: steps, what }), { minLength: 1, maxLength: 60 });

it("answers as the reference, whatever happens in whatever order under whatever clock", () => {
  const seen = { admitted: 0, refused: 0, asked: 0, ended: 0, late: 0 };
  fc.assert(
    fc.property(shape, events(backStep), (any, events) => {
      const shape = { ...any, rolling: false };
      open(any);
      const reference = new ReferenceWindow(shape);
      let running: Admission[] = [];
      const asked: { at: number; asking: number }[] = [{ at: epoch, asking: 0 }];
      let now = epoch;
      for (const { by, what } of events) {
        now = after(shape, now, by);
        if (reference.tick(now)) running = [];
        const amount = "reserve" in what ? Math.max(1, Math.round(shape.amount * what.amount)) : shape.amount;
        const want = "reserve" in what ? what.reserve : 1;
        expect(shortfall(now, want, amount)).toBe(reference.shortfall(want, amount));
        expect(availableOf(now, want, amount)).toBe(reference.availableAt(now, want, amount));
        if ("reserve" in what) {
          const expected = reference.reserve(want, amount);
          expect(reserveOf(now, want, amount)).toBe(expected?.reserved ?? -1);
          if (expected) running.push(expected);
          seen[expected ? "admitted" : "refused"]++;
          const units = reference.askAhead(now);
          expect(askAhead(now)).toBe(units);
          if (units > 0) asked.push({ at: reference.time, asking: asking() });
          if (units > 0) seen.asked++;
        } else if ("settle" in what) {
          const [ended] = running.splice(what.settle % Math.max(1, running.length), 1);
          if (ended) {
            ended.actual = Math.round(ended.reserved * what.use);
            settle(now, ended, ended.actual);
          }
        } else {
          // Mostly the last asking, sometimes one of long ago.
          const { at, asking } = asked[Math.max(0, asked.length - 1 - (what.grant % 4))] as (typeof asked)[number];
          const changed = reference.grant(now, at, what.units, what.answers ? asking : 0, now + what.pause);
          expect(grant(now, at, what.units, what.answers ? asking : 0, now + what.pause)).toBe(changed);
          seen[changed ? "ended" : "late"]++;
        }
        expect(used(now)).toBe(reference.used());
        expect(remaining(now)).toBe(reference.remaining());
        expect(emptyAt(now)).toBe(reference.emptyAt(now));
        const idle = reference.used() === 0 && reference.total() === 0;
        expect(resetAt(now)).toBe(idle ? now : nextWindow(shape, reference.time));
      }
    }),
    { numRuns: 500 },
  );
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(200);
});

describe("the promise to the service", () => {
  it("no window has more than was granted in it and what was used over reservations, under a clock that only goes forward", () => {
    let most = 0;
    fc.assert(
      fc.property(shape, events(step), (any, events) => {
        const shape = { ...any, rolling: false };
        open(shape);
        const admitted: Admission[] = [];
        const grants: { at: number; units: number }[] = [];
        let now = epoch;
        for (const { by, what } of events) {
          now = after(shape, now, by);
          // Nothing runs longer than a lease.
          for (const request of admitted) {
            if (request.actual !== undefined || now - request.at < 14 * 60_000) continue;
            request.actual = request.reserved;
            settle(Math.min(now, request.at + 14 * 60_000), request, request.actual);
          }
          if ("reserve" in what) {
            const reserved = reserve(now, what.reserve);
            if (reserved >= 0) admitted.push({ at: now, reserved });
          } else if ("settle" in what) {
            const running = admitted.filter(({ actual }) => actual === undefined);
            const ended = running[what.settle % Math.max(1, running.length)];
            if (ended) {
              ended.actual = Math.round(ended.reserved * what.use);
              settle(now, ended, ended.actual);
            }
          } else if (grant(now, now - what.grant, what.units)) grants.push({ at: now - what.grant, units: what.units });
        }
        for (const { at } of admitted) {
          const here = <T extends { at: number }>(all: T[]) => all.filter((one) => sameWindow(shape, one.at, at));
          const charged = here(admitted).reduce(
            (sum, { reserved, actual = reserved }) => sum + Math.min(actual, reserved),
            0,
          );
          const granted = here(grants).reduce((sum, { units }) => sum + units, 0);
          expect(charged).toBeLessThanOrEqual(granted);
          if (granted > 0) most = Math.max(most, charged / granted);
        }
      }),
      { numRuns: 400 },
    );
    expect(most).toBeGreaterThan(0.8);
  });

  it("nothing passes before the first grant, and each window begins with none", () => {
    open(minute);
    expect(reserve(epoch, 1)).toBe(-1);
    expect(grant(epoch, epoch, 30)).toBe(true);
    expect(grant(epoch, epoch, 10)).toBe(true);
    expect(remaining(epoch)).toBe(40);
    expect(reserve(epoch, 41)).toBe(-1);
    expect(reserve(epoch, 40)).toBe(40);
    const next = nextWindow(minute, epoch);
    expect(resetAt(epoch)).toBe(next);
    expect(remaining(next)).toBe(0);
    expect(reserve(next, 1)).toBe(-1);
  });

  it("a grant of the window before is not used", () => {
    open(minute);
    const next = nextWindow(minute, epoch);
    expect(grant(next, next - 1, 30)).toBe(false);
    expect(remaining(next)).toBe(0);
    expect(grant(next, next, 30)).toBe(true);
    expect(remaining(next)).toBe(30);
  });

  it("a shortfall is just what is missing, debts included, whatever the size of the request", () => {
    fc.assert(
      fc.property(
        fc.nat(200),
        fc.nat(200),
        fc.nat(300),
        fc.integer({ min: 1, max: 400 }),
        (granted, first, over, want) => {
          open(minute);
          grant(epoch, epoch, granted);
          const reserved = Math.max(0, reserve(epoch, first));
          settle(epoch, { at: epoch, reserved }, reserved + over);
          const missing = shortfall(epoch, want, 100);
          expect(missing > 0).toBe(aside(() => reserve(epoch, want)) < 0);
          if (missing === 0) return;
          grant(epoch, epoch, missing - 1);
          expect(reserve(epoch, want)).toBe(-1);
          grant(epoch, epoch, 1);
          expect(reserve(epoch, want)).toBe(Math.min(want, 100));
        },
      ),
    );
  });

  it("a day's reservation that nobody settles ends with its lease, and its units may be used again", () => {
    open({ ...minute, period: "day" });
    const begin = Date.UTC(2026, 10, 21, 12);
    grant(begin, begin, 50);
    expect(reserve(begin, 50)).toBe(50);
    expect(reserve(begin + 29 * 60_000, 50)).toBe(-1);
    expect(reserve(begin + 30 * 60_000, 50)).toBe(50);
    expect(remaining(begin + 30 * 60_000)).toBe(0);
  });
});

describe("asking ahead", () => {
  it("is the job of the first that finds less than half of the lease", () => {
    open(minute);
    grant(epoch, epoch, 30);
    reserve(epoch, 20);
    expect(askAhead(epoch)).toBe(0);
    reserve(epoch, 1);
    expect(askAhead(epoch)).toBe(20 - 9);
    reserve(epoch, 9);
    expect(askAhead(epoch)).toBe(0);
    expect(askAhead(epoch + 1999)).toBe(0);
    expect(askAhead(epoch + 2000)).toBe(20);
  });

  it("asks for debts too, and for nothing without a lease or without grants", () => {
    open(minute);
    settle(epoch, { at: epoch, reserved: 0 }, 70);
    expect(askAhead(epoch)).toBe(90);
    open({ ...minute, lease: 0 });
    settle(epoch, { at: epoch, reserved: 0 }, 70);
    expect(askAhead(epoch)).toBe(0);
    open({ ...minute, granted: false });
    expect(askAhead(epoch)).toBe(0);
    expect(shortfall(epoch, 1000, 100)).toBe(0);
    expect(grant(epoch, epoch, 10)).toBe(false);
    expect(remaining(epoch)).toBe(100);
  });

  it("is over when it is answered, with nothing too; then there is a pause of a minute at most", () => {
    open(minute);
    expect(askAhead(epoch)).toBe(20);
    expect(grant(epoch + 100, epoch, 5, asking())).toBe(true);
    expect(askAhead(epoch + 100)).toBe(15);
    expect(grant(epoch + 200, epoch, 0, asking(), epoch + 5000)).toBe(true);
    expect(askAhead(epoch + 4999)).toBe(0);
    expect(askAhead(epoch + 5000)).toBe(15);
    open({ ...minute, period: "hour" });
    askAhead(epoch);
    grant(epoch, epoch, 0, asking(), epoch + 36e5);
    expect(askAhead(epoch + 59_999)).toBe(0);
    expect(askAhead(epoch + 60_000)).toBe(20);
  });

  it("an answer to an asking that ran out does not end the one that came after", () => {
    open(minute);
    askAhead(epoch);
    const first = asking();
    expect(askAhead(epoch + 2000)).toBe(20);
    expect(grant(epoch + 2100, epoch, 0, first, epoch + 30_000)).toBe(false);
    expect(grant(epoch + 2100, epoch, 3, first)).toBe(true);
    expect(remaining(epoch + 2100)).toBe(3);
    expect(askAhead(epoch + 3999)).toBe(0);
    expect(askAhead(epoch + 4000)).toBe(17);
  });

  it("begins anew with each window, and soon after a clock was ahead", () => {
    open(minute);
    const next = nextWindow(minute, epoch);
    askAhead(next - 1);
    expect(askAhead(next)).toBe(20);
    open({ ...minute, period: "day" });
    askAhead(epoch + 5 * 36e5);
    expect(askAhead(epoch)).toBe(20);
    expect(askAhead(epoch + 1)).toBe(0);
    // The time of the meter stands still, so do its windows.
    expect(grant(epoch + 2, Number(wasm.admittedAt()), 7, asking())).toBe(true);
    expect(remaining(epoch + 3)).toBe(7);
  });

  it("keeps an untouched meter no longer than it lasts", () => {
    open(minute);
    expect(emptyAt(epoch)).toBe(epoch);
    askAhead(epoch);
    expect(resetAt(epoch)).toBe(epoch);
    expect(emptyAt(epoch)).toBe(epoch + 2000);
    expect(emptyAt(epoch + 2000)).toBe(epoch + 2000);
    grant(epoch, epoch, 1);
    expect(emptyAt(epoch)).toBe(nextWindow(minute, epoch));
    const last = nextWindow(minute, epoch) - 5;
    open(minute);
    askAhead(last);
    expect(emptyAt(last)).toBe(last + 5);
  });
});

describe("any bytes, any numbers", () => {
  const word = fc.oneof(
    fc.bigInt(-(1n << 63n), (1n << 63n) - 1n),
    fc.constantFrom(0n, -1n, 1n, 1n << 62n, -(1n << 63n), (1n << 63n) - 1n, (1n << 50n) + 1n, 1n << 55n),
    fc.integer({ min: -100, max: 100 }).map((near) => BigInt(epoch + near * 5000)),
  );

  it("never trap, never leave the meter, and heal with the window after the next", () => {
    fc.assert(
      fc.property(
        shape,
        fc.array(word, { minLength: 6, maxLength: 6 }),
        fc.array(fc.record({ what: fc.nat(7), a: word, b: word, c: word, d: word, e: word }), { maxLength: 12 }),
        (shape, words, calls) => {
          const size = open(shape);
          const room = new Uint8Array(wasm.memory.buffer, wasm.meterAt() - 64, size + 128);
          room.fill(0xee);
          const view = new DataView(meter().buffer, wasm.meterAt(), size);
          for (let at = 0; at < size; at += 8) view.setBigInt64(at, words[at >> 3] ?? 0n, true);
          for (const { what, a, b, c, d, e } of calls) {
            if (what === 0) expect(wasm.reserveOf(a, b, c)).toBeGreaterThanOrEqual(-1n);
            else if (what === 1) wasm.settle(a, b, c, d);
            else if (what === 2) expect(wasm.remainingOf(a, b)).toBeGreaterThanOrEqual(0n);
            else if (what === 3) expect(wasm.shortfall(a, b, c)).toBeGreaterThanOrEqual(0n);
            else if (what === 4) wasm.grant(a, b, c, d, e);
            else if (what === 5) expect(wasm.askAhead(a)).toBeGreaterThanOrEqual(0n);
            else if (what === 6) wasm.setLease(b);
            else expect(wasm.emptyAt(a)).toBeGreaterThan(0n);
          }
          expect(room.subarray(0, 64).every((byte) => byte === 0xee)).toBe(true);
          expect(room.subarray(64 + size).every((byte) => byte === 0xee)).toBe(true);
          wasm.setLease(10n);
          // A meter may be a period ahead.
          used(epoch);
          const fresh = nextWindow({ ...shape, rolling: false }, epoch + 2 * periodMs(shape.period));
          expect(remaining(fresh)).toBe(0);
          expect(askAhead(fresh)).toBe(10);
          expect(grant(fresh, fresh, 10, asking())).toBe(true);
          expect(reserve(fresh, Math.min(10, shape.amount))).toBe(Math.min(10, shape.amount));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it("grants saturate instead of wrapping", () => {
    open(minute);
    for (let round = 0; round < 600; round++) wasm.grant(BigInt(epoch), BigInt(epoch), (1n << 63n) - 1n, 0n, 0n);
    expect(remaining(epoch)).toBe(2 ** 55);
    wasm.grant(BigInt(epoch), BigInt(epoch), -5n, 0n, 0n);
    expect(remaining(epoch)).toBe(2 ** 55);
  });
});
