import { beforeEach, describe, expect, it } from "vitest";
import { chainOf, Outcome, putChain, randomBits, TestPool, wasm } from "../../../test/lib/pick-driver.ts";

/** Each step of the choice, and what keeps it from going wrong. */

beforeEach(() => wasm.reset());

const policy = "prefix-affinity";
const key = 42n;

/** Endpoint `slot` has the first `blocks` of text `name`. */
function warm(pool: TestPool, slot: number, name: number, blocks: number): void {
  putChain(chainOf(name, blocks));
  wasm.learn(pool.id, slot, blocks);
}

/** The order in which the key prefers the endpoints of an idle pool. */
function orderOf(pool: TestPool, slots: number): number[] {
  const order: number[] = [];
  while (order.length < slots) {
    const rest = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => !order.includes(slot));
    order.push(pool.pick({ key, subset: rest })[0] ?? -1);
  }
  return order;
}

const loads = (pool: TestPool, pending: readonly number[], inflight: readonly number[] = []) => {
  for (const [slot, tokens] of pending.entries()) wasm.setOthers(pool.id, slot, inflight[slot] ?? 0, tokens);
};

describe("warm endpoints", () => {
  it("are chosen when they have half of the prompt, and what is left to compute is known", () => {
    const pool = new TestPool({ policy }).fill([1, 1, 1, 1]);
    const cold = orderOf(pool, 4)[0] ?? -1;
    const slot = (cold + 1) % 4;
    warm(pool, slot, 1, 10);
    expect(pool.pick({ key, chain: chainOf(1, 20), tokens: 1300 })[0]).toBe(slot);
    expect([wasm.listMatched(), wasm.listBest(), wasm.listUncached()]).toEqual([10, 10, 1300 - 640]);
    // The estimate of the prompt can be less than its blocks.
    expect(pool.pick({ key, chain: chainOf(1, 20), tokens: 300 })[0]).toBe(slot);
    expect(wasm.listUncached()).toBe(0);
    // Less than half of it: worth as much, and the order of the key decides between costs that hardly differ.
    expect(pool.pick({ key, chain: chainOf(1, 21), tokens: 1400 })[0]).toBe(slot);
    warm(pool, slot, 2, 2);
    expect(pool.pick({ key, chain: chainOf(2, 4), tokens: 260 })[0]).toBe(slot);
    expect(pool.pick({ key, chain: chainOf(2, 5), tokens: 330 })[0]).toBe(cold);
    expect([wasm.listMatched(), wasm.listBest(), wasm.listUncached()]).toEqual([0, 2, 330]);
  });

  it("are chosen by load and by what is missing", () => {
    const pool = new TestPool({ policy }).fill([1, 1, 1, 1]);
    const chain = chainOf(1, 40);
    warm(pool, 0, 1, 40);
    warm(pool, 1, 1, 38);
    warm(pool, 2, 1, 37);
    loads(pool, [1000, 0, 0, 0]);
    expect(pool.pick({ key, chain }).slice(0, 3)).toEqual([1, 2, 0]);
    loads(pool, [100, 0, 0, 0]);
    expect(pool.pick({ key, chain })[0]).toBe(0);
    // Two blocks at five tokens each, ten requests at 64.
    loads(pool, [0, 0, 0, 0], [11, 0, 0, 0]);
    expect(pool.pick({ key, chain })[0]).toBe(1);
    loads(pool, [0, 0, 0, 0], [9, 0, 0, 0]);
    expect(pool.pick({ key, chain })[0]).toBe(0);
  });

  it("are given up when they have too much to do", () => {
    const pool = new TestPool({ policy, queue: 5000 }).fill([1, 1, 1, 1]);
    const [first = -1, second = -1] = orderOf(pool, 4);
    warm(pool, second, 1, 30);
    const pending = [0, 0, 0, 0];
    const chain = chainOf(1, 30);
    pending[second] = 5000;
    loads(pool, pending);
    expect(pool.pick({ key, chain })[0]).toBe(second);
    pending[second] = 5001;
    loads(pool, pending);
    expect(pool.pick({ key, chain })[0]).toBe(first);
    // The queue counts from the shortest one.
    loads(
      pool,
      pending.map((tokens) => tokens + 10_000),
    );
    expect(pool.pick({ key, chain })[0]).toBe(first);
    pending[second] = 5000;
    loads(
      pool,
      pending.map((tokens) => tokens + 10_000),
    );
    expect(pool.pick({ key, chain })[0]).toBe(second);
  });

  it("are waited for as long as the prompt is worth, and no longer", () => {
    for (const blocks of [10, 30]) {
      const pool = new TestPool({ policy, slack: 0 }).fill([1, 1, 1, 1]);
      warm(pool, 2, 1, blocks);
      // What is left to compute is the same for all: it is worth nothing.
      const asked = { key, chain: chainOf(1, blocks), tokens: blocks * 64 + 50 };
      const extra = 50 * Math.min(1, blocks / 100 / 0.125);
      const worth = 4 * blocks * 64 - extra;
      loads(pool, [0, 0, Math.floor(worth) - 1, 0]);
      expect(pool.pick(asked)[0]).toBe(2);
      loads(pool, [0, 0, Math.ceil(worth) + 1, 0]);
      expect(pool.pick(asked)[0]).not.toBe(2);
    }
  });

  it("are left for others when they are over their bound, however much they have", () => {
    const pool = new TestPool({ policy, least: 4, bound: 1 }).fill([1, 1, 1, 1]);
    const [first = -1, second = -1] = orderOf(pool, 4);
    warm(pool, second, 1, 10);
    const inflight = [0, 0, 0, 0];
    inflight[second] = 3;
    loads(pool, [], inflight);
    wasm.setOthers(pool.id, second, 3, 0);
    expect(pool.pick({ key, chain: chainOf(1, 10) })[0]).toBe(second);
    wasm.setOthers(pool.id, second, 4, 0);
    expect(pool.pick({ key, chain: chainOf(1, 10) })[0]).toBe(first);
    // Nobody has room: then affinity is as good as anything.
    for (let slot = 0; slot < 4; slot++) wasm.setOthers(pool.id, slot, 100, 0);
    expect(pool.pick({ key, chain: chainOf(1, 10) })[0]).toBe(second);
  });

  it("of several texts are told apart by what comes first", () => {
    const pool = new TestPool({ policy }).fill([1, 1, 1]);
    const chain = chainOf(1, 12, 5, 6);
    putChain(chainOf(1, 12, 5, 0).slice(6));
    warm(pool, 0, 1, 6);
    putChain(chain.slice(6));
    wasm.learn(pool.id, 1, 6);
    expect(pool.pick({ key, chain })[0]).toBe(0);
    expect(wasm.listMatched()).toBe(6);
  });
});

