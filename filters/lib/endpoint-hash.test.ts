import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type EndpointHashDriver, everySlot, keysOf, type Member } from "../../test/lib/endpoint-hash-driver.ts";
import { methods } from "../../test/lib/endpoint-hash-methods.ts";

/** One suite for all methods: what who picks endpoints may rely on. Shares and moves are in endpoint-hash-shares.test.ts. */

const many = keysOf(500);
const keys = [...many.subarray(0, 300)];
const address = (index: number): string => `10.0.${index >> 8}.${index & 255}:8080`;
const pool = (count: number, from = 0): Member[] =>
  Array.from({ length: count }, (_, i) => ({ slot: from + i, name: address(i) }));
const picks = (hash: EndpointHashDriver, accept = everySlot): number[] => keys.map((key) => hash.pick(key, accept));
const without = (slots: readonly number[], left: readonly number[]): number[] =>
  slots.filter((slot) => !left.includes(slot));

describe.each(methods)("$name", ({ make, small, maskIsNoLeave, slotsMatter }) => {
  it("gives the same slot for the same key, in every instance, and uses all slots", () => {
    const one = make().build(pool(16));
    expect(picks(one)).toEqual(picks(one));
    expect(picks(make().build(pool(16)))).toEqual(picks(one));
    expect(new Set(picks(one)).size).toBe(16);
  });

  it("knows endpoints by name, not by slot or by order", (context) => {
    if (slotsMatter) context.skip(slotsMatter);
    const members = pool(12).map((member) => ({ ...member, weight: 1 + (member.slot % 3) }));
    const moved = members.map((member) => ({ ...member, slot: 255 - 20 * member.slot })).reverse();
    expect(picks(make().build(moved)).map((slot) => (255 - slot) / 20)).toEqual(picks(make().build(members)));
  });

  it("takes no slot that is not accepted, and none when there is none", () => {
    const hash = make().build(pool(20, 60));
    const members = pool(20, 60).map(({ slot }) => slot);
    fc.assert(
      fc.property(fc.subarray([...everySlot].slice(50, 90)), (accept) => {
        const open = accept.filter((slot) => members.includes(slot));
        for (const key of keys.slice(0, 10)) {
          const slot = hash.pick(key, accept);
          if (open.length === 0) expect(slot).toBe(-1);
          else expect(open).toContain(slot);
          expect(hash.order(key, accept).sort((a, b) => a - b)).toEqual(open);
        }
      }),
    );
    expect(hash.pick(1n, [])).toBe(-1);
    expect(hash.pick(1n, [0, 59, 80, 255])).toBe(-1);
    expect(hash.order(1n, [59, 80])).toEqual([]);
    for (const empty of [make(), make().build([])]) {
      expect([empty.pick(1n), empty.order(1n), empty.pickBounded(1n, everySlot, everySlot, true)]).toEqual([
        -1,
        [],
        -1,
      ]);
    }
  });

  it("keeps the keys of the others when a slot is left out", () => {
    const hash = make().build(pool(10));
    const before = picks(hash);
    const after = picks(hash, without(everySlot, [3, 7]));
    for (const [i, slot] of before.entries()) if (slot !== 3 && slot !== 7) expect(after[i]).toBe(slot);
  });

  it("gives what it would give without the slots that are left out", (context) => {
    if (maskIsNoLeave) context.skip(maskIsNoLeave);

    const hash = make().build(pool(10));
    const left = make().build(pool(10).filter(({ slot }) => slot !== 3 && slot !== 7));
    expect(picks(hash, without(everySlot, [3, 7]))).toEqual(picks(left));
  });

  it("orders slots without repeats; each is the pick when those before it are left out", () => {
    const hash = make().build(pool(9, 250 - 9));
    for (const key of keys.slice(0, 40)) {
      const order = hash.order(key);
      expect(new Set(order).size).toBe(9);
      for (const rank of order.keys()) {
        expect(hash.pick(key, without(everySlot, order.slice(0, rank)))).toBe(order[rank]);
      }
      for (const limit of [0, 1, 2, 3, 9, 256])
        expect(hash.order(key, everySlot, limit)).toEqual(order.slice(0, limit));
      expect(hash.order(key, everySlot, -1)).toEqual([]);
    }
  });

  it("equals a fresh build after any changes", () => {
    const slot = fc.constantFrom(0, 1, 2, 3, 63, 64, 100, 127, 128, 191, 254, 255);
    const weight = fc.constantFrom(0, 1, 1, 1, 2, 5, 9);
    const kind = fc.constantFrom("join", "join", "join", "join", "leave", "leave", "leave", "put", "drop", "make");
    const any = fc.record({ kind, slot, weight, name: fc.nat(30) });
    const incremental = any.map((one) => ({ ...one, kind: one.kind === "leave" ? "leave" : "join" }));
    const sequence = fc.oneof(fc.array(any, { maxLength: 25 }), fc.array(incremental, { maxLength: 25 }));
    fc.assert(
      fc.property(sequence, (changes) => {
        const hash = small();
        const members = new Map<number, Member>();
        for (const { kind, slot, weight, name } of changes) {
          // Names of two members are never the same: which of them a key goes to would be left to their slots.
          const member = { slot, name: address(name * 256 + slot), weight };
          if (kind === "join" || kind === "put") members.set(slot, member);
          if (kind === "leave" || kind === "drop") members.delete(slot);
          if (kind === "join") hash.join(member);
          if (kind === "put") hash.put(member);
          if (kind === "leave") hash.leave(slot);
          if (kind === "drop") hash.drop(slot);
          if (kind === "make") hash.make();
        }
        if (changes.some(({ kind }) => kind === "put" || kind === "drop")) hash.make();
        expect(hash.size).toBe(members.size);
        expect(everySlot.filter((at) => hash.has(at))).toEqual([...members.keys()].sort((a, b) => a - b));
        const fresh = small().build([...members.values()]);
        expect(hash.points).toBe(fresh.points);
        expect(Buffer.compare(hash.pickAll(many), fresh.pickAll(many))).toBe(0);
        for (const key of keys.slice(0, 10)) expect(hash.order(key)).toEqual(fresh.order(key));
      }),
      { numRuns: 100 },
    );
  });

  it("does not know what was only put or dropped before the next build", () => {
    const hash = make().build(pool(3));
    const before = picks(hash);
    hash.put({ slot: 9, name: address(9) });
    hash.put({ slot: 1, name: address(77), weight: 50 });
    hash.drop(2);
    expect(picks(hash)).toEqual(before);
    hash.make();
    expect(new Set(picks(hash))).toEqual(new Set([0, 1, 9]));
  });

  it("counts weight 0 as 1", () => {
    const members = pool(6).map((member) => ({ ...member, weight: member.slot % 3 }));
    const clamped = members.map((member) => ({ ...member, weight: Math.max(1, member.weight) }));
    expect(picks(make().build(members))).toEqual(picks(make().build(clamped)));
  });

  it("takes the eight bytes of an address hash for a name", () => {
    const text = Buffer.from("abcdefgh");
    const hashes = [make().build([{ slot: 0, name: "x" }]), make().build([{ slot: 0, name: "x" }])];
    hashes[0]?.join({ slot: 4, name: text.toString() });
    hashes[1]?.joinHash(4, text.readBigUInt64LE());
    expect(picks(hashes[0] ?? make())).toEqual(picks(hashes[1] ?? make()));
    const put = make();
    put.put({ slot: 0, name: "x" });
    put.putHash(4, text.readBigUInt64LE());
    put.make();
    expect(picks(put)).toEqual(picks(hashes[0] ?? make()));
  });

  it("allocates nothing to look up, and no more after any number of changes", () => {
    const hash = make().build(pool(8));
    const churn = (): void => {
      for (let i = 0; i < 5; i++) {
        hash.leave(5);
        hash.join({ slot: 5, name: address(5) });
      }
    };
    churn();
    const [top, memory] = [hash.heapTop, hash.memoryBytes];
    hash.pickMany(1n, 2000);
    hash.orderMany(1n, 1000, 3);
    for (const key of keys) hash.pickBounded(key, everySlot, [1], true);
    expect(hash.heapTop).toBe(top);
    churn();
    for (let i = 0; i < 500; i++) {
      hash.put({ slot: 6, name: "x".repeat(1000) });
      hash.drop(6);
    }
    expect(hash.memoryBytes).toBe(memory);
  });

  it("gives its memory back", () => {
    const hash = make();
    const rounds = (count: number): number => {
      for (let i = 0; i < count; i++) hash.renew().build(pool(16));
      return hash.memoryBytes;
    };
    const before = rounds(3);
    expect(rounds(40)).toBe(before); // many: memory grows by doubling
  });
});
