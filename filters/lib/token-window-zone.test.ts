import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  aside,
  availableAt,
  open,
  remaining,
  reserve,
  resetAt,
  settle,
  used,
  wasm,
} from "../../test/lib/token-window-driver.ts";
import {
  type Admission,
  nextWindow,
  ReferenceWindow,
  sameWindow,
  type WindowShape,
} from "../../test/lib/token-window-reference.ts";

/** Limits per day and month where clocks change: every answer against a reference that asks `Intl` for the date. What else a window does: token-window.test.ts. */

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** With a day before each kind of change. In Santiago there is no midnight in spring, and in autumn the last hour of the day comes twice. */
const zones = [
  { name: "Europe/Berlin", posix: "CET-1CEST,M3.5.0,M10.5.0/3", days: ["2026-03-28", "2026-10-24"] },
  { name: "America/New_York", posix: "EST5EDT,M3.2.0,M11.1.0", days: ["2026-03-07", "2026-10-31"] },
  { name: "America/Santiago", posix: "<-04>4<-03>,M9.1.6/24,M4.1.6/24", days: ["2026-09-05", "2026-04-04"] },
  { name: "Australia/Lord_Howe", posix: "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", days: ["2026-10-03", "2026-04-04"] },
] as const;

const shape = fc.record({
  amount: fc.integer({ min: 1, max: 500 }),
  period: fc.constantFrom("day" as const, "month" as const),
  zone: fc.constantFrom(...zones),
  granted: fc.boolean(),
});
const place = fc.record({ shape, spring: fc.nat(1), before: fc.integer({ min: -DAY, max: DAY }) });
const step = fc.oneof(
  fc.integer({ min: 0, max: 10 * 60_000 }),
  fc.integer({ min: 0, max: 5 * HOUR }),
  fc.integer({ min: -HOUR, max: 60 * HOUR }),
);
const event = fc.record({
  step,
  want: fc.oneof(fc.nat(40), fc.nat(700)),
  /** Which of the open requests ends now, and what it used in hundredths of its reservation. */
  ends: fc.option(fc.nat(100), { freq: 2 }),
  use: fc.constantFrom(0, 50, 100, 150),
  grant: fc.nat(600),
});

const opened = (shape: Omit<WindowShape, "rolling" | "offsetSeconds">): WindowShape => {
  const full = { ...shape, rolling: false, offsetSeconds: 0 };
  open(full);
  return full;
};

it("answers as the reference, whatever happens around a change of the clocks", () => {
  const crossed = new Set<string>();
  fc.assert(
    fc.property(place, fc.array(event, { minLength: 5, maxLength: 50 }), (from, events) => {
      const shape = opened(from.shape);
      const reference = new ReferenceWindow(shape);
      const running: Admission[] = [];
      const { zone } = from.shape;
      let now = Date.parse(zone.days[from.spring] ?? "") + from.before;
      for (const { step, want, ends, use, grant } of events) {
        now += step;
        // A clock that goes back by more than a period makes the meter begin anew: token-window.test.ts.
        if (reference.tick(now)) return;
        const ended = ends === null ? undefined : running.splice(ends % Math.max(running.length, 1), 1)[0];
        if (ended !== undefined) {
          ended.actual = Math.round((ended.reserved * use) / 100);
          settle(now, ended, ended.actual);
        } else {
          if (shape.granted) {
            wasm.grant(BigInt(now), BigInt(now), BigInt(grant), 0n, 0n);
            reference.grant(now, now, grant);
          }
          const expected = reference.reserve(want);
          expect(reserve(now, want)).toBe(expected?.reserved ?? -1);
          if (expected) running.push(expected);
        }
        expect(used(now)).toBe(reference.used());
        expect(remaining(now)).toBe(reference.remaining());
        const free = availableAt(now, want);
        expect(free).toBe(reference.availableAt(now, want));
        const idle = reference.used() === 0 && (!shape.granted || reference.total() === 0);
        const end = nextWindow(shape, reference.time);
        expect(resetAt(now)).toBe(idle ? now : end);
        if (free === end) crossed.add(zone.name + shape.period);
      }
    }),
    { numRuns: 200 },
  );
  expect(crossed.size).toBe(8);
});

