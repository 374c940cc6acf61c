import { describe, expect, it } from "vitest";
import { EndpointHashDriver, everySlot, HashMethod, keysOf, type Member } from "../../test/lib/endpoint-hash-driver.ts";
import { methods } from "../../test/lib/endpoint-hash-methods.ts";
import { HashFunction } from "../../test/lib/hash-functions-driver.ts";

/** How evenly keys are spread, how many a change moves, and what a bound on the load does. Keys are fixed, so numbers are too. */

const keys = keysOf(100_000);
const pool = (count: number): Member[] =>
  Array.from({ length: count }, (_, slot) => ({ slot, name: `10.1.0.${slot}:8000` }));

function counts(slots: Uint8Array): number[] {
  const found = new Array<number>(256).fill(0);
  for (const slot of slots) found[slot] = (found[slot] ?? 0) + 1;
  return found;
}

/** Keys that have another slot, and those among them that had to: they were on, or now are on, the slot that changed. */
function moved(before: Uint8Array, after: Uint8Array, slot: number): { all: number; must: number } {
  let [all, must] = [0, 0];
  for (const [i, old] of before.entries()) {
    if (old !== after[i]) all++;
    if (old === slot || after[i] === slot) must++;
  }
  return { all, must };
}

describe.each(methods)("$name", ({ make, moves, balance, weights }) => {
  it(`spreads keys over 32 equal endpoints: the largest share is at most ${balance} of the mean`, () => {
    const shares = counts(make().build(pool(32)).pickAll(keys));
    expect(Math.max(...shares) / (keys.length / 32)).toBeLessThanOrEqual(balance);
    expect(Math.min(...shares.slice(0, 32)) / (keys.length / 32)).toBeGreaterThanOrEqual(2 - balance - 0.02);
  });

  it(`gives endpoints of weight 1 to 8 their shares within ${weights}`, () => {
    const members = pool(8).map((member) => ({ ...member, weight: member.slot + 1 }));
    const shares = counts(make().build(members).pickAll(keys));
    for (const { slot, weight } of members) {
      const ideal = (keys.length * weight) / 36;
      expect(Math.abs((shares[slot] ?? 0) / ideal - 1)).toBeLessThanOrEqual(weights);
    }
  });

  it.each([8, 32])(`moves at most ${moves} of the keys that must move when one of %i leaves or joins`, (count) => {
    const hash = make().build(pool(count));
    const full = hash.pickAll(keys);
    for (const slot of [0, count >> 1, count - 1]) {
      hash.leave(slot);
      const left = hash.pickAll(keys);
      expect(left.includes(slot)).toBe(false);
      const { all, must } = moved(full, left, slot);
      expect(must / (keys.length / count)).toBeLessThanOrEqual(balance);
      expect(all / must).toBeLessThanOrEqual(moves);
      hash.join({ slot, name: `10.1.0.${slot}:8000` });
      expect(Buffer.compare(hash.pickAll(keys), full)).toBe(0);
    }
  });

  it("a change of weight moves keys to this endpoint or away from it", () => {
    const hash = make().build(pool(16));
    const before = counts(hash.pickAll(keys));
    hash.join({ slot: 5, name: "10.1.0.5:8000", weight: 3 });
    const after = counts(hash.pickAll(keys));
    expect((after[5] ?? 0) / (before[5] ?? 1)).toBeGreaterThan(2.4); // 3/18 instead of 1/16: 2.67
    expect((after[5] ?? 0) / (before[5] ?? 1)).toBeLessThan(2.9);
  });

  describe.each([false, true])("bounded load, random jumps %s", (jump) => {
    const members = pool(12).map((member) => ({ ...member, weight: 1 + (member.slot % 2) }));
    const total = members.reduce((sum, { weight }) => sum + weight, 0);

    it("no endpoint is over its bound, and keys stay where there is room", () => {
      const hash = make().build(members);
      const load = new Array<number>(256).fill(0);
      const accept = members.map(({ slot }) => slot);
      let elsewhere = 0;
      const count = 2000;
      for (let i = 0; i < count; i++) {
        const bound = (weight: number): number => Math.ceil((1.1 * (i + 1) * weight) / total);
        const room = members.filter(({ slot, weight }) => (load[slot] ?? 0) < bound(weight)).map(({ slot }) => slot);
        const key = keys[i % 300] ?? 0n; // few keys, each many times: uneven by itself
        const slot = hash.pickBounded(key, accept, room, jump);
        expect(room).toContain(slot);
        if (room.includes(hash.pick(key, accept))) expect(slot).toBe(hash.pick(key, accept));
        else elsewhere++;
        load[slot] = (load[slot] ?? 0) + 1;
      }
      for (const { slot, weight } of members)
        expect(load[slot]).toBeLessThanOrEqual(Math.ceil((1.1 * count * weight) / total));
      expect(elsewhere).toBeGreaterThan(0);
      expect(elsewhere).toBeLessThan(count / 2);
    });

    it("takes nobody who is not accepted, even with room, and nobody at all when all are full", () => {
      const hash = make().build(members);
      for (const key of keys.subarray(0, 300)) {
        expect(hash.pickBounded(key, [1, 2, 3], [3, 4, 5], jump)).toBe(3);
        expect(hash.pickBounded(key, [1, 2, 3], [4, 5, 200], jump)).toBe(-1);
        expect(hash.pickBounded(key, [], everySlot, jump)).toBe(-1);
        expect(hash.pickBounded(key, everySlot, everySlot, jump)).toBe(hash.pick(key));
      }
    });

    it("is the same for the same key", () => {
      const hash = make().build(members);
      for (const key of keys.subarray(0, 300)) {
        const slot = hash.pickBounded(key, everySlot, [0, 5, 9], jump);
        expect(hash.pickBounded(key, everySlot, [0, 5, 9], jump)).toBe(slot);
      }
    });
  });
});

describe("what a full endpoint does to the others", () => {
  /** Shares of what was for slot 0, when it is full. */
  function overflow(hash: EndpointHashDriver, jump: boolean): number[] {
    const accept = everySlot.slice(0, 16);
    const found = new Array<number>(16).fill(0);
    let all = 0;
    for (const key of keys.subarray(0, 40_000)) {
      if (hash.pick(key, accept) !== 0) continue;
      const slot = hash.pickBounded(key, accept, accept.slice(1), jump);
      found[slot] = (found[slot] ?? 0) + 1;
      all++;
    }
    expect(all).toBeGreaterThan(300);
    return found.map((count) => count / all);
  }

  it("clockwise, the neighbours on the ring get it all; jumping, everybody gets a part", () => {
    const ring = EndpointHashDriver.ring({ fn: HashFunction.XxHash64, points: 2 }).build(pool(16));
    expect(overflow(ring, false).filter((share) => share > 0).length).toBeLessThanOrEqual(2);
    expect(overflow(ring, true).filter((share) => share > 0).length).toBe(15);
  });

  it.each([HashMethod.Rendezvous, HashMethod.Maglev])("method %i spreads it without jumps", (method) => {
    const shares = overflow(EndpointHashDriver.of(method).build(pool(16)), false).slice(1);
    expect(Math.max(...shares)).toBeLessThan(1.4 / 15);
    expect(Math.min(...shares)).toBeGreaterThan(0.6 / 15);
  });
});
