import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memoryGrowth } from "../../test/host/flat-memory.ts";
import { Status } from "../../test/host/index.ts";
import { type Admission, periodMs, ReferenceWindow, type WindowShape } from "../../test/lib/token-window-reference.ts";
import { type BudgetWorker, begin, get, limit, set, startBudgets } from "../../test/state/budget-driver.ts";
import { hashOf } from "../../test/state/eviction.ts";

/** The store on the test host: one worker against the reference, and what shared data holds and refuses. */

const key = hashOf(1);

async function one(limits: readonly WindowShape[], maxKeys = 1024) {
  const { host, workers } = await startBudgets(limits, { maxKeys });
  return { host, worker: workers[0] as BudgetWorker };
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
