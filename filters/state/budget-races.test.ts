import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Status } from "../../test/host/index.ts";
import type { WindowShape } from "../../test/lib/token-window-reference.ts";
import { type BudgetWorker, begin, get, limit, set, startBudgets } from "../../test/state/budget-driver.ts";
import { hashOf } from "../../test/state/eviction.ts";

/** Workers that reserve and settle between each other's get and set. */

const key = hashOf(1);

async function one(limits: readonly WindowShape[], maxKeys = 1024) {
  const { host, workers } = await startBudgets(limits, { maxKeys });
  return { host, worker: workers[0] as BudgetWorker };
}

async function four(limits: readonly WindowShape[], maxKeys = 1024) {
  const { host, workers } = await startBudgets(limits, { maxKeys, workers: 4 });
  return { host, workers: workers as [BudgetWorker, BudgetWorker, BudgetWorker, BudgetWorker] };
}

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
