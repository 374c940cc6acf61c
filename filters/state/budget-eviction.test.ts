import { describe, expect, it } from "vitest";
import type { WindowShape } from "../../test/lib/token-window-reference.ts";
import { type BudgetWorker, begin, limit, startBudgets } from "../../test/state/budget-driver.ts";
import { evictionRate, hashOf } from "../../test/state/eviction.ts";

/** Sets that are full: which budget is dropped, what is counted, and how often it happens. */

const key = hashOf(1);

async function one(limits: readonly WindowShape[], maxKeys = 1024) {
  const { host, workers } = await startBudgets(limits, { maxKeys });
  return { host, worker: workers[0] as BudgetWorker };
}

async function four(limits: readonly WindowShape[], maxKeys = 1024) {
  const { host, workers } = await startBudgets(limits, { maxKeys, workers: 4 });
  return { host, workers: workers as [BudgetWorker, BudgetWorker, BudgetWorker, BudgetWorker] };
}

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