describe("cold prompts", () => {
  it("go by the order of their key, past those that have more to do", () => {
    const pool = new TestPool({ policy, slack: 1000 }).fill([1, 1, 1, 1]);
    const [first = -1, second = -1, third = -1] = orderOf(pool, 4);
    const pending = [0, 0, 0, 0];
    expect(pool.pick({ key })).toEqual([first, second, third]);
    pending[first] = 1000;
    loads(pool, pending);
    expect(pool.pick({ key })[0]).toBe(first);
    pending[first] = 1001;
    loads(pool, pending);
    expect(pool.pick({ key }).slice(0, 2)).toEqual([second, third]);
    pending[second] = 2000;
    loads(pool, pending);
    expect(pool.pick({ key })[0]).toBe(third);
  });

  it("without a key go where the least is to do", () => {
    const pool = new TestPool({ policy }).fill([1, 1, 1, 1]);
    loads(pool, [500, 300, 200, 600]);
    expect(pool.pick({ tokens: 100 })).toEqual([2, 1, 0]);
    loads(pool, [0, 0, 0, 0], [5, 4, 9, 3]);
    expect(pool.pick({ tokens: 100 })).toEqual([3, 1, 0]);
    loads(pool, [0, 100, 0, 0], [5, 4, 9, 6]);
    expect(pool.pick({ tokens: 100 })).toEqual([0, 1, 3]);
    // Among equals: by chance, and not always the same one.
    loads(pool, [0, 0, 0, 0]);
    const counts = pool.counts(2000, () => ({ tokens: 100 }), 4);
    expect(Math.min(...counts)).toBeGreaterThan(400);
  });

  it("weigh loads by the share of an endpoint", () => {
    const pool = new TestPool({ policy }).fill([1, 3]);
    loads(pool, [1000, 2900]);
    expect(pool.pick({ tokens: 0 })[0]).toBe(1);
    loads(pool, [1000, 3100]);
    expect(pool.pick({ tokens: 0 })[0]).toBe(0);
    loads(pool, [0, 0], [10, 29]);
    expect(pool.pick({ tokens: 0 })[0]).toBe(1);
  });

  it("send the next one with the same beginning where the first one went, even before it is answered", () => {
    const pool = new TestPool({ policy }).fill(new Array<number>(8).fill(1));
    const slots = new Set<number>();
    for (let turn = 1; turn <= 10; turn++) {
      const asked = { key: BigInt(turn), chain: chainOf(7, 10 * turn), now: turn };
      const slot = pool.send(turn, turn === 1 ? asked : { ...asked, chain: chainOf(7, 10 + turn) });
      slots.add(slot);
    }
    expect(slots.size).toBe(1);
  });
});

