import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memoryGrowth } from "../../test/host/flat-memory.ts";
import { Status } from "../../test/host/index.ts";
import {
  type Admission,
  type Period,
  periodMs,
  ReferenceWindow,
  type WindowShape,
} from "../../test/lib/token-window-reference.ts";
import { type BudgetWorker, startBudgets } from "../../test/state/budget-driver.ts";
import { evictionRate, hashOf } from "../../test/state/eviction.ts";

/** The store on the test host: against the reference, with workers between each other's get and set, full, contended, with a host that refuses. */

const begin = Date.UTC(2026, 10, 21, 15, 4, 5, 678);
const limit = (amount: number, period: Period, rolling = false): WindowShape => ({
  amount,
  period,
  rolling,
  offsetSeconds: 0,
});
const get = "proxy_get_shared_data";
const set = "proxy_set_shared_data";
const key = hashOf(1);

async function one(limits: readonly WindowShape[], maxKeys = 1024) {
  const { host, workers } = await startBudgets(limits, { maxKeys });
  return { host, worker: workers[0] as BudgetWorker };
}

async function four(limits: readonly WindowShape[], maxKeys = 1024) {
  const { host, workers } = await startBudgets(limits, { maxKeys, workers: 4 });
  return { host, workers: workers as [BudgetWorker, BudgetWorker, BudgetWorker, BudgetWorker] };
}

