import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memoryGrowth } from "../../test/host/flat-memory.ts";
import { Status } from "../../test/host/index.ts";
import { nextWindow, periodMs, sameWindow, type WindowShape } from "../../test/lib/token-window-reference.ts";
import { type BudgetWorker, begin, get, limit, never, set, startBudgets } from "../../test/state/budget-driver.ts";
import { hashOf } from "../../test/state/eviction.ts";

/** Streams that run over what they reserved: each part counts where it is admitted, in all limits or in none. Against the reference: budget-property.test.ts. */

const key = hashOf(1);
const minute = 60_000;

async function one(limits: readonly WindowShape[], maxKeys = 1024) {
  const { host, workers } = await startBudgets(limits, { maxKeys, workers: 2 });
  const [worker, other] = workers as [BudgetWorker, BudgetWorker];
  /** What is left of the limits at that time. */
  const left = (now: number, hash = key) => {
    expect(other.reserve(0, hash, [0, 0, 0, 0], now, 255)).toBe("admitted");
    return other.claim(255).remaining.slice(0, limits.length);
  };
  return { host, worker, other, left };
}

describe("an extension", () => {
  it("takes what was reserved for used, and reserves a part where it is admitted", async () => {
    const { worker, left } = await one([limit(100, "minute")]);
    worker.reserve(0, key, [60], begin);
    expect(worker.extend(0, [30], begin + 1000)).toBe("admitted");
    expect(worker.claim()).toMatchObject({ open: true, reserved: [30, 0, 0, 0], closed: [60, 0, 0, 0] });
    expect(worker.claim().remaining[0]).toBe(10);
    expect(worker.extend(0, [40], begin + minute)).toBe("admitted");
    expect(worker.claim()).toMatchObject({ reserved: [40, 0, 0, 0], closed: [90, 0, 0, 0] });
    expect(left(begin + minute)).toEqual([60]);
    worker.settle(0, [95], begin + minute);
    expect(left(begin + minute)).toEqual([95]);
  });

  it("admits to the last unit, and says of one more when it fits", async () => {
    const { worker, left } = await one([limit(100, "minute")]);
    worker.reserve(0, key, [60], begin);
    const before = worker.claim();
    expect(worker.extend(0, [41], begin)).toBe("refused");
    expect(worker.claim()).toEqual({ ...before, refusedBy: 0, availableAt: Date.UTC(2026, 10, 21, 15, 5) });
    expect(left(begin)).toEqual([40]);
    expect(worker.extend(0, [40], begin)).toBe("admitted");
    expect(worker.claim()).toMatchObject({ refusedBy: -1, availableAt: 0 });
    expect(worker.extend(0, [1], begin)).toBe("refused");
    worker.settle(0, [100], begin);
    expect(worker.extend(0, [1], begin + minute)).toBe("refused");
  });

  it("larger than the whole amount never passes, also not of an untouched window, nor of a larger one", async () => {
    const { worker } = await one([limit(100, "minute"), limit(1000, "hour")]);
    expect(worker.reserve(0, key, [500, 1], begin)).toBe("admitted");
    expect(worker.extend(0, [101, 1], begin + minute)).toBe("refused");
    expect(worker.claim()).toMatchObject({ refusedBy: 0, availableAt: never });
    expect(worker.extend(0, [100, 1], begin + minute)).toBe("admitted");
    // The amount is the one of the request.
    worker.reserve(0, key, [1, 1], begin + 2 * minute, 1, [70, 0]);
    expect(worker.claim(1).remaining.slice(0, 2)).toEqual([69, 997]);
    expect(worker.extend(1, [71, 0], begin + 3 * minute)).toBe("refused");
    expect(worker.claim(1).availableAt).toBe(never);
    expect(worker.extend(1, [70, 0], begin + 3 * minute)).toBe("admitted");
  });

  it("is of all limits or of none, and leaves limits without a part alone", async () => {
    const { worker, left } = await one([limit(100, "minute"), limit(5, "minute"), limit(150, "day")]);
    worker.reserve(0, key, [60, 1, 60], begin);
    for (let part = 1; part <= 3; part++) {
      const now = begin + part * minute;
      expect(worker.extend(0, [30, 0, 30], now)).toBe("admitted");
      expect(left(now)).toEqual([70, 5, 90 - part * 30]);
    }
    const now = begin + 4 * minute;
    expect(worker.extend(0, [30, 0, 30], now)).toBe("refused");
    expect(worker.claim().refusedBy).toBe(2);
    expect(left(now)).toEqual([100, 5, 0]);
    expect(worker.claim()).toMatchObject({ reserved: [30, 1, 30, 0], closed: [120, 0, 120, 0] });
    expect(worker.extend(0, [30, -5, 0], now)).toBe("admitted");
    expect(left(now)).toEqual([70, 5, 0]);
    worker.settle(0, [171, 1, 145], now);
    expect(left(now)).toEqual([79, 5, 5]);
  });

  it("keeps the reservation of a limit without a part open", async () => {
    const { worker, left } = await one([limit(100, "minute"), limit(100, "hour"), limit(100, "day")]);
    worker.reserve(0, key, [10, 40, 40], begin);
    worker.extend(0, [10, 0, 0], begin);
    expect(left(begin)).toEqual([80, 60, 60]);
    worker.settle(0, [20, 15, 25], begin);
    expect(left(begin)).toEqual([80, 85, 75]);
  });

  it("makes exactly the hostcalls it promises", async () => {
    const { worker } = await one([limit(100, "minute"), limit(100, "hour")]);
    worker.reserve(0, key, [50, 50], begin);
    worker.hostcalls();
    expect(worker.extend(0, [30, 0], begin)).toBe("admitted");
    expect(worker.hostcalls()).toEqual([get, set]);
    expect(worker.extend(0, [30, 0], begin)).toBe("refused");
    expect(worker.hostcalls()).toEqual([get]);
    expect(worker.extend(0, [0, -1], begin)).toBe("admitted");
    expect(worker.extend(1, [1, 1], begin)).toBe("refused");
    expect(worker.hostcalls()).toEqual([]);
    worker.settle(0, [80, 50], begin);
    expect(worker.hostcalls()).toEqual([]);
    worker.reserve(0, key, [0, 0], begin + minute);
    worker.extend(0, [7, 0], begin + minute);
    worker.hostcalls();
    worker.settle(0, [6, 0], begin + minute);
    expect(worker.hostcalls()).toEqual([get, set]);
    expect(worker.scratchLeft()).toBe(0);
  });

  it("keeps its memory flat", async () => {
    const { host, worker } = await one([limit(1000, "minute"), limit(3000, "day")], 64);
    const growth = memoryGrowth(host.workerVm(), 10_000, (round) => {
      const now = begin + round * 100;
      worker.reserve(0, hashOf(round % 500), [100, 100], now);
      worker.extend(0, [900, 1], now);
      worker.extend(0, [10, 900], now);
      worker.settle(0, [round % 1000, round % 100], now);
      worker.hostcalls();
    });
    expect(growth).toBe(0);
  });
});