describe("memory", () => {
  /** The most that may be pending at `other`, which is emptier, for a prompt of `tokens` that nobody has. */
  function advantage(pool: TestPool, other: number, tokens: number, now = 0): number {
    let [low, high] = [0, 10 * tokens];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      const pending = [0, 0];
      pending[other] = middle;
      loads(pool, pending);
      if (pool.pick({ tokens, now })[0] === other) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  it("is filled evenly: a new prompt goes where there is more room, for a wait of its own length at most", () => {
    for (const [blocks, expected] of [
      [0, 0],
      [5, 400],
      [10, 800],
      [13, 1000],
      [60, 1000],
    ] as const) {
      const pool = new TestPool({ policy }).fill([1, 1]);
      warm(pool, 0, 1, blocks);
      expect(Math.abs(advantage(pool, 1, 1000) - expected)).toBeLessThanOrEqual(1);
    }
  });

  it("that is full is taken where what goes has been used longest ago", () => {
    const pool = new TestPool({ policy, blocks: 10 }).fill([1, 1]);
    pool.pick({ now: 1000 });
    warm(pool, 0, 1, 10);
    pool.pick({ now: 3000 });
    warm(pool, 1, 2, 10);
    // Ages of 4000 and 2000 ms: half of the turnover between them, which is 0.1 of the cache.
    expect(Math.abs(advantage(pool, 0, 1000, 5000) - 800)).toBeLessThanOrEqual(1);
    pool.pick({ now: 6000 });
    warm(pool, 0, 1, 10);
    expect(Math.abs(advantage(pool, 1, 1000, 7000) - 1000)).toBeLessThanOrEqual(1);
    // Used again, though it was the newest already.
    const single = new TestPool({ policy, blocks: 1 }).fill([1, 1]);
    single.pick({ now: 1000 });
    warm(single, 0, 1, 1);
    warm(single, 1, 2, 1);
    single.pick({ now: 5000 });
    warm(single, 0, 1, 1);
    expect(advantage(single, 1, 1000, 6000)).toBeGreaterThan(990);
    // Full is fuller than nearly full, whatever the age.
    const other = new TestPool({ policy, blocks: 10 }).fill([1, 1]);
    warm(other, 0, 1, 10);
    warm(other, 1, 2, 9);
    expect(advantage(other, 1, 1000, 9000)).toBeGreaterThan(700);
  });
});

describe("predictions that are wrong", () => {
  it("count for less, and for more again when they come true", () => {
    const pool = new TestPool({ policy }).fill([1, 1]);
    const cold = orderOf(pool, 2)[0] ?? -1;
    const slot = 1 - cold;
    const chain = chainOf(1, 10);
    warm(pool, slot, 1, 10);
    expect(pool.send(1, { key, chain })).toBe(slot);
    expect(wasm.ticketPredicted(1)).toBe(640);
    wasm.correct(pool.id, 1, 640, 600);
    expect(wasm.trust(pool.id, slot)).toBe(1);
    for (let i = 0; i < 8; i++) wasm.correct(pool.id, 1, 640, 0);
    expect(wasm.trust(pool.id, slot)).toBeCloseTo((15 / 16) ** 8, 9);
    expect(pool.pick({ key, chain })[0]).toBe(slot);
    expect(wasm.listUncached()).toBe(Math.trunc(640 - 640 * (15 / 16) ** 8));
    for (let i = 0; i < 4; i++) wasm.correct(pool.id, 1, 640, 0);
    expect(wasm.trust(pool.id, slot)).toBeLessThan(0.5);
    expect(pool.pick({ key, chain })[0]).toBe(cold);
    for (let i = 0; i < 100; i++) wasm.correct(pool.id, 1, 640, 0);
    expect(wasm.trust(pool.id, slot)).toBe(0.25);
    for (let i = 0; i < 100; i++) wasm.correct(pool.id, 1, 640, 1_000_000);
    expect(wasm.trust(pool.id, slot)).toBeGreaterThan(0.98);
    expect(wasm.trust(pool.id, slot)).toBeLessThanOrEqual(1);
    expect(pool.pick({ key, chain })[0]).toBe(slot);
  });

  it("teach nothing when nothing was predicted, or nothing is known, or another endpoint is there", () => {
    const pool = new TestPool({ policy }).fill([1]);
    pool.send(1, { key, chain: chainOf(1, 10) });
    wasm.correct(pool.id, 1, 0, 0);
    wasm.correct(pool.id, 1, 100, -1);
    expect(wasm.trust(pool.id, 0)).toBe(1);
    for (let i = 0; i < 50; i++) wasm.correct(pool.id, 1, 100, 0);
    wasm.remove(pool.id, 0);
    pool.add(9);
    expect(wasm.trust(pool.id, 0)).toBe(1);
    wasm.correct(pool.id, 1, 100, 0);
    expect(wasm.trust(pool.id, 0)).toBe(1);
  });

  it("make the cache count as smaller", () => {
    const pool = new TestPool({ policy, blocks: 40 }).fill([1]);
    pool.send(1, { key, chain: chainOf(1, 40) });
    expect(wasm.indexCountOf(pool.id, 0)).toBe(40);
    for (let i = 0; i < 100; i++) wasm.correct(pool.id, 1, 640, 0);
    for (let name = 2; name < 30; name++) pool.send(name, { key, chain: chainOf(name, 2) });
    expect(wasm.indexCountOf(pool.id, 0)).toBe(10);
    wasm.setBlocks(pool.id, 0, 80);
    for (let name = 30; name < 60; name++) pool.send(name, { key, chain: chainOf(name, 2) });
    expect(wasm.indexCountOf(pool.id, 0)).toBe(20);
  });
});

it("spreads a popular beginning over as many endpoints as its load needs", () => {
  const pool = new TestPool({ policy, capacity: 32 }).fill(new Array<number>(32).fill(1));
  const random = randomBits(9n);
  const open: number[] = [];
  for (let at = 0; at < 3000; at++) {
    const popular = random() % 5n === 0n;
    const ticket = at % 3000;
    const name = popular ? 1 : Number(random() % 300n) + 2;
    pool.send(ticket, { key: BigInt(name), chain: chainOf(name, 16), now: at });
    wasm.firstByte(pool.id, ticket, at);
    open.push(ticket);
    // 640 in flight, which is 20 for each.
    if (open.length > 640) wasm.done(pool.id, open.shift() ?? 0, at, Outcome.Success);
  }
  const inflight = pool.inflights(32);
  expect(Math.max(...inflight)).toBeLessThanOrEqual(Math.ceil((1.5 * 641) / 32));
  expect(inflight.reduce((sum, count) => sum + count)).toBe(640);
});