describe("one worker", () => {
  it("answers as the reference for every key and limit, all limits or none", async () => {
    const shapes = [limit(300, "minute"), limit(500, "minute", true), limit(900, "day"), limit(40, "hour")];
    const { worker } = await one(shapes);
    let salt = 100;
    const event = fc.record({
      step: fc.oneof(fc.nat(3000), fc.nat(3000), fc.nat(200_000)),
      key: fc.nat(2),
      want: fc.nat(120),
      ends: fc.option(fc.nat(1000), { freq: 2 }),
      use: fc.double({ min: 0, max: 1.5, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(event, { minLength: 1, maxLength: 60 }), (events) => {
        const keys = [0, 1, 2].map(() => ({
          hash: hashOf(salt++),
          limits: shapes.map((shape) => new ReferenceWindow(shape)),
        }));
        const open: { claim: number; admissions: Admission[] }[] = [];
        const free = Array.from({ length: 64 }, (_, claim) => claim);
        let now = begin;
        for (const e of events) {
          now += e.step;
          const { hash, limits } = keys[e.key] as (typeof keys)[number];
          for (const { limits } of keys) for (const reference of limits) reference.tick(now);
          if (e.ends !== null && open.length > 0) {
            const [ended] = open.splice(e.ends % open.length, 1) as [(typeof open)[number]];
            for (const admission of ended.admissions) admission.actual = Math.round(admission.reserved * e.use);
            worker.settle(
              ended.claim,
              ended.admissions.map(({ actual }) => actual ?? 0),
              now,
            );
            free.push(ended.claim);
            continue;
          }
          const wants = [e.want, e.want, e.want, 1];
          const claim = free.pop() as number;
          const verdict = worker.reserve(0, hash, wants, now, claim);
          const report = worker.claim(claim);
          const admits = limits.map((reference, index) => reference.admits(wants[index] as number));
          expect(verdict).toBe(admits.every(Boolean) ? "admitted" : "refused");
          expect(report.open).toBe(verdict === "admitted");
          if (verdict === "admitted") {
            const admissions = limits.map((reference, index) => reference.reserve(wants[index] as number) as Admission);
            expect(report.reserved).toEqual(admissions.map(({ reserved }) => reserved));
            expect(report.refusedBy).toBe(-1);
            open.push({ claim, admissions });
          } else {
            free.push(claim);
            expect(report.reserved).toEqual([0, 0, 0, 0]);
            // All limits admit then, the one that is named just before does not.
            const named = limits[report.refusedBy] as ReferenceWindow;
            const at = report.availableAt;
            expect(limits.every((reference, index) => reference.admits(wants[index] as number, at))).toBe(true);
            expect(named.admits(wants[report.refusedBy] as number, at - 1)).toBe(false);
          }
          expect(report.remaining).toEqual(limits.map((r) => Math.max(0, r.shape.amount - r.used())));
          for (const [index, reference] of limits.entries()) {
            expect(reference.used(report.resetAt[index] as number)).toBe(0);
          }
        }
        for (const { claim } of open) worker.release(claim, now);
      }),
      { numRuns: 150 },
    );
    expect(worker.counters()).toMatchObject({ contention: 0, unavailable: 0, settlesLost: 0, pendingSettles: 0 });
  });

  it("names the limit that frees last, whichever it is", async () => {
    const { worker } = await one([limit(100, "minute"), limit(100, "hour")]);
    const reversed = worker.budget([limit(100, "hour"), limit(100, "minute")]);
    for (const [budget, last] of [
      [0, 1],
      [reversed, 0],
    ] as const) {
      worker.reserve(budget, hashOf(budget), [100, 100], begin);
      expect(worker.reserve(budget, hashOf(budget), [5, 5], begin)).toBe("refused");
      expect(worker.claim()).toMatchObject({ refusedBy: last, availableAt: Date.UTC(2026, 10, 21, 16) });
    }
  });

  it("gives nothing back that went when the clock was ahead", async () => {
    for (const early of [true, false]) {
      const { worker } = await one([limit(1_000, "second")]);
      expect(worker.reserve(0, key, [800], begin, 1)).toBe("admitted");
      expect(worker.reserve(0, key, [1], begin + 5_000, 2)).toBe("admitted");
      // Back again, the meter begins anew: the first reservation is in it no more.
      if (early) worker.settle(1, [10], begin);
      expect(worker.reserve(0, key, [800], begin, 3)).toBe("admitted");
      if (!early) worker.settle(1, [10], begin);
      expect(worker.reserve(0, key, [800], begin, 4)).toBe("refused");
      worker.settle(3, [100], begin);
      expect(worker.reserve(0, key, [800], begin, 4)).toBe("admitted");
    }
  });

  it("settles in the window that the meter admitted in, not the one of a clock that went back", async () => {
    const { worker } = await one([limit(100, "minute")]);
    const next = begin + 60_000;
    worker.reserve(0, key, [10], next);
    worker.reserve(0, key, [80], begin, 1);
    worker.settle(1, [5], begin);
    worker.reserve(0, key, [0], next, 2);
    expect(worker.claim(2).remaining[0]).toBe(85);
  });

  it("makes exactly the hostcalls it promises", async () => {
    const { worker } = await one([limit(100, "minute"), limit(100, "hour")]);
    expect(worker.reserve(0, key, [60, 60], begin)).toBe("admitted");
    expect(worker.hostcalls()).toEqual([get, set]);
    expect(worker.reserve(0, key, [60, 60], begin, 1)).toBe("refused");
    expect(worker.hostcalls()).toEqual([get]);
    worker.settle(1, [9, 9], begin);
    expect(worker.hostcalls()).toEqual([]);
    worker.settle(0, [50, 60], begin);
    expect(worker.hostcalls()).toEqual([get, set]);
    worker.settle(0, [50, 60], begin);
    worker.release(0, begin);
    worker.retry(begin);
    expect(worker.hostcalls()).toEqual([]);
    worker.reserve(0, key, [40, 40], begin);
    worker.hostcalls();
    worker.settle(0, [40, 40], begin);
    expect(worker.hostcalls()).toEqual([]);
  });

  it("turns leases into use even when the amounts are the same", async () => {
    const { worker } = await one([limit(100, "day")]);
    worker.reserve(0, key, [100], begin);
    worker.hostcalls();
    worker.settle(0, [100], begin);
    expect(worker.hostcalls()).toEqual([get, set]);
    expect(worker.reserve(0, key, [1], begin + 60 * 60_000)).toBe("refused");
  });

  it("keeps its memory flat, also when refused, contended and full", async () => {
    const { host, worker } = await one([limit(1000, "minute"), limit(1000, "hour", true)], 64);
    const growth = memoryGrowth(host.workerVm(), 20_000, (round) => {
      const claim = round % 256;
      worker.reserve(0, hashOf(round % 500), [900, 7], begin + round, claim);
      if (round % 3 === 0) worker.settle(claim, [round % 1000, 1], begin + round);
      else worker.release(claim, begin + round);
      worker.hostcalls();
    });
    expect(growth).toBe(0);
  });
});

describe("workers between each other's get and set", () => {
  it("lose no reservation and never admit more than the amount", async () => {
    const shape = limit(1000, "hour");
    const event = fc.record({
      worker: fc.nat(3),
      want: fc.integer({ min: 1, max: 120 }),
      settles: fc.boolean(),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
      /** What the other workers do before the set, and again before each further set. */
      between: fc.array(
        fc.record({
          worker: fc.integer({ min: 1, max: 3 }),
          want: fc.integer({ min: 1, max: 120 }),
          settles: fc.boolean(),
        }),
        { maxLength: 3 },
      ),
    });
    const { host, workers } = await four([shape]);
    let salt = 5000;
    let races = 0;
    fc.assert(
      fc.property(fc.array(event, { minLength: 5, maxLength: 40 }), (events) => {
        const hash = hashOf(salt++);
        const open = workers.map(() => [] as { claim: number; want: number }[]);
        let [settled, claims] = [0, 0];
        const running = () => open.flat().reduce((sum, { want }) => sum + want, 0);
        const reserve = (worker: number, want: number) => {
          const claim = claims++ % 256;
          const verdict = workers[worker]?.reserve(0, hash, [want], begin, claim);
          expect(verdict).not.toBe("unwritten");
          if (verdict === "admitted") open[worker]?.push({ claim, want });
          expect(settled + running()).toBeLessThanOrEqual(shape.amount);
        };
        const settle = (worker: number, part: number) => {
          const ended = open[worker]?.shift();
          if (!ended) return;
          const actual = Math.floor(ended.want * part);
          settled += actual;
          workers[worker]?.settle(ended.claim, [actual], begin);
        };
        for (const e of events) {
          let rounds = 0;
          host.sharedData.interleave = ({ operation, thread }) => {
            if (operation !== "set" || thread !== e.worker + 1 || rounds++ >= 5) return;
            for (const other of e.between) {
              const worker = (e.worker + other.worker) % 4;
              if (other.settles) settle(worker, 0.5);
              else reserve(worker, other.want);
              races++;
            }
          };
          if (e.settles) settle(e.worker, e.part);
          else reserve(e.worker, e.want);
          host.sharedData.interleave = undefined;
        }
        workers[0].reserve(0, hash, [0], begin, 255);
        expect(workers[0].claim(255).remaining[0]).toBe(shape.amount - settled - running());
        for (const [worker, list] of open.entries())
          for (const { claim } of list) workers[worker]?.release(claim, begin);
        workers[0].reserve(0, hash, [0], begin, 255);
        expect(workers[0].claim(255).remaining[0]).toBe(shape.amount - settled);
        for (const worker of workers) worker.hostcalls();
      }),
      { numRuns: 150 },
    );
    expect(races).toBeGreaterThan(2000);
    for (const worker of workers) expect(worker.counters()).toMatchObject({ contention: 0, pendingSettles: 0 });
  });

  it("make a set once: whoever comes second adds to it", async () => {
    const { host, workers } = await four([limit(100, "hour")], 16);
    const order: string[] = [];
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation !== "set" || thread !== 1 || order.length > 0) return;
      for (const [worker, want] of [
        [1, 10],
        [2, 20],
        [3, 30],
      ] as const) {
        order.push(workers[worker].reserve(0, hashOf(worker % 2), [want], begin));
      }
    };
    expect(workers[0].reserve(0, hashOf(0), [40], begin)).toBe("admitted");
    expect(order).toEqual(["admitted", "admitted", "admitted"]);
    expect(host.sharedData.keys().length).toBe(1);
    workers[1].reserve(0, hashOf(0), [0], begin);
    expect(workers[1].claim().remaining[0]).toBe(40);
    workers[1].reserve(0, hashOf(1), [0], begin);
    expect(workers[1].claim().remaining[0]).toBe(60);
  });

  /** Another worker writes the same set before each set of worker 0. */
  function contend({ host, workers }: Awaited<ReturnType<typeof four>>): () => void {
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation === "set" && thread === 1) workers[1].reserve(0, key, [1], begin, 1);
    };
    return () => {
      host.sharedData.interleave = undefined;
    };
  }

  it("that lose eight races are admitted unwritten, counted, and pay all the same", async () => {
    const all = await four([limit(100, "hour")]);
    const [worker, other] = all.workers;
    const stop = contend(all);
    expect(worker.reserve(0, key, [50], begin)).toBe("unwritten");
    stop();
    expect(worker.hostcalls()).toEqual(Array.from({ length: 8 }, () => [get, set]).flat());
    expect(worker.scratchLeft()).toBe(0);
    expect(worker.counters()).toMatchObject({ contention: 1, unavailable: 0 });
    expect(worker.claim()).toMatchObject({ open: true, reserved: [0, 0, 0, 0] });
    worker.settle(0, [30], begin);
    other.reserve(0, key, [0], begin, 2);
    expect(other.claim(2).remaining[0]).toBe(100 - 8 - 30);
  });

  it("that cannot settle try again on a tick, and say so when too many wait", async () => {
    const all = await four([limit(10_000, "hour")]);
    const [worker, other] = all.workers;
    for (let claim = 10; claim < 80; claim++) worker.reserve(0, key, [10], begin, claim);
    const stop = contend(all);
    for (let claim = 10; claim < 80; claim++) worker.settle(claim, [1], begin);
    expect(worker.scratchLeft()).toBe(0);
    expect(worker.counters()).toMatchObject({ pendingSettles: 64, settlesLost: 6 });
    worker.retry(begin);
    expect(worker.counters()).toMatchObject({ pendingSettles: 64, settlesLost: 6 });
    stop();
    other.reserve(0, key, [0], begin, 2);
    const before = other.claim(2).remaining[0] as number;
    worker.retry(begin);
    expect(worker.counters()).toMatchObject({ pendingSettles: 0, settlesLost: 6 });
    other.reserve(0, key, [0], begin, 2);
    expect(other.claim(2).remaining[0]).toBe(before + 64 * 9);
    worker.hostcalls();
    worker.retry(begin);
    expect(worker.hostcalls()).toEqual([]);
  });

  it("whose settles wait keep those apart that were written meanwhile", async () => {
    const { host, worker } = await one([limit(1000, "hour")]);
    const keys = [0, 1, 2, 3, 4, 5].map(hashOf);
    for (const [claim, hash] of keys.entries()) worker.reserve(0, hash, [100], begin, claim);
    const failing = (nth: number, times = 1) =>
      host.faults.inject({ call: set, status: Status.InternalFailure, nth, times });
    failing(1, 4);
    for (const claim of [0, 1, 2, 3]) worker.settle(claim, [claim], begin);
    expect(worker.counters().pendingSettles).toBe(4);
    failing(2);
    // The second call is not seen by this one.
    failing(3);
    worker.retry(begin);
    expect(worker.counters().pendingSettles).toBe(2);
    failing(1, 2);
    worker.settle(4, [4], begin);
    worker.settle(5, [5], begin);
    expect(worker.counters().pendingSettles).toBe(4);
    worker.retry(begin);
    expect(worker.counters()).toMatchObject({ pendingSettles: 0, settlesLost: 0 });
    for (const [claim, hash] of keys.entries()) {
      worker.reserve(0, hash, [0], begin, 8);
      expect(worker.claim(8).remaining[0]).toBe(1000 - claim);
    }
  });
});