describe("the promise", () => {
  it("no day on the wall has more than the amount, and each has it all", () => {
    for (const zone of zones) {
      for (const first of zone.days) {
        const shape = opened({ amount: 100, period: "day", zone });
        const sums = new Map<string, number>();
        const date = new Intl.DateTimeFormat("en-CA", { timeZone: zone.name });
        // 7 units every half hour are more than 100 on any day.
        for (let now = Date.parse(first) - DAY; now < Date.parse(first) + 4 * DAY; now += HOUR / 2) {
          const reserved = reserve(now, 7);
          if (reserved > 0) settle(now, { at: now, reserved }, reserved);
          const day = date.format(now);
          sums.set(day, (sums.get(day) ?? 0) + Math.max(reserved, 0));
          expect(resetAt(now)).toBe(nextWindow(shape, now));
        }
        const whole = [...sums.values()].slice(1, -1);
        expect(whole.every((sum) => sum === 98)).toBe(true);
        expect(whole.length).toBeGreaterThanOrEqual(4);
      }
    }
  });

  it("a closed budget opens at midnight on the wall, after 23 or 25 hours", () => {
    const berlin = zones[0];
    for (const [midnight, hours] of [
      ["2026-03-28T23:00Z", 23],
      ["2026-10-24T22:00Z", 25],
      ["2026-10-25T23:00Z", 24],
    ] as const) {
      opened({ amount: 10, period: "day", zone: berlin });
      const now = Date.parse(midnight);
      settle(now, { at: now, reserved: reserve(now, 10) }, 10);
      expect(availableAt(now, 1)).toBe(now + hours * HOUR);
      expect(reserve(now + hours * HOUR - 1, 1)).toBe(-1);
      expect(aside(() => reserve(now + hours * HOUR, 10))).toBe(10);
    }
  });

  it("a reservation of the day before is settled there, or nowhere", () => {
    const shape = opened({ amount: 100, period: "day", zone: zones[0] });
    const late = Date.parse("2026-10-25T22:55Z");
    const next = Date.parse("2026-10-25T23:05Z");
    reserve(late, 60);
    expect(sameWindow(shape, late, next)).toBe(false);
    expect(reserve(next, 70)).toBe(70);
    settle(next + 1, { at: late, reserved: 60 }, 50);
    expect(used(next + 1)).toBe(70);
    settle(next + 2, { at: next, reserved: 70 }, 30);
    expect(used(next + 2)).toBe(30);
  });
});

it("any bytes as a meter, at any time: never traps, and heals with the window after the next", () => {
  const word = fc.oneof(
    fc.bigInt(-(1n << 63n), (1n << 63n) - 1n),
    fc.constantFrom(0n, -1n, 1n << 50n, (1n << 63n) - 1n),
    fc.integer({ min: -100, max: 100 }).map((hours) => BigInt(Date.UTC(2026, 9, 25) + hours * HOUR)),
  );
  const call = fc.record({ what: fc.nat(4), a: word, b: word, c: word, d: word });
  fc.assert(
    fc.property(
      shape,
      fc.array(word, { minLength: 8, maxLength: 8 }),
      fc.array(call, { maxLength: 10 }),
      (shape, words, calls) => {
        opened({ ...shape, granted: false });
        const view = new DataView(wasm.memory.buffer, wasm.meterAt(), 32);
        for (let at = 0; at < 32; at += 8) view.setBigInt64(at, words[at >> 3] ?? 0n, true);
        for (const { what, a, b, c, d } of calls) {
          if (what === 0) expect(wasm.reserve(a, b)).toBeGreaterThanOrEqual(-1n);
          else if (what === 1) wasm.settle(a, b, c, d);
          else if (what === 2) expect(wasm.used(a)).toBeGreaterThanOrEqual(0n);
          else if (what === 3) expect(wasm.resetAt(a)).toBeGreaterThan(0n);
          else expect(wasm.availableAt(a, b)).toBeGreaterThan(0n);
        }
        wasm.setAmount(10n);
        const healed = wasm.availableAt(BigInt(Date.UTC(2026, 9, 25)), 10n);
        expect(wasm.reserve(healed, 10n)).toBe(10n);
      },
    ),
    { numRuns: 1500 },
  );
});
