/** How often a live budget is dropped for another key: the error of the store, as a rate per request. */
import { seededRandom } from "../host/clock.ts";
import { type Budgets, type Hash, startBudgets } from "./budget-driver.ts";

export interface Workload {
  keys: number;
  distribution: "uniform" | "zipf";
  /** Requests before and while it is counted. */
  warmUp: number;
  requests: number;
}

/** Spreads a number over 64 bits (splitmix64). */
function mixed(value: bigint): bigint {
  let x = BigInt.asUintN(64, value * 0x9e3779b97f4a7c15n + 0x1234567n);
  x = BigInt.asUintN(64, (x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n);
  x = BigInt.asUintN(64, (x ^ (x >> 27n)) * 0x94d049bb133111ebn);
  return x ^ (x >> 31n);
}

export const hashOf = (key: number): Hash => [mixed(BigInt(key) * 2n), mixed(BigInt(key) * 2n + 1n)];

/** Draws key numbers; in a zipf distribution (s = 1) key n comes up in proportion to 1 / (n + 1). */
function drawing({ keys, distribution }: Workload, random: () => number): () => number {
  if (distribution === "uniform") return () => Math.floor(random() * keys);
  const sums = new Float64Array(keys);
  let sum = 0;
  for (let key = 0; key < keys; key++) {
    sum += 1 / (key + 1);
    sums[key] = sum;
  }
  return () => {
    const at = random() * sum;
    let [low, high] = [0, keys - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) < at) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** Live evictions per request, in windows that do not end. */
export async function evictionRate(workload: Workload, maxKeys: number): Promise<{ rate: number; budgets: Budgets }> {
  const limit = { amount: 1e12, period: "month", rolling: false, offsetSeconds: 0 } as const;
  const budgets = await startBudgets([limit], { maxKeys, poisonScratch: false });
  const [worker] = budgets.workers;
  if (!worker) throw new Error("eviction: no worker");
  const draw = drawing(workload, seededRandom(7));
  const now = Date.UTC(2026, 10, 21);
  worker.reserve(0, hashOf(0), [1], now);
  let before = 0;
  for (let request = -workload.warmUp; request < workload.requests; request++) {
    if (request === 0) before = worker.counters().evictedLive;
    worker.reserve(0, hashOf(draw()), [], now);
  }
  return { rate: (worker.counters().evictedLive - before) / workload.requests, budgets };
}