describe("a full set", () => {
  const fill = (worker: BudgetWorker, count: number, now: number) => {
    for (let n = 0; n < count; n++) expect(worker.reserve(0, hashOf(n), [60, 60], now, n)).toBe("admitted");
  };

  it("drops the budget that was not used for longest, and counts it", async () => {
    const { worker } = await one([limit(100, "hour")], 16);
    fill(worker, 16, begin);
    expect(worker.reserve(0, hashOf(0), [1], begin, 20)).toBe("admitted");
    worker.settle(2, [50], begin);
    expect(worker.counters().evictedLive).toBe(0);
    expect(worker.reserve(0, hashOf(16), [60], begin, 21)).toBe("admitted");
    expect(worker.counters().evictedLive).toBe(1);
    for (const kept of [0, 2, 3, 15, 16]) expect(worker.reserve(0, hashOf(kept), [60], begin, 22)).toBe("refused");
    expect(worker.reserve(0, hashOf(1), [60], begin, 22)).toBe("admitted");
    expect(worker.counters().evictedLive).toBe(2);
  });

  it.each([
    ["shorter", [limit(100, "minute"), limit(100, "hour")]],
    ["longer", [limit(100, "hour"), limit(100, "minute")]],
  ] as const)("takes an idle one first, wherever it is; of two limits the %s first", async (_first, limits) => {
    const { worker } = await one(limits, 16);
    const short = worker.budget([limit(100, "minute")]);
    fill(worker, 5, begin);
    worker.reserve(short, hashOf(99), [60], begin, 99);
    for (let n = 5; n < 15; n++) worker.reserve(0, hashOf(n), [61, 61], begin, n);
    for (let n = 5; n < 15; n++) worker.settle(n, [60, 60], begin);
    // The minute's key was used in the middle of the others, and its minute is over.
    expect(worker.reserve(0, hashOf(16), [60, 60], begin + 60_000, 21)).toBe("admitted");
    expect(worker.counters().evictedLive).toBe(0);
    for (let n = 0; n < 15; n++) expect(worker.reserve(0, hashOf(n), [60, 60], begin + 60_000, 22)).toBe("refused");
    worker.reserve(0, hashOf(17), [60, 60], begin + 60_000, 21);
    expect(worker.counters().evictedLive).toBe(1);
  });

  it("a drop is counted when it is written, not for each race", async () => {
    const { host, workers } = await four([limit(100, "hour")], 16);
    fill(workers[0], 16, begin);
    let races = 0;
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation === "set" && thread === 1 && races++ < 3) workers[1].reserve(0, hashOf(3), [1], begin);
    };
    expect(workers[0].reserve(0, hashOf(16), [60], begin, 21)).toBe("admitted");
    expect(races).toBe(4);
    expect(workers[0].counters().evictedLive).toBe(1);
  });

  it("a budget is live to the last millisecond", async () => {
    for (const [early, counted] of [
      [1, 1],
      [-1000, 0],
    ] as const) {
      const { worker } = await one([limit(100, "second", true)], 16);
      fill(worker, 16, begin);
      const empty = worker.claim(0).resetAt[0] as number;
      expect(empty % 1000).not.toBe(0);
      worker.reserve(0, hashOf(16), [60], empty - early, 21);
      expect(worker.counters().evictedLive).toBe(counted);
    }
  });

  it("a budget that was given back is idle", async () => {
    const { worker } = await one([limit(100, "hour")], 16);
    fill(worker, 16, begin);
    worker.release(7, begin);
    worker.reserve(0, hashOf(16), [60], begin, 21);
    expect(worker.counters().evictedLive).toBe(0);
  });

  it("a settle for a dropped budget adds what was used, and gives back nothing that is not there", async () => {
    const { worker } = await one([limit(100, "hour")], 16);
    worker.reserve(0, key, [80], begin, 100);
    fill(worker, 1, begin);
    for (let n = 100; n < 116; n++) worker.reserve(0, hashOf(n), [1], begin, n - 90);
    worker.settle(100, [70], begin);
    worker.reserve(0, key, [90], begin, 101);
    expect(worker.claim(101).remaining[0]).toBe(10);

    worker.reserve(0, hashOf(500), [80], begin, 102);
    for (let n = 200; n < 216; n++) worker.reserve(0, hashOf(n), [1], begin, 50);
    worker.reserve(0, hashOf(500), [20], begin, 103);
    worker.settle(102, [5], begin);
    worker.reserve(0, hashOf(500), [0], begin, 104);
    expect(worker.claim(104).remaining[0]).toBe(100 - 20 - 5);
  });

  it("never takes one hash for another", async () => {
    const { worker } = await one([limit(100, "hour")], 16);
    const [low, high] = hashOf(1);
    expect(worker.reserve(0, [low, high], [100], begin)).toBe("admitted");
    expect(worker.reserve(0, [low, high ^ 1n], [100], begin)).toBe("admitted");
    expect(worker.reserve(0, [low ^ (1n << 63n), high], [100], begin)).toBe("admitted");
    expect(worker.reserve(0, [0n, 0n], [100], begin)).toBe("admitted");
    for (let n = 2; n < 14; n++) expect(worker.reserve(0, hashOf(n), [100], begin)).toBe("admitted");
    expect(worker.reserve(0, [0n, 0n], [1], begin)).toBe("refused");
    expect(worker.counters().evictedLive).toBe(0);
  });
});

