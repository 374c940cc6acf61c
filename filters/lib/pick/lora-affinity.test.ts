import { beforeEach, describe, expect, it } from "vitest";
import { type PolicyName, TestPool, wasm } from "../../../test/lib/pick-driver.ts";

beforeEach(() => wasm.reset());

const ADAPTER = 11n;
const OTHER = 12n;

/** Slot 0 has the adapter, 1 has room, in 2 requests wait for it, 3 is full, of 4 nothing is known. */
function pool(policy: PolicyName = "random"): TestPool {
  const test = new TestPool({ policy, lora: true, bound: 1, least: 2, foreignLoad: false }).fill([1, 1, 1, 1, 1]);
  for (const slot of [0, 1, 2, 3]) wasm.setSnapshot(test.id, slot, 1000, 0, 0, 0, 2);
  wasm.addAdapter(test.id, 0, OTHER, true);
  wasm.addAdapter(test.id, 0, ADAPTER, true);
  wasm.addAdapter(test.id, 1, OTHER, true);
  for (const slot of [2, 3]) wasm.addAdapter(test.id, slot, OTHER, true);
  wasm.addAdapter(test.id, 2, ADAPTER, false);
  wasm.addAdapter(test.id, 3, OTHER, false);
  return test;
}

const asked = { adapter: ADAPTER, now: 1500 };
const sorted = (list: number[]) => [...list].sort();

describe.each<PolicyName>(["random", "least-request", "prefix-affinity", "consistent-hash"])(
  "adapters with %s",
  (policy) => {
    it("are asked for where they are, then where there is room, then where others wait for them", () => {
      const test = pool(policy);
      expect(test.pick(asked)).toEqual([0]);
      expect(test.pick({ ...asked, subset: [1, 2, 3, 4] })).toEqual([1]);
      expect(test.pick({ ...asked, subset: [2, 3, 4] })).toEqual([2]);
      expect(sorted(test.pick({ ...asked, subset: [3, 4] }))).toEqual([3, 4]);
    });
  },
);

it("are asked for elsewhere when all who have them are busy", () => {
  const test = pool();
  wasm.setOthers(test.id, 0, 2, 0);
  expect(test.pick(asked)).toEqual([1]);
  wasm.setOthers(test.id, 1, 2, 0);
  expect(test.pick(asked)).toEqual([2]);
  wasm.setOthers(test.id, 2, 2, 0);
  expect(sorted(test.pick(asked))).toEqual([3, 4]);
  // Everybody has two now, so three are no more than a share.
  for (const slot of [3, 4]) wasm.setOthers(test.id, slot, 2, 0);
  expect(test.pick(asked)).toEqual([0]);
});

it("are asked for only where somebody has them and has time", () => {
  const test = pool();
  wasm.addAdapter(test.id, 3, ADAPTER, true);
  expect(sorted(test.pick(asked))).toEqual([0, 3]);
  wasm.setOthers(test.id, 3, 2, 0);
  expect(test.pick(asked)).toEqual([0]);
});

it("are not looked for where the last snapshot is old", () => {
  const test = pool();
  wasm.setSnapshot(test.id, 0, 0, 0, 0, 0, 2);
  wasm.addAdapter(test.id, 0, ADAPTER, true);
  expect(test.pick(asked)).toEqual([1]);
});

it("are nothing when snapshots are old, when a request has none, or when nobody asked for it", () => {
  const test = pool();
  expect(test.pick({ ...asked, now: 2001 })).toHaveLength(3);
  expect(test.pick({ now: 1500 })).toHaveLength(3);
  const without = new TestPool({ policy: "random" }).fill([1, 1, 1]);
  wasm.setSnapshot(without.id, 0, 1000, 0, 0, 0, 2);
  wasm.addAdapter(without.id, 0, ADAPTER, true);
  expect(without.pick(asked)).toHaveLength(3);
});

it("are nothing that a base model's requests would be kept away for", () => {
  const test = pool("round-robin");
  const lists = Array.from({ length: 5 }, () => test.pick({ ...asked, adapter: 99n })[0]);
  expect(lists).toEqual([0, 1, 2, 3, 4]);
  // Requests wait for it somewhere: it is one.
  wasm.addAdapter(test.id, 3, 99n, false);
  expect(test.pick({ ...asked, adapter: 99n })).toEqual([1]);
});

it("are forgotten with the next snapshot, and bounded", () => {
  const test = pool();
  wasm.setSnapshot(test.id, 0, 1400, 0, 0, 0, 80);
  expect(sorted(test.pick(asked))).toEqual([0, 1]);
  for (let hash = 100n; hash < 170n; hash++) wasm.addAdapter(test.id, 0, hash, true);
  expect(test.pick({ ...asked, adapter: 163n })).toEqual([0]);
  expect(test.pick({ ...asked, adapter: 164n })).toHaveLength(3);
  wasm.addAdapter(test.id, 0, ADAPTER, false);
  expect(sorted(test.pick(asked))).toEqual([0, 1]);
});
