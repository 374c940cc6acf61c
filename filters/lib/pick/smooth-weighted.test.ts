import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { type PolicyName, TestPool, wasm } from "../../../test/lib/pick-driver.ts";

/** Against two models: nginx's, step by step, and the counter model, which has the same shares in each round. */

beforeEach(() => wasm.reset());

/** Everybody gains, the richest pays for all. */
function smooth(weights: readonly number[], times: number): number[] {
  const credits = weights.map(() => 0);
  const total = weights.reduce((sum, weight) => sum + weight);
  return Array.from({ length: times }, () => {
    for (const [at, weight] of weights.entries()) credits[at] = (credits[at] ?? 0) + weight;
    const best = credits.indexOf(Math.max(...credits));
    credits[best] = (credits[best] ?? 0) - total;
    return best;
  });
}

/** The counter model: a counter of each endpoint goes up by its weight, modulo the sum; whose counter wraps around has a turn. */
function counterShares(weights: readonly number[]): number[] {
  const total = weights.reduce((sum, weight) => sum + weight);
  const counters = weights.map(() => 0);
  const turns = weights.map(() => 0);
  for (let round = 0; round < total; round++) {
    for (const [at, weight] of weights.entries()) {
      const raised = (counters[at] ?? 0) + weight;
      if (raised >= total) turns[at] = (turns[at] ?? 0) + 1;
      counters[at] = raised % total;
    }
  }
  return turns;
}

const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 });

describe.each<PolicyName>(["weighted-round-robin", "round-robin", "least-request"])("turns of %s", (policy) => {
  it("are those of the smooth model, and as many in a round as the counter model has", () => {
    fc.assert(
      fc.property(weights, (given) => {
        // Equal weights have turns in the order of slots, or by chance.
        fc.pre(policy === "weighted-round-robin" || new Set(given).size > 1);
        wasm.reset();
        const pool = new TestPool({ policy }).fill(given);
        const total = given.reduce((sum, weight) => sum + weight);
        const turns = Array.from({ length: total * 2 }, () => pool.pick()[0] ?? -1);
        expect(turns).toEqual(smooth(given, total * 2));
        const counts = given.map((_, slot) => turns.slice(0, total).filter((turn) => turn === slot).length);
        expect(counts).toEqual(given);
        expect(counts).toEqual(counterShares(given));
      }),
      { numRuns: 60 },
    );
  });
});

it("gives equal endpoints their turns in order, also when some are away", () => {
  const pool = new TestPool({ policy: "round-robin" }).fill([2, 2, 2, 2]);
  expect(Array.from({ length: 6 }, () => pool.pick())).toEqual([
    [0, 1, 2],
    [1, 2, 3],
    [2, 3, 0],
    [3, 0, 1],
    [0, 1, 2],
    [1, 2, 3],
  ]);
  wasm.setHealthy(pool.id, 2, false, 0);
  expect(pool.pick()).toEqual([3, 0, 1]);
  expect(pool.pick()).toEqual([0, 1, 3]);
  expect(pool.pick()).toEqual([1, 3, 0]);
  expect(pool.pick()).toEqual([3, 0, 1]);
});

it("does not pay a new endpoint what the one before was owed", () => {
  const pool = new TestPool({ policy: "weighted-round-robin" }).fill([9, 1]);
  for (let i = 0; i < 5; i++) expect(pool.pick()[0]).toBe(0);
  wasm.remove(pool.id, 1);
  pool.add(5, { weight: 1 });
  // The one before was owed five parts of ten, and would be next.
  const turns = Array.from({ length: 4 }, () => pool.pick()[0]);
  expect(turns).toEqual([0, 0, 1, 0]);
});

it("takes the better one of two, which need not be the best", () => {
  const pool = new TestPool({ policy: "least-request" }).fill([1, 1, 1, 1]);
  for (const [slot, inflight] of [3, 1, 2, 0].entries()) wasm.setOthers(pool.id, slot, inflight, 0);
  const counts = pool.counts(6000, () => ({}), 4);
  // Pairs of four: slot 3 wins 3 of 6, slot 1 wins 2, slot 2 wins 1, slot 0 none.
  for (const [slot, wins] of [0, 2, 1, 3].entries()) {
    expect(Math.abs((counts[slot] ?? 0) - wins * 1000)).toBeLessThan(wins === 0 ? 1 : 180);
  }
  expect(pool.pick()).toHaveLength(3);
});

it("gives less of its weight to who is busy", () => {
  const pool = new TestPool({ policy: "least-request" }).fill([1, 2]);
  wasm.setOthers(pool.id, 1, 9, 0);
  // 1 / (0 + 1) against 2 / (9 + 1).
  const counts = pool.counts(600, () => ({}), 2);
  expect(Math.abs((counts[0] ?? 0) - 500)).toBeLessThan(3);
});

it("offers the least loaded of the others for a retry", () => {
  const pool = new TestPool({ policy: "weighted-round-robin" }).fill([1, 1, 1, 4]);
  for (const [slot, inflight] of [0, 5, 2, 0].entries()) wasm.setOthers(pool.id, slot, inflight, 0);
  expect(pool.pick()).toEqual([3, 0, 2]);
  const heavy = new TestPool({ policy: "weighted-round-robin" }).fill([9, 1, 4]);
  for (const [slot, inflight] of [0, 1, 3].entries()) wasm.setOthers(heavy.id, slot, inflight, 0);
  expect(heavy.pick()).toEqual([0, 2, 1]);
});
