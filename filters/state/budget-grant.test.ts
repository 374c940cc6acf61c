import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memoryGrowth } from "../../test/host/flat-memory.ts";
import { Status } from "../../test/host/index.ts";
import { nextWindow, type Period, sameWindow, type WindowShape } from "../../test/lib/token-window-reference.ts";
import { type BudgetWorker, begin, get, set, startBudgets } from "../../test/state/budget-driver.ts";
import { hashOf } from "../../test/state/eviction.ts";

/** Budgets of which a distant service grants what may be used: who asks it, what becomes of its answers. Against the reference: budget-property.test.ts. */

const limit = (amount: number, period: Period, lease: number): WindowShape => ({
  amount,
  period,
  rolling: false,
  offsetSeconds: 0,
  granted: true,
  lease,
});
const plain = (amount: number, period: Period): WindowShape => ({ ...limit(amount, period, 0), granted: false });
const key = hashOf(1);

async function two(limits: readonly WindowShape[], maxKeys = 1024) {
  const { host, workers } = await startBudgets(limits, { maxKeys, workers: 2 });
  const [worker, other] = workers as [BudgetWorker, BudgetWorker];
  return { host, worker, other };
}

describe("a request of a granted budget", () => {
  it("is refused until there is a grant, says what is missing, and asks for the lease", async () => {
    const { worker } = await two([limit(1000, "minute", 50), limit(90, "day", 0)]);
    expect(worker.reserve(0, key, [30, 1], begin)).toBe("refused");
    expect(worker.claim()).toMatchObject({
      open: false,
      refusedBy: 1,
      availableAt: Date.UTC(2026, 10, 22),
      ask: [50, 0, 0, 0],
      shortfall: [30, 1, 0, 0],
      remaining: [0, 0, 0, 0],
      reserved: [0, 0, 0, 0],
    });
    expect(worker.grant(0, [80, 10], begin + 100)).toBe(true);
    expect(worker.reserve(0, key, [30, 1], begin + 100)).toBe("admitted");
    const resetAt = [nextWindow(limit(1, "minute", 0), begin), Date.UTC(2026, 10, 22), 0, 0];
    expect(worker.claim()).toMatchObject({
      remaining: [50, 9, 0, 0],
      resetAt,
      ask: [0, 0, 0, 0],
      shortfall: [0, 0, 0, 0],
    });
  });

  it("asks when it is admitted, too, and reserves then as ever", async () => {
    const { worker, other } = await two([limit(1000, "minute", 50), plain(40, "minute")]);
    worker.reserve(0, key, [1, 1], begin);
    worker.grant(0, [60, 60], begin);
    expect(worker.reserve(0, key, [40, 40], begin)).toBe("admitted");
    expect(worker.claim()).toMatchObject({ ask: [30, 0, 0, 0], remaining: [20, 0, 0, 0], reserved: [40, 40, 0, 0] });
    expect(other.reserve(0, key, [15, 0], begin)).toBe("admitted");
    expect(other.claim().ask).toEqual([0, 0, 0, 0]);
    expect(other.reserve(0, key, [1, 1], begin + 2000, 1)).toBe("refused");
    // The one limit has room, so nothing is missing there; what it would have reserved is not there either.
    expect(other.claim(1)).toMatchObject({ refusedBy: 1, shortfall: [0, 0, 0, 0], ask: [45, 0, 0, 0] });
    expect(other.claim(1).remaining.slice(0, 2)).toEqual([5, 0]);
    other.release(0, begin + 2000);
    other.reserve(0, key, [0, 0], begin + 2000, 1);
    expect(other.claim(1).remaining.slice(0, 2)).toEqual([20, 0]);
  });

  it("makes exactly the hostcalls it promises", async () => {
    const { worker } = await two([limit(1000, "minute", 50)]);
    expect(worker.reserve(0, key, [30], begin)).toBe("refused");
    expect(worker.hostcalls()).toEqual([get, set]);
    expect(worker.reserve(0, key, [30], begin, 1)).toBe("refused");
    expect(worker.hostcalls()).toEqual([get]);
    worker.grant(0, [100], begin);
    expect(worker.hostcalls()).toEqual([get, set]);
    // The answer was given; nothing else is to be done.
    worker.grant(0, [0], begin);
    worker.grant(1, [0], begin);
    expect(worker.hostcalls()).toEqual([]);
    // Too late.
    worker.grant(0, [10], begin + 60_000);
    expect(worker.hostcalls()).toEqual([get]);
    expect(worker.reserve(0, key, [90], begin)).toBe("admitted");
    expect(worker.hostcalls()).toEqual([get, set]);
    expect(worker.extend(0, [11], begin)).toBe("refused");
    expect(worker.hostcalls()).toEqual([get]);
    expect(worker.extend(0, [11], begin + 2000)).toBe("refused");
    expect(worker.hostcalls()).toEqual([get, set]);
    worker.settle(0, [90], begin);
    expect(worker.hostcalls()).toEqual([]);
    expect(worker.scratchLeft()).toBe(0);
  });

  it("that runs on asks as well, and a grant lets it", async () => {
    const { worker, other } = await two([limit(1000, "minute", 50), plain(9, "day")]);
    worker.reserve(0, key, [50, 1], begin);
    worker.grant(0, [50, 0], begin);
    worker.reserve(0, key, [50, 1], begin);
    worker.grant(0, [0, 0], begin);
    const before = worker.claim();
    expect(worker.extend(0, [20, 0], begin + 1)).toBe("refused");
    expect(worker.claim()).toEqual({
      ...before,
      refusedBy: 0,
      availableAt: nextWindow(limit(1, "minute", 0), begin),
      ask: [50, 0, 0, 0],
      shortfall: [20, 0, 0, 0],
    });
    expect(worker.extend(0, [20, 0], begin + 2)).toBe("refused");
    expect(worker.claim().ask).toEqual([0, 0, 0, 0]);
    worker.grant(0, [25, 0], begin + 3);
    expect(worker.extend(0, [20, 0], begin + 3)).toBe("admitted");
    expect(worker.claim()).toMatchObject({ reserved: [20, 1, 0, 0], closed: [50, 0, 0, 0], remaining: [5, 8, 0, 0] });
    expect(worker.extend(0, [1001, 0], begin + 4)).toBe("refused");
    expect(worker.claim().shortfall).toEqual([0, 0, 0, 0]);
    worker.settle(0, [60, 1], begin + 5);
    other.reserve(0, key, [0, 0], begin + 5);
    expect(other.claim().remaining.slice(0, 2)).toEqual([15, 8]);
  });

  it("pays debts with what is granted next", async () => {
    const { worker } = await two([limit(1000, "minute", 50)]);
    worker.reserve(0, key, [50], begin);
    worker.grant(0, [60], begin);
    worker.reserve(0, key, [50], begin);
    worker.settle(0, [200], begin);
    expect(worker.reserve(0, key, [10], begin, 1)).toBe("refused");
    expect(worker.claim(1)).toMatchObject({ shortfall: [150, 0, 0, 0], remaining: [0, 0, 0, 0] });
    worker.grant(1, [150], begin);
    expect(worker.reserve(0, key, [11], begin, 1)).toBe("refused");
    expect(worker.reserve(0, key, [10], begin, 1)).toBe("admitted");
  });
});

