import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EndpointHashDriver, everySlot, HashMethod, keysOf, type Member } from "../../test/lib/endpoint-hash-driver.ts";
import { maglevOrder, maglevTable, rendezvousOrder, ringOrder } from "../../test/lib/endpoint-hash-reference.ts";
import { HashFunction } from "../../test/lib/hash-functions-driver.ts";

/** Every method against an exact model: who a key goes to, and then, and then. */

const fn = fc.constantFrom(HashFunction.XxHash64, HashFunction.Sha1, HashFunction.Murmur2);
const members: fc.Arbitrary<Member[]> = fc
  .uniqueArray(
    fc.record({ slot: fc.nat(255), name: fc.string({ maxLength: 60 }), weight: fc.integer({ min: 1, max: 6 }) }),
    {
      minLength: 1,
      maxLength: 10,
      selector: ({ slot }) => slot,
    },
  )
  // Of two members with one name the slot decides, which models need not know.
  .filter((list) => new Set(list.map(({ name }) => name)).size === list.length);
const key = fc.oneof(fc.constantFrom(0n, 2n ** 64n - 1n, 2n ** 32n, 2n ** 63n), fc.bigInt(0n, 2n ** 64n - 1n));
const some = { numRuns: 200 };

function check(hash: EndpointHashDriver, model: readonly number[], key: bigint, left: readonly number[]): void {
  const expected = model.filter((slot) => !left.includes(slot));
  const accept = everySlot.filter((slot) => !left.includes(slot));
  expect(hash.order(key, accept)).toEqual(expected);
  expect(hash.pick(key, accept)).toBe(expected[0] ?? -1);
}

describe("rendezvous", () => {
  it("goes to the least cost first, whatever is left out", () => {
    fc.assert(
      fc.property(
        members,
        fn,
        fc.array(key, { minLength: 5, maxLength: 5 }),
        fc.array(fc.nat(255)),
        (list, fn, keys, left) => {
          const hash = EndpointHashDriver.of(HashMethod.Rendezvous, fn).build(list);
          for (const one of keys) check(hash, rendezvousOrder(list, one, fn), one, left);
        },
      ),
      some,
    );
  });

  it("with 256 members of any weight", () => {
    const list = everySlot.map((slot) => ({ slot, name: `host-${slot}`, weight: 1 + ((slot * slot) % 1000) }));
    const hash = EndpointHashDriver.of(HashMethod.Rendezvous).build(list);
    for (const one of keysOf(200)) check(hash, rendezvousOrder(list, one, HashFunction.XxHash64), one, []);
  });
});

describe("ring", () => {
  const shape = fc.record({
    fn,
    bits: fc.constantFrom<32 | 64>(32, 64),
    separator: fc.constantFrom<":" | "_">(":", "_"),
    points: fc.constantFrom(1, 2, 3, 11),
  });

  it("goes clockwise, whatever is left out", () => {
    fc.assert(
      fc.property(
        members,
        shape,
        fc.array(key, { minLength: 5, maxLength: 5 }),
        fc.array(fc.nat(255)),
        (list, shape, keys, left) => {
          const hash = EndpointHashDriver.ring(shape).build(list);
          for (const one of keys) check(hash, ringOrder(list, one, shape), one, left);
        },
      ),
      some,
    );
  });
});

describe("maglev", () => {
  it.each([257, 521])("has the paper's table of %i entries, and walks it in the steps of the key", (size) => {
    fc.assert(
      fc.property(members, fn, fc.array(fc.nat(255)), (list, fn, left) => {
        const hash = EndpointHashDriver.maglev(fn, size).build(list);
        const table = maglevTable(list, fn, size);
        const entries = BigUint64Array.from(table.keys(), BigInt);
        expect([...hash.pickAll(entries)]).toEqual(table);
        const keys = [0n, BigInt(size - 1), BigInt(7 * size + 3), 2n ** 64n - 1n];
        for (const one of keys) check(hash, maglevOrder(table, one), one, left);
      }),
      { numRuns: 60 },
    );
  });

  it("raises the number of entries to the next prime, 257 at least", () => {
    for (const [asked, size] of [
      [0, 257],
      [256, 257],
      [258, 263],
      [1000, 1009],
    ] as const) {
      const list = [3, 4, 5].map((slot) => ({ slot, name: `host-${slot}` }));
      const hash = EndpointHashDriver.maglev(HashFunction.XxHash64, asked).build(list);
      const entries = BigUint64Array.from({ length: 2 * size }, (_, i) => BigInt(i));
      const table = maglevTable(list, HashFunction.XxHash64, size);
      expect([...hash.pickAll(entries)]).toEqual([...table, ...table]);
    }
  });
});
