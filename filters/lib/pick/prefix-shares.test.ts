import { beforeEach, describe, expect, it } from "vitest";
import { chainOf, Outcome, putChain, TestPool, wasm } from "../../../test/lib/pick-driver.ts";

/** What depends on the requests before: how much of them begins alike, and what comes back to a full cache. */

beforeEach(() => wasm.reset());

const policy = "prefix-affinity";
const key = 42n;

/** Endpoint `slot` has the first `blocks` of text `name`. */
function warm(pool: TestPool, slot: number, name: number, blocks: number): void {
  putChain(chainOf(name, blocks));
  wasm.learn(pool.id, slot, blocks);
}

function inflight(pool: TestPool, counts: readonly number[], pending: readonly number[] = []): void {
  for (const [slot, count] of counts.entries()) wasm.setOthers(pool.id, slot, count, pending[slot] ?? 0);
}

describe("a beginning that only one endpoint has", () => {
  /** 40 requests in flight, `own` of them at endpoint 0, which has the text; whether the next one goes there, too. */
  function stays(pool: TestPool, own: number): boolean {
    const rest = Math.floor((40 - own) / 3);
    inflight(pool, [own, 40 - own - 2 * rest, rest, rest]);
    return pool.pick({ key, chain: chainOf(1, 30) })[0] === 0;
  }

  /** `share` of 1000 requests, as a part of 20, begin with the text; the others with texts of their own, or with nothing that is cached. */
  function after(share: number): TestPool {
    const pool = new TestPool({ policy, bound: 1.2, least: 24, blocks: 10_000 }).fill([1, 1, 1, 1]);
    warm(pool, 0, 1, 30);
    for (let name = 2; name < 100; name++) warm(pool, 0, name, 2);
    for (let at = 0; at < 1000; at++) {
      const other = at % 2 === 0 ? chainOf(2 + (at % 98), 2) : chainOf(1000 + at, 2);
      pool.pick({ key, chain: at % 20 < share ? chainOf(1, 30) : other });
    }
    return pool;
  }

  it("may stay over the bound when it is little: up to twice the bound", () => {
    // The bound is 24, whatever is fair; twice 1.2 times a share of 41 / 4 is 24.6.
    for (const share of [0, 1, 2]) {
      const pool = after(share);
      expect([stays(pool, 24), stays(pool, 25)]).toEqual([true, false]);
    }
  });

  it("keeps to the bound when it is up to a fair share", () => {
    const pool = after(4);
    expect([stays(pool, 23), stays(pool, 24)]).toEqual([true, false]);
  });

  it("is copied when it is more than a fair share, as soon as the endpoint has more than that", () => {
    const pool = after(8);
    // 1.2 times a share of 41 / 4 is 12.3.
    expect([stays(pool, 12), stays(pool, 13)]).toEqual([true, false]);
  });

  it("is no more copied when as many have it as its load needs", () => {
    const pool = after(8);
    warm(pool, 1, 1, 30);
    inflight(pool, [13, 24, 1, 2]);
    expect(pool.pick({ key, chain: chainOf(1, 30) })[0]).toBe(0);
  });

  it("may have some requests at one endpoint while there are few", () => {
    const pool = after(20);
    inflight(pool, [7, 0, 0, 0]);
    expect(pool.pick({ key, chain: chainOf(1, 30) })[0]).toBe(0);
    inflight(pool, [8, 0, 0, 0]);
    expect(pool.pick({ key, chain: chainOf(1, 30) })[0]).not.toBe(0);
  });

  it("that was frequent long ago is not frequent", () => {
    const pool = after(20);
    expect(stays(pool, 13)).toBe(false);
    for (let at = 0; at < 2000; at++) pool.pick({ key, chain: chainOf(5000 + at, 2) });
    expect(stays(pool, 24)).toBe(true);
  });
});

describe("a wait for what is cached", () => {
  const text = 1_000_000;

  /** Tokens that may be pending at the one endpoint that has a prompt of 10 blocks; `others` are pending at each of the others. */
  function patience(pool: TestPool, others = 0): number {
    const asked = { key, chain: chainOf(text, 10), tokens: 640 };
    let [low, high] = [0, 10_000];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      inflight(pool, [0, 0, 0, 0], [others + middle, others, others, others]);
      if (pool.pick(asked)[0] === 0) low = middle;
      else high = middle - 1;
    }
    return low / 640;
  }

  /** Caches of 100 blocks, full; then `prompts` of 10 blocks each come to each of them, one each 10 ms. */
  function filled(prompts: number, name: (at: number) => number): TestPool {
    const pool = new TestPool({ policy, blocks: 100, slack: 0 }).fill([1, 1, 1, 1]);
    for (let at = 0; at < prompts; at++) {
      pool.pick({ now: at * 10 });
      for (let slot = 0; slot < 4; slot++) warm(pool, slot, name(at), 10);
    }
    warm(pool, 0, text, 10);
    return pool;
  }

  it("is four times as long as to compute it, as far as anybody knows", () => {
    expect(patience(filled(5, (at) => at))).toBeCloseTo(4, 1);
  });

  it("is not longer than that when nothing that goes comes back", () => {
    // 20,000 blocks of each are gone; what nobody knew has faded.
    expect(patience(filled(2000, (at) => at))).toBeLessThan(1.4);
  });

  it("is as long as ever when everything comes back just before it would go", () => {
    const pool = filled(2000, (at) => at % 10);
    expect(patience(pool)).toBeGreaterThan(3.5);
  });

  it("is between these when half of it comes back", () => {
    // Five prompts come again and again, and five never do.
    const pool = filled(2000, (at) => (at % 2 === 0 ? (at / 2) % 4 : 10 + at));
    expect(patience(pool)).toBeGreaterThan(1.2);
    expect(patience(pool)).toBeLessThan(4);
  });

  it("is twice as long as the compute time when half of what was sent comes back", () => {
    const pool = new TestPool({ policy, blocks: 100, slack: 0 }).fill([1, 1, 1, 1]);
    for (let at = 0; at < 3000; at++) {
      const name = at % 2 === 0 ? (at / 2) % 4 : 10 + at;
      pool.send(at % 4, { key, chain: chainOf(name, 10), now: at * 10, subset: [3] });
    }
    for (let ticket = 0; ticket < 4; ticket++) wasm.done(pool.id, ticket, 40_000, Outcome.Success);
    warm(pool, 0, text, 10);
    // Times 5/4, because the endpoint that has it is busy.
    expect(patience(pool)).toBeGreaterThan(2.2);
    expect(patience(pool)).toBeLessThan(2.8);
  });

  it("is longer when everybody has something to compute: work makes others wait", () => {
    const pool = filled(2000, (at) => at);
    expect(patience(pool)).toBeLessThan(2.1);
    expect(patience(pool, 1)).toBeGreaterThan(3.5);
  });
});