describe("the answer of the service", () => {
  it("ends the asking; refused, nobody asks until it may", async () => {
    const { worker, other } = await two([limit(1000, "minute", 50)]);
    worker.reserve(0, key, [1], begin);
    expect(worker.grant(0, [0], begin + 10, true, begin + 5000)).toBe(true);
    expect(worker.claim().ask).toEqual([0, 0, 0, 0]);
    for (const [at, ask] of [
      [4999, 0],
      [5000, 50],
    ] as const) {
      expect(other.reserve(0, key, [1], begin + at)).toBe("refused");
      expect(other.claim().ask[0]).toBe(ask);
    }
  });

  it("that is none to the asking leaves it", async () => {
    const { worker, other } = await two([limit(1000, "minute", 50)]);
    worker.reserve(0, key, [1], begin);
    worker.grant(0, [5], begin, false);
    other.reserve(0, key, [1], begin);
    expect(other.claim()).toMatchObject({ ask: [0, 0, 0, 0], remaining: [4, 0, 0, 0] });
    expect(worker.claim().ask).toEqual([50, 0, 0, 0]);
    worker.grant(0, [5], begin);
    other.reserve(0, key, [1], begin, 1);
    expect(other.claim(1).ask).toEqual([42, 0, 0, 0]);
  });

  it("may come when the claim is in use again, or settled", async () => {
    const { worker } = await two([limit(1000, "minute", 50)]);
    worker.reserve(0, key, [1], begin);
    worker.copy(9, 0);
    worker.reserve(0, hashOf(2), [1], begin);
    worker.grant(9, [70], begin + 10);
    expect(worker.reserve(0, key, [20], begin + 10)).toBe("admitted");
    expect(worker.claim()).toMatchObject({ remaining: [50, 0, 0, 0], ask: [0, 0, 0, 0] });
    // A copy is not open: it settles nothing.
    worker.copy(9, 0);
    worker.release(9, begin + 10);
    worker.release(0, begin + 10);
    worker.grant(0, [5], begin + 10);
    worker.reserve(0, key, [0], begin + 10);
    expect(worker.claim().remaining[0]).toBe(75);
  });

  it("to a budget that was dropped meanwhile makes it again, units or none", async () => {
    const { worker } = await two([limit(1000, "minute", 50)], 16);
    const others = (from: number) => {
      for (let n = from; n < from + 16; n++) worker.reserve(0, hashOf(n), [1], begin, 50);
    };
    worker.reserve(0, key, [1], begin);
    others(100);
    expect(worker.counters().evictedLive).toBe(1);
    expect(worker.grant(0, [70], begin)).toBe(true);
    expect(worker.counters().evictedLive).toBe(2);
    expect(worker.reserve(0, key, [70], begin, 1)).toBe("admitted");
    expect(worker.claim(1).ask).toEqual([50, 0, 0, 0]);
    // Its units went with it, and so did its use; the settle is a debt.
    others(200);
    worker.reserve(0, key, [1], begin, 2);
    worker.settle(1, [30], begin);
    worker.reserve(0, key, [5], begin, 3);
    expect(worker.claim(3).shortfall).toEqual([35, 0, 0, 0]);
    others(300);
    worker.hostcalls();
    expect(worker.grant(2, [0], begin, true, begin + 9000)).toBe(true);
    expect(worker.hostcalls()).toEqual([get]);
  });

  it("that cannot be written is lost and counted", async () => {
    const { host, worker, other } = await two([limit(1000, "minute", 50)]);
    worker.reserve(0, key, [1], begin);
    for (const call of [get, set]) {
      host.faults.inject({ call, status: Status.InternalFailure });
      expect(worker.grant(0, [10], begin)).toBe(false);
    }
    expect(worker.counters().grantsLost).toBe(2);
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation === "set" && thread === 1) other.grant(0, [1], begin);
    };
    other.reserve(0, key, [1], begin);
    worker.hostcalls();
    expect(worker.grant(0, [10], begin)).toBe(false);
    host.sharedData.interleave = undefined;
    expect(worker.hostcalls()).toEqual(Array.from({ length: 8 }, () => [get, set]).flat());
    expect(worker.counters()).toMatchObject({ grantsLost: 3, contention: 0, unavailable: 0 });
    expect(worker.scratchLeft()).toBe(0);
    worker.reserve(0, key, [0], begin);
    expect(worker.claim().remaining[0]).toBe(8);
  });

  it.each([
    ["with units is kept", 10, 3000, 1],
    ["that asks is kept", 0, 1000, 1],
    ["that has asked is dropped first", 0, 3000, 0],
  ] as const)("a budget %s", async (_name, granted, after, evicted) => {
    const { worker } = await two([limit(1000, "hour", 50)], 16);
    worker.reserve(0, key, [1], begin);
    worker.grant(0, [granted], begin, false);
    for (let n = 100; n < 115; n++) {
      worker.reserve(0, hashOf(n), [1], begin + after, 1);
      worker.grant(1, [10], begin + after);
    }
    worker.reserve(0, hashOf(200), [1], begin + after);
    expect(worker.counters().evictedLive).toBe(evicted);
  });
});

