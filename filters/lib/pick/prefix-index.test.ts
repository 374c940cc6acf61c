import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chainOf, putChain, randomBits, wasm } from "../../../test/lib/pick-driver.ts";

/** Against a reference of plain maps: what each endpoint has, in the order of its last use. */

class Reference {
  readonly #limits: number[];
  readonly #has: Map<bigint, true>[];
  readonly #maxPairs: number;
  #giver = new Map<bigint, true>();
  #gifts = 0;

  constructor(capacity: number, maxPairs: number, limit: number) {
    this.#limits = new Array<number>(capacity).fill(limit);
    this.#has = Array.from({ length: capacity }, () => new Map());
    this.#maxPairs = maxPairs;
  }

  of(slot: number): Map<bigint, true> {
    return this.#has[slot] ?? new Map();
  }

  setLimit(slot: number, blocks: number): void {
    this.#limits[slot] = Math.max(1, blocks);
  }

  insert(slot: number, hash: bigint): boolean {
    const key = hash === 0n ? 1n : hash;
    const blocks = this.of(slot);
    const known = blocks.delete(key);
    if (!known) {
      for (let i = 0; i < 4 && blocks.size >= (this.#limits[slot] ?? 0); i++) dropOldest(blocks);
      if (this.pairs === this.#maxPairs) dropOldest(this.#donor());
    }
    blocks.set(key, true);
    return !known;
  }

  /** The one with most, and for 16 in a row. */
  #donor(): Map<bigint, true> {
    if (this.#gifts === 0 || this.#giver.size === 0) {
      const most = Math.max(...this.#has.map(({ size }) => size));
      this.#giver = this.#has.find(({ size }) => size === most) ?? this.#giver;
      this.#gifts = 16;
    }
    this.#gifts--;
    return this.#giver;
  }

  clear(slot: number): void {
    this.of(slot).clear();
  }

  match(slot: number, chain: readonly bigint[]): number {
    const has = chain.map((hash) => this.of(slot).has(hash === 0n ? 1n : hash));
    const missing = has.indexOf(false);
    return missing < 0 ? chain.length : missing;
  }

  get pairs(): number {
    return this.#has.reduce((sum, { size }) => sum + size, 0);
  }

  get blocks(): number {
    return new Set(this.#has.flatMap((blocks) => [...blocks.keys()])).size;
  }
}

function dropOldest(blocks: Map<bigint, true>): void {
  for (const oldest of blocks.keys()) {
    blocks.delete(oldest);
    return;
  }
}

type Step =
  | { kind: "chain" | "match"; slot: number; name: number; length: number; tail: number; from: number }
  | { kind: "insert"; slot: number; hash: bigint }
  | { kind: "limit"; slot: number; blocks: number }
  | { kind: "clear"; slot: number };

function steps(slots: readonly number[]): fc.Arbitrary<Step[]> {
  const slot = fc.constantFrom(...slots);
  const chain = {
    slot,
    name: fc.integer({ min: 1, max: 4 }),
    length: fc.integer({ min: 0, max: 14 }),
    tail: fc.integer({ min: 0, max: 2 }),
    from: fc.integer({ min: 0, max: 14 }),
  };
  return fc.array(
    fc.oneof(
      { arbitrary: fc.record({ kind: fc.constant("chain" as const), ...chain }), weight: 6 },
      { arbitrary: fc.record({ kind: fc.constant("match" as const), ...chain }), weight: 4 },
      {
        arbitrary: fc.record({ kind: fc.constant("insert" as const), slot, hash: fc.bigInt({ min: 0n, max: 9n }) }),
        weight: 3,
      },
      {
        arbitrary: fc.record({ kind: fc.constant("limit" as const), slot, blocks: fc.integer({ min: 0, max: 20 }) }),
        weight: 1,
      },
      { arbitrary: fc.record({ kind: fc.constant("clear" as const), slot }), weight: 1 },
    ),
    { maxLength: 60 },
  );
}

function matches(chain: readonly bigint[], asked: readonly number[], slots: readonly number[]): [number, number[]] {
  putChain(chain);
  wasm.amongClear();
  for (const slot of asked) wasm.amongAdd(slot);
  const most = wasm.indexMatch(chain.length);
  return [most, slots.map((slot) => wasm.indexLength(slot))];
}

describe.each([
  ["one word", 8, [0, 1, 5]],
  ["four words", 256, [0, 63, 64, 200, 255]],
])("a prefix index of %s", (_name, capacity, slots) => {
  it("has what a map of maps has, whatever is done", () => {
    fc.assert(
      fc.property(
        steps(slots),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 16 }),
        (todo, pairs, limit) => {
          wasm.indexOpen(capacity, pairs, limit);
          const reference = new Reference(capacity, pairs, limit);
          for (const step of todo) {
            if (step.kind === "insert") {
              expect(wasm.indexInsert(step.slot, step.hash) === 1).toBe(reference.insert(step.slot, step.hash));
            } else if (step.kind === "limit") {
              wasm.indexLimit(step.slot, step.blocks);
              reference.setLimit(step.slot, step.blocks);
            } else if (step.kind === "clear") {
              wasm.indexClear(step.slot);
              reference.clear(step.slot);
            } else {
              const chain = chainOf(step.name, step.length, step.tail, step.from);
              const asked = slots.filter((slot) => slot !== step.slot);
              const expected = slots.map((slot) => (slot === step.slot ? -1 : reference.match(slot, chain)));
              expect(matches(chain, asked, slots)).toEqual([Math.max(0, ...expected), expected]);
              if (step.kind === "chain") {
                wasm.indexInsertChain(step.slot, chain.length);
                for (const hash of [...chain].reverse()) reference.insert(step.slot, hash);
              }
            }
            expect(wasm.indexPairs()).toBe(reference.pairs);
            expect(wasm.indexBlocks()).toBe(reference.blocks);
            for (const slot of slots) expect(wasm.indexCount(slot)).toBe(reference.of(slot).size);
          }
          for (const slot of slots) {
            for (const hash of reference.of(slot).keys()) expect(wasm.indexHas(slot, hash)).toBe(1);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it("agrees with it after tens of thousands of blocks at a full table", () => {
    const random = randomBits(7n);
    wasm.indexOpen(capacity, 500, 150);
    const reference = new Reference(capacity, 500, 150);
    for (let i = 0; i < 30_000; i++) {
      const slot = slots[Number(random() % BigInt(slots.length))] ?? 0;
      const hash = random() % 400n;
      expect(wasm.indexInsert(slot, hash) === 1).toBe(reference.insert(slot, hash));
      if (i % 5000 === 4999) {
        wasm.indexClear(slot);
        reference.clear(slot);
      }
    }
    expect(wasm.indexBlocks()).toBe(reference.blocks);
    for (const slot of slots) {
      for (let hash = 1n; hash < 400n; hash++)
        expect(wasm.indexHas(slot, hash) === 1).toBe(reference.of(slot).has(hash));
    }
  });
});

describe("a chain", () => {
  it("loses its tail first", () => {
    wasm.indexOpen(2, 100, 10);
    putChain(chainOf(1, 8));
    wasm.indexInsertChain(0, 8);
    putChain(chainOf(2, 5));
    wasm.indexInsertChain(0, 5);
    expect(matches(chainOf(1, 8), [0], [0])).toEqual([5, [5]]);
    expect(matches(chainOf(2, 5), [0], [0])).toEqual([5, [5]]);
  });

  it("was used as a whole when it was used", () => {
    wasm.indexOpen(2, 100, 10);
    const chain = chainOf(1, 4);
    for (const now of [0, 1000]) {
      wasm.indexNow(now);
      putChain(chain);
      wasm.indexInsertChain(0, chain.length);
    }
    wasm.indexNow(2500);
    wasm.indexInsert(0, chain[3] ?? 0n);
    expect(wasm.indexAge(0)).toBe(1500);
  });

  it("does not count what comes behind a gap", () => {
    wasm.indexOpen(2, 100, 50);
    const chain = chainOf(1, 6);
    for (const [at, hash] of chain.entries()) if (at !== 2) wasm.indexInsert(0, hash);
    wasm.indexInsert(1, chain[2] ?? 0n);
    expect(matches(chain, [0, 1], [0, 1])).toEqual([2, [2, 0]]);
  });

  it("is not kept alive at one endpoint by its use at another", () => {
    wasm.indexOpen(2, 1000, 4);
    putChain(chainOf(1, 4));
    wasm.indexInsertChain(0, 4);
    wasm.indexInsertChain(1, 4);
    for (let name = 2; name < 20; name++) {
      putChain(chainOf(1, 4));
      wasm.indexInsertChain(1, 4);
      putChain(chainOf(name, 2));
      wasm.indexInsertChain(0, 2);
    }
    expect(matches(chainOf(1, 4), [0, 1], [0, 1])).toEqual([4, [0, 4]]);
  });
});

it("makes room for answers, which match nothing", () => {
  wasm.indexOpen(1, 100, 10);
  putChain(chainOf(1, 10));
  wasm.indexInsertChain(0, 10);
  wasm.indexFill(0, 4);
  expect(matches(chainOf(1, 10), [0], [0])).toEqual([6, [6]]);
  wasm.indexFill(0, 1_000_000);
  expect(matches(chainOf(1, 10), [0], [0])).toEqual([0, [0]]);
  expect(wasm.indexCount(0)).toBe(10);
});

it("allocates nothing after construction, and says how large it is", () => {
  const bytes = wasm.indexOpen(64, 10_000, 1000);
  expect(bytes).toBeLessThan(52 * 10_000);
  const random = randomBits(3n);
  const top = wasm.heapTop();
  for (let i = 0; i < 30_000; i++) wasm.indexInsert(i % 64, random());
  expect(wasm.heapTop()).toBe(top);
  expect(wasm.indexPairs()).toBe(10_000);
});