describe("a stream that used less than its parts", () => {
  it("gets back what it has in the window of the last part, and takes nothing off what others used there", async () => {
    const { worker, left } = await one([limit(100, "minute")]);
    worker.reserve(0, key, [50], begin);
    worker.extend(0, [20], begin + minute);
    worker.extend(0, [30], begin + minute + 1);
    worker.reserve(0, key, [40], begin + minute, 1);
    worker.settle(1, [40], begin + minute);
    // 20 of the 30 that are too much lie in this window.
    worker.settle(0, [20], begin + minute + 2);
    expect(left(begin + minute + 2)).toEqual([60]);
  });

  it("gets back all when one window has all", async () => {
    for (const period of ["minute", "day"] as const) {
      const { worker, left } = await one([limit(100, period)]);
      worker.reserve(0, key, [50], begin);
      worker.extend(0, [20], begin + 1);
      worker.extend(0, [30], begin + 2);
      worker.settle(0, [7], begin + 3);
      expect(left(begin + 3)).toEqual([93]);
      worker.reserve(0, key, [50], begin + 4);
      worker.extend(0, [20], begin + 4);
      worker.release(0, begin + 4);
      expect(left(begin + 4)).toEqual([93]);
    }
  });

  it("no window of any stream ever has more than the amount and what was used over parts", () => {
    const shapes = [limit(200, "minute"), limit(200, "minute", true), limit(200, "day")];
    const event = fc.record({
      step: fc.oneof(fc.nat(2000), fc.nat(40_000)),
      what: fc.oneof(fc.constant("begin" as const), fc.constant("extend" as const), fc.constant("end" as const)),
      pick: fc.nat(100),
      units: fc.oneof(fc.nat(40), fc.nat(150)),
      use: fc.double({ min: 0, max: 1.2, noNaN: true }),
    });
    return one([limit(1, "day", true)]).then(({ worker }) => {
      const numbers = shapes.map((shape) => worker.budget([shape]));
      let salt = 100;
      let most = 0;
      fc.assert(
        fc.property(fc.nat(2), fc.array(event, { minLength: 5, maxLength: 80 }), (which, events) => {
          const shape = shapes[which] as WindowShape;
          const hash = hashOf(salt++);
          const bucket = Math.ceil(periodMs(shape.period) / 16);
          const together = (a: number, b: number) =>
            shape.rolling ? Math.floor(a / bucket) === Math.floor(b / bucket) : sameWindow(shape, a, b);
          const streams: { claim: number; parts: { at: number; units: number }[]; ended: boolean }[] = [];
          let now = begin;
          for (const { step, what, pick, units, use } of events) {
            now += step;
            const running = streams.filter(({ ended }) => !ended);
            const stream = running[pick % Math.max(1, running.length)];
            if (what === "begin") {
              const claim = streams.length;
              if (worker.reserve(numbers[which] as number, hash, [units], now, claim) === "admitted")
                streams.push({ claim, parts: [{ at: now, units }], ended: false });
            } else if (stream && what === "extend") {
              if (units > 0 && worker.extend(stream.claim, [units], now) === "admitted")
                stream.parts.push({ at: now, units });
            } else if (stream) {
              stream.ended = true;
              const reserved = stream.parts.reduce((sum, part) => sum + part.units, 0);
              const total = Math.round(reserved * use);
              worker.settle(stream.claim, [total], now);
              // What is too much is taken off the last part and off those that lie with it.
              let tooMuch = Math.max(0, reserved - total);
              const last = (stream.parts.at(-1) as (typeof stream.parts)[number]).at;
              for (const part of stream.parts.toReversed()) {
                if (!together(part.at, last)) break;
                const off = Math.min(part.units, tooMuch);
                part.units -= off;
                tooMuch -= off;
              }
            }
            worker.hostcalls();
          }
          const parts = streams.flatMap((stream) => stream.parts);
          for (const { at } of parts) {
            const inWindow = parts.filter((part) =>
              shape.rolling ? part.at >= at && part.at < at + periodMs(shape.period) : sameWindow(shape, part.at, at),
            );
            const sum = inWindow.reduce((all, { units }) => all + units, 0);
            expect(sum).toBeLessThanOrEqual(shape.amount);
            most = Math.max(most, sum);
          }
          for (const { claim } of streams) worker.release(claim, now);
          worker.hostcalls();
        }),
        { numRuns: 300 },
      );
      expect(most).toBeGreaterThan(190);
    });
  });
});