describe("two workers", () => {
  it("one of them asks, whoever writes first", async () => {
    const { host, worker, other } = await two([limit(1000, "minute", 50)]);
    const asks: number[] = [];
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation !== "set" || thread !== 1 || asks.length > 0) return;
      other.reserve(0, key, [1], begin);
      asks.push(other.claim().ask[0] as number);
    };
    expect(worker.reserve(0, key, [1], begin)).toBe("refused");
    expect([...asks, worker.claim().ask[0]]).toEqual([50, 0]);
  });

  it("what is granted while a request is being refused lets it pass", async () => {
    const { host, worker, other } = await two([limit(1000, "minute", 50)]);
    other.reserve(0, key, [1], begin - 2000);
    let grants = 0;
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation === "set" && thread === 1 && grants++ === 0) other.grant(0, [80], begin);
    };
    expect(worker.reserve(0, key, [20], begin)).toBe("admitted");
    expect(worker.claim()).toMatchObject({ open: true, ask: [0, 0, 0, 0], reserved: [20, 0, 0, 0] });
  });

  it("that lose all races refuse without asking", async () => {
    const { host, worker, other } = await two([limit(1000, "minute", 50)]);
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation !== "set" || thread !== 1) return;
      // Changes the set, and takes the asking away again.
      other.reserve(0, key, [1], begin);
      other.grant(0, [1], begin);
    };
    expect(worker.reserve(0, key, [100], begin)).toBe("refused");
    expect(worker.hostcalls()).toEqual(Array.from({ length: 8 }, () => [get, set]).flat());
    expect(worker.claim()).toMatchObject({ open: false, ask: [0, 0, 0, 0] });
    host.sharedData.interleave = undefined;
    host.faults.inject({ call: set, status: Status.InternalFailure });
    expect(worker.reserve(0, key, [100], begin)).toBe("refused");
    expect(worker.claim().ask).toEqual([0, 0, 0, 0]);
    expect(worker.counters()).toMatchObject({ contention: 0, unavailable: 0 });
    host.faults.inject({ call: get, status: Status.InternalFailure });
    expect(worker.reserve(0, key, [100], begin)).toBe("unwritten");
    expect(worker.claim()).toMatchObject({ open: true, ask: [0, 0, 0, 0] });
    expect(worker.reserve(0, key, [100], begin, 1)).toBe("refused");
    expect(worker.claim(1).ask[0]).toBeGreaterThan(0);
    // An extension that is not written does not ask again either.
    worker.grant(1, [100], begin);
    expect(worker.reserve(0, key, [100], begin, 1)).toBe("admitted");
    expect(worker.claim(1).ask[0]).toBeGreaterThan(0);
    host.faults.inject({ call: get, status: Status.InternalFailure });
    expect(worker.extend(1, [1], begin)).toBe("unwritten");
    expect(worker.claim(1).ask).toEqual([0, 0, 0, 0]);
  });

  it("and a service of so many units: no window uses more than it granted, and only one asks at a time", async () => {
    const amount = 400;
    const shape = limit(amount, "minute", 60);
    const { host, worker, other } = await two([shape]);
    const workers = [worker, other];
    const event = fc.record({
      step: fc.oneof(fc.nat(300), fc.nat(4000)),
      worker: fc.nat(1),
      what: fc.constantFrom("request", "request", "end", "extend"),
      units: fc.nat(70),
      use: fc.double({ min: 0, max: 1.3, noNaN: true }),
      /** How long the service takes, and what share of what is asked for it grants. */
      takes: fc.oneof(fc.nat(200), fc.nat(3000)),
      share: fc.constantFrom(1, 1, 1, 0.5, 0),
      between: fc.nat(30),
    });
    type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;
    let [most, asks] = [0, 0];
    let salt = 500;
    fc.assert(
      fc.property(fc.array(event, { minLength: 10, maxLength: 80 }), (events) => {
        const hash = hashOf(salt++);
        const given: { at: number; units: number }[] = [];
        const charged: { at: number; units: number }[] = [];
        const calls: { who: number; copy: number; units: number; due: number; at: number; asks: boolean }[] = [];
        const open: { who: number; claim: number; parts: { at: number; units: number }[] }[] = [];
        let [now, next] = [begin, 0];
        const inWindow = (all: { at: number; units: number }[], at: number) =>
          all.filter((one) => sameWindow(shape, one.at, at)).reduce((sum, { units }) => sum + units, 0);
        const call = (who: number, claim: number, e: Event) => {
          const { ask, shortfall } = (workers[who] as BudgetWorker).claim(claim);
          const wanted = (ask[0] as number) + (shortfall[0] as number);
          if (wanted === 0) return;
          if ((ask[0] as number) > 0) {
            const asking = calls.filter((one) => one.asks && now - one.at < 2000 && sameWindow(shape, one.at, now));
            expect(asking).toEqual([]);
            asks++;
          }
          const units = Math.floor(Math.min(wanted, amount - inWindow(given, now)) * e.share);
          if (units > 0) given.push({ at: now, units });
          const copy = 200 + (next++ % 50);
          workers[who]?.copy(copy, claim);
          calls.push({ who, copy, units, due: now + e.takes, at: now, asks: (ask[0] as number) > 0 });
        };
        const request = (who: number, e: Event) => {
          const claim = next++ % 200;
          if (workers[who]?.reserve(0, hash, [e.units], now, claim) === "admitted") {
            const parts = [{ at: now, units: e.units }];
            charged.push(...parts);
            open.push({ who, claim, parts });
          }
          call(who, claim, e);
        };
        for (const e of events) {
          now += e.step;
          for (const answer of calls.filter(({ due }) => due <= now).toSorted((a, b) => a.due - b.due)) {
            calls.splice(calls.indexOf(answer), 1);
            expect(workers[answer.who]?.grant(answer.copy, [answer.units], now)).toBe(true);
          }
          let rounds = 0;
          host.sharedData.interleave = ({ operation, thread }) => {
            if (operation === "set" && thread === e.worker + 1 && rounds++ < 2 && e.between % 3 === 0)
              request(1 - e.worker, { ...e, units: e.between });
          };
          const running = open.findIndex(({ who }) => who === e.worker);
          const stream = open[running];
          if (e.what === "request") request(e.worker, e);
          else if (stream && e.what === "extend") {
            if (e.units > 0 && workers[e.worker]?.extend(stream.claim, [e.units], now) === "admitted") {
              const part = { at: now, units: e.units };
              stream.parts.push(part);
              charged.push(part);
            }
            if (e.units > 0) call(e.worker, stream.claim, e);
          } else if (stream) {
            open.splice(running, 1);
            const total = Math.round(stream.parts.reduce((sum, { units }) => sum + units, 0) * e.use);
            workers[e.worker]?.settle(stream.claim, [total], now);
            // Of what it did not use; parts of earlier windows stay charged.
            let tooMuch = stream.parts.reduce((sum, { units }) => sum + units, 0) - total;
            const last = (stream.parts.at(-1) as { at: number }).at;
            for (const part of stream.parts.toReversed()) {
              const off = sameWindow(shape, part.at, last) ? Math.max(0, Math.min(part.units, tooMuch)) : 0;
              part.units -= off;
              tooMuch -= off;
            }
          }
          host.sharedData.interleave = undefined;
          const [used, granted] = [inWindow(charged, now), inWindow(given, now)];
          expect(used).toBeLessThanOrEqual(granted);
          expect(granted).toBeLessThanOrEqual(amount);
          most = Math.max(most, used);
        }
        for (const one of workers) one.hostcalls();
      }),
      { numRuns: 300 },
    );
    expect(most).toBeGreaterThan(390);
    expect(asks).toBeGreaterThan(500);
    for (const one of workers)
      expect(one.counters()).toMatchObject({ contention: 0, grantsLost: 0, pendingSettles: 0 });
  });
});