describe("shared data", () => {
  it("stays within the bound and spreads over all sets, whatever the number of keys", async () => {
    const { host, worker } = await one([limit(100, "hour"), limit(100, "minute")], 1000);
    for (let n = 0; n < 20_000; n++) worker.reserve(0, hashOf(n), n === 0 ? [1, 1] : [], begin, 0);
    const { bytes } = worker.counters();
    expect(host.sharedData.keys().length).toBe(63);
    expect(bytes).toBe(63 * (16 * 64 + 15));
    expect(host.sharedData.bytes()).toBe(bytes);
  });

  it("has other keys for another layout, and the same for small changes", async () => {
    const { host, worker } = await one([limit(100, "hour")], 64);
    // Set 0 of any number of sets.
    const reserve = () => worker.reserve(0, [0n, 1n], [60], begin);
    expect(reserve()).toBe("admitted");
    worker.open(64, 32);
    expect(reserve()).toBe("refused");
    worker.open(64, 144);
    expect(reserve()).toBe("admitted");
    worker.open(128, 16);
    expect(reserve()).toBe("admitted");
    expect(new Set(host.sharedData.keys()).size).toBe(3);
    for (const name of host.sharedData.keys()) expect(name).toMatch(/^tm\.rl\.1.{4}\..{3}$/);
  });

  it("is as large as a configuration may ask for", async () => {
    const { host, worker } = await one([limit(100, "hour")], 1_048_576);
    for (let n = 0; n < 300; n++) worker.reserve(0, [BigInt(n) << 24n, 1n], [1], begin);
    expect(host.sharedData.keys().length).toBeGreaterThan(250);
    expect(worker.counters().bytes).toBe(65_536 * (16 * 64 + 15));
  });

  it.each([
    ["get fails", { call: get, status: Status.InternalFailure, times: Number.POSITIVE_INFINITY }, [get]],
    ["set fails", { call: set, status: Status.InternalFailure, times: Number.POSITIVE_INFINITY }, [get, set]],
  ])("%s: admitted, counted, settled later", async (_name, fault, calls) => {
    const { host, worker } = await one([limit(100, "hour")]);
    const repair = host.faults.inject(fault);
    expect(worker.reserve(0, key, [60], begin)).toBe("unwritten");
    expect(worker.hostcalls()).toEqual(calls);
    expect(worker.counters().unavailable).toBe(1);
    repair();
    worker.reserve(0, key, [10], begin, 1);
    worker.settle(0, [60], begin);
    worker.reserve(0, key, [0], begin, 1);
    expect(worker.claim(1).remaining[0]).toBe(30);
  });

  it("without memory for the answer, with foreign bytes, with a budget that does not fit: admitted and counted", async () => {
    const { host, worker } = await one([limit(100, "hour")]);
    worker.reserve(0, key, [60], begin);
    host.faults.failAllocation = 1;
    expect(worker.reserve(0, key, [60], begin)).toBe("unwritten");
    const large = worker.budget([limit(1, "day", true), limit(1, "day", true)]);
    expect(worker.reserve(large, key, [1, 1], begin)).toBe("unwritten");
    const [name = ""] = host.sharedData.keys();
    const before = host.sharedData.get("", name)?.value.slice();
    expect(worker.extend(0, [1, 1], begin)).toBe("unwritten");
    worker.settle(0, [1, 1], begin);
    expect(host.sharedData.get("", name)?.value).toEqual(before);
    host.sharedData.set("", name, new Uint8Array(7), 0);
    expect(worker.reserve(0, key, [60], begin)).toBe("unwritten");
    expect(worker.counters().unavailable).toBe(4);
  });

  it("may hold any bytes", async () => {
    const { host, worker } = await one([limit(100, "minute", true), limit(100, "day")], 16);
    worker.reserve(0, key, [1, 1], begin);
    const [name = ""] = host.sharedData.keys();
    const size = host.sharedData.get("", name)?.value.length as number;
    const [low, high] = key;
    fc.assert(
      fc.property(fc.uint8Array({ minLength: size, maxLength: size }), fc.nat(15), fc.boolean(), (bytes, way, ours) => {
        if (ours) {
          const view = new DataView(bytes.buffer, way * (size / 16));
          view.setBigUint64(0, low, true);
          view.setBigUint64(8, high, true);
        }
        host.sharedData.set("", name, bytes, 0);
        const verdict = worker.reserve(0, key, [1, 1], begin);
        expect(verdict).not.toBe("unwritten");
        worker.settle(0, [7, 7], begin + periodMs("minute"));
        worker.hostcalls();
      }),
      { numRuns: 300 },
    );
  });
});