describe("an extension that finds its entry changed", () => {
  it("dropped: makes it again, with what was reserved before", async () => {
    const { worker, left } = await one([limit(100, "minute"), limit(100, "minute")], 16);
    worker.reserve(0, key, [30, 30], begin);
    worker.extend(0, [20, 0], begin);
    for (let n = 100; n < 116; n++) worker.reserve(0, hashOf(n), [1, 1], begin, 50);
    expect(worker.extend(0, [60, 0], begin)).toBe("refused");
    expect(worker.extend(0, [50, 0], begin)).toBe("admitted");
    expect(left(begin)).toEqual([0, 100]);
    // The other limit's reservation is gone with the entry; it pays in the end.
    worker.settle(0, [90, 25], begin);
    expect(left(begin)).toEqual([10, 75]);
  });

  it("dropped, and the limit without a part had closed parts: it pays for all in the end", async () => {
    const { worker, left } = await one([limit(100, "minute"), limit(100, "minute")], 16);
    worker.reserve(0, key, [5, 30], begin);
    worker.extend(0, [0, 10], begin);
    for (let n = 100; n < 116; n++) worker.reserve(0, hashOf(n), [1, 1], begin, 50);
    worker.extend(0, [5, 0], begin);
    expect(left(begin)).toEqual([90, 100]);
    worker.settle(0, [10, 35], begin);
    expect(left(begin)).toEqual([90, 65]);
  });

  it("dropped and nobody extends: the settle pays what lies in the last window", async () => {
    const { worker, left } = await one([limit(100, "minute")], 16);
    worker.reserve(0, key, [30], begin);
    worker.extend(0, [20], begin + minute);
    worker.extend(0, [10], begin + minute);
    const now = begin + minute + 1;
    for (let n = 100; n < 116; n++) worker.reserve(0, hashOf(n), [1], now, 50);
    left(now);
    worker.reserve(0, key, [1], now, 51);
    worker.settle(0, [55], now);
    expect(left(now)).toEqual([100 - 1 - 25]);
  });

  it("never written: the first extension that is written holds", async () => {
    const { host, worker, left } = await one([limit(100, "minute")]);
    const repair = host.faults.inject({ call: set, status: Status.InternalFailure, times: Number.POSITIVE_INFINITY });
    expect(worker.reserve(0, key, [60], begin)).toBe("unwritten");
    expect(worker.extend(0, [10], begin)).toBe("unwritten");
    expect(worker.counters().unavailable).toBe(2);
    expect(worker.claim()).toMatchObject({ open: true, reserved: [0, 0, 0, 0], closed: [0, 0, 0, 0] });
    repair();
    expect(worker.extend(0, [30], begin)).toBe("admitted");
    expect(left(begin)).toEqual([70]);
    worker.settle(0, [75], begin);
    expect(left(begin)).toEqual([25]);
  });

  it("eight races lost: counted, and the claim is as it was", async () => {
    const { host, worker, other, left } = await one([limit(1000, "hour")]);
    worker.reserve(0, key, [60], begin);
    worker.extend(0, [10], begin);
    const before = worker.claim();
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation === "set" && thread === 1) other.reserve(0, key, [1], begin, 1);
    };
    worker.hostcalls();
    expect(worker.extend(0, [10], begin)).toBe("unwritten");
    host.sharedData.interleave = undefined;
    expect(worker.hostcalls()).toEqual(Array.from({ length: 8 }, () => [get, set]).flat());
    expect(worker.counters()).toMatchObject({ contention: 1, unavailable: 0 });
    expect(worker.claim()).toEqual(before);
    expect(worker.scratchLeft()).toBe(0);
    worker.settle(0, [100], begin);
    expect(left(begin)).toEqual([1000 - 8 - 100]);
  });

  it("a settle that has to wait keeps its parts", async () => {
    const { host, worker, left } = await one([limit(100, "minute")]);
    worker.reserve(0, key, [30], begin);
    worker.extend(0, [20], begin);
    worker.extend(0, [10], begin);
    host.faults.inject({ call: set, status: Status.InternalFailure });
    worker.settle(0, [15], begin);
    expect(worker.counters().pendingSettles).toBe(1);
    worker.reserve(0, key, [1], begin, 0);
    worker.retry(begin);
    expect(left(begin)).toEqual([100 - 15 - 1]);
  });

  it("totals and parts of any size end in numbers that count", async () => {
    const { worker, left } = await one([limit(2 ** 55, "second")]);
    worker.reserve(0, key, [2 ** 55], begin);
    for (let part = 1; part < 300; part++) {
      expect(worker.extend(0, [2 ** 55], begin + part * 1000)).toBe("admitted");
    }
    worker.settle(0, [2 ** 62], begin + 299_000);
    expect(worker.reserve(0, key, [1], begin + 299_000, 1)).toBe("refused");
    expect(left(nextWindow(limit(1, "second"), begin + 299_000))).toEqual([2 ** 55]);
  });
});