describe("the layout", () => {
  it("budgets that become granted, or are no longer, begin anew: no meter is read as another", async () => {
    const { worker } = await two([plain(100, "minute"), plain(100, "minute")]);
    const granted = worker.budget([limit(100, "minute", 10), limit(100, "minute", 10)]);
    const first = worker.budget([limit(100, "minute", 10), plain(100, "minute")]);
    const second = worker.budget([plain(100, "minute"), limit(100, "minute", 10)]);
    worker.open(64, worker.budgetSize(granted));
    worker.reserve(0, key, [60, 60], begin);
    // The second meter of the plain budget lies where the first grant of the granted one is.
    expect(worker.reserve(granted, key, [1, 1], begin, 1)).toBe("refused");
    expect(worker.claim(1)).toMatchObject({ shortfall: [1, 1, 0, 0], ask: [10, 10, 0, 0] });
    expect(worker.reserve(first, key, [1, 1], begin, 1)).toBe("refused");
    expect(worker.claim(1)).toMatchObject({ shortfall: [1, 0, 0, 0] });
    expect(worker.reserve(second, key, [1, 1], begin, 1)).toBe("refused");
    expect(worker.claim(1)).toMatchObject({ shortfall: [0, 1, 0, 0] });
    expect(worker.reserve(0, key, [41, 1], begin, 1)).toBe("refused");
    expect(worker.reserve(0, key, [40, 1], begin, 1)).toBe("admitted");
  });

  it("may hold any bytes", async () => {
    const { host, worker } = await two([limit(100, "minute", 10), limit(100, "day", 10)], 16);
    worker.reserve(0, key, [1, 1], begin);
    const [name = ""] = host.sharedData.keys();
    const kept = host.sharedData.get("", name)?.value as Uint8Array;
    const { buffer } = kept.slice();
    const identity = [new DataView(buffer).getBigUint64(0, true), new DataView(buffer).getBigUint64(8, true)];
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: kept.length, maxLength: kept.length }),
        fc.nat(15),
        fc.array(fc.tuple(fc.nat(4), fc.nat(300)), { maxLength: 6 }),
        (bytes, way, calls) => {
          const view = new DataView(bytes.buffer, way * (kept.length / 16));
          view.setBigUint64(0, identity[0] as bigint, true);
          view.setBigUint64(8, identity[1] as bigint, true);
          host.sharedData.set("", name, bytes, 0);
          for (const [what, units] of calls) {
            if (what === 0) expect(worker.reserve(0, key, [units, 1], begin)).not.toBe("unwritten");
            else if (what === 1) expect(worker.extend(0, [units, 1], begin + units)).not.toBe("unwritten");
            else if (what === 2) worker.settle(0, [units, 7], begin + units * 1000);
            else expect(worker.grant(0, [units, 1], begin + units, units % 2 === 0, begin + 5)).toBe(true);
          }
          for (const value of worker.claim().remaining) expect(value).toBeGreaterThanOrEqual(0);
          worker.hostcalls();
        },
      ),
      { numRuns: 1000 },
    );
    expect(worker.counters()).toMatchObject({ unavailable: 0, pendingSettles: 0 });
  });

  it("keeps its memory flat", async () => {
    const { host, worker } = await two([limit(1000, "minute", 50), limit(2000, "day", 100)], 64);
    const growth = memoryGrowth(host.workerVm(), 10_000, (round) => {
      const now = begin + round * 300;
      worker.reserve(0, hashOf(round % 300), [20, 20], now);
      worker.copy(1, 0);
      worker.grant(1, [round % 100, round % 70], now);
      worker.reserve(0, hashOf(round % 300), [20, 20], now);
      worker.extend(0, [round % 30, 5], now);
      worker.settle(0, [round % 60, 3], now);
      worker.hostcalls();
    });
    expect(growth).toBe(0);
  });
});