describe("the error of the store", () => {
  // The workloads of the table in budget-store.ts, a sixteenth of their size.
  it.each([
    ["uniform", 2_048, 0.0005],
    ["uniform", 3_125, 0.03],
    ["zipf", 4_096, 0.01],
    ["zipf", 6_250, 0.04],
  ] as const)(
    "%s, %i keys, 4,096 kept: at most %f live budgets are dropped per request",
    async (distribution, keys, most) => {
      const { rate, budgets } = await evictionRate({ distribution, keys, warmUp: 15_000, requests: 15_000 }, 4096);
      expect(rate).toBeLessThanOrEqual(most);
      if (most > 0.001) expect(rate).toBeGreaterThan(0);
      expect(budgets.host.sharedData.keys().length).toBeLessThanOrEqual(256);
    },
  );

  it("is printed on demand", { timeout: 600_000 }, async (context) => {
    if (!process.env.EVICTION_TABLE)
      context.skip("a table of twelve million requests takes minutes: set EVICTION_TABLE=1");
    for (const keys of [10_000, 32_768, 50_000, 65_536, 100_000, 1_000_000]) {
      const row = [String(keys)];
      for (const distribution of ["uniform", "zipf"] as const) {
        const { rate, budgets } = await evictionRate(
          { distribution, keys, warmUp: 700_000, requests: 300_000 },
          65_536,
        );
        row.push(`${distribution} ${(rate * 100).toFixed(3)} %, ${budgets.host.sharedData.bytes()} bytes`);
      }
      console.log(row.join(" | "));
    }
  });
});
