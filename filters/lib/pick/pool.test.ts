import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { addressOf, chainOf, Outcome, policies, putChain, TestPool, wasm } from "../../../test/lib/pick-driver.ts";

/** What is counted for requests that were sent, what becomes of endpoints that go and come, and what is told to other workers. */

beforeEach(() => wasm.reset());

/** Tickets and their endpoint as a plain model; an endpoint is known by a number that is used once. */
class Model {
  readonly slots: (number | undefined)[];
  readonly tickets = new Map<number, { endpoint: number; pending: number }>();

  constructor(capacity: number) {
    this.slots = new Array<number | undefined>(capacity).fill(undefined);
  }

  own(slot: number): [inflight: number, pending: number] {
    const here = [...this.tickets.values()].filter(({ endpoint }) => endpoint === this.slots[slot]);
    return [here.length, here.reduce((sum, { pending }) => sum + pending, 0)];
  }
}

type Step =
  | { kind: "send"; ticket: number; tokens: number }
  | { kind: "first" | "done" | "served"; ticket: number; slot: number; outcome: number }
  | { kind: "add" }
  | { kind: "remove"; slot: number };

const ticket = fc.integer({ min: 0, max: 9 });
const slot = fc.integer({ min: 0, max: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    arbitrary: fc.record({ kind: fc.constant("send" as const), ticket, tokens: fc.integer({ min: 0, max: 500 }) }),
    weight: 6,
  },
  {
    arbitrary: fc.record({
      kind: fc.constantFrom("first" as const, "done" as const, "done" as const, "served" as const),
      ticket,
      slot,
      outcome: fc.integer({ min: 0, max: 2 }),
    }),
    weight: 8,
  },
  { arbitrary: fc.record({ kind: fc.constant("add" as const) }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constant("remove" as const), slot }), weight: 1 },
);

describe.each(policies)("what is in flight with %s", (policy) => {
  it("is what was sent and is not over, at every endpoint that is still there", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        wasm.reset();
        const pool = new TestPool({ policy, capacity: 4 });
        const model = new Model(4);
        let next = 1;
        for (const [now, todo] of steps.entries()) {
          if (todo.kind === "add") {
            const at = pool.add(next, { now });
            expect(at).toBe(model.slots.indexOf(undefined));
            if (at >= 0) model.slots[at] = next;
            next++;
            wasm.build(pool.id);
          } else if (todo.kind === "remove") {
            wasm.remove(pool.id, todo.slot);
            model.slots[todo.slot] = undefined;
          } else if (todo.kind === "send") {
            const at = pool.send(todo.ticket, { now, tokens: todo.tokens, key: 5n });
            const endpoint = model.slots[at];
            if (endpoint !== undefined) model.tickets.set(todo.ticket, { endpoint, pending: todo.tokens });
            else expect(at).toBe(-1);
          } else if (todo.kind === "first") {
            wasm.firstByte(pool.id, todo.ticket, now);
            const sent = model.tickets.get(todo.ticket);
            if (sent !== undefined) sent.pending = 0;
          } else if (todo.kind === "done") {
            wasm.done(pool.id, todo.ticket, now, todo.outcome);
            model.tickets.delete(todo.ticket);
          } else {
            const endpoint = model.slots[todo.slot];
            if (endpoint === undefined) continue;
            wasm.served(pool.id, todo.ticket, todo.slot, 0, now);
            const sent = model.tickets.get(todo.ticket);
            if (sent !== undefined) sent.endpoint = endpoint;
          }
          for (let at = 0; at < 4; at++) {
            if (model.slots[at] === undefined) continue;
            expect([wasm.ownInflight(pool.id, at), wasm.ownPending(pool.id, at)]).toEqual(model.own(at));
          }
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe("another endpoint in the same slot", () => {
  it("has nothing of the one before", () => {
    const pool = new TestPool({ policy: "prefix-affinity", slowStartMs: 1000 }).fill([5, 1]);
    const chain = chainOf(1, 10);
    pool.send(1, { chain, subset: [0] });
    wasm.firstByte(pool.id, 1, 50);
    expect(wasm.responseTime(pool.id, 0, 50)).toBe(50);
    wasm.setOthers(pool.id, 0, 7, 700);
    wasm.setSnapshot(pool.id, 0, 0, 3, 4, 500, 0);
    wasm.addModel(pool.id, 0, 9n);
    wasm.setDraining(pool.id, 0, true);
    wasm.setHealthy(pool.id, 0, false, 0);
    wasm.setBlocks(pool.id, 0, 3);
    wasm.remove(pool.id, 0);
    expect(wasm.find(pool.id, addressOf(1))).toBe(-1);
    expect(pool.add(3, { now: 400 })).toBe(0);
    expect(wasm.indexCountOf(pool.id, 0)).toBe(0);
    expect([wasm.inflight(pool.id, 0), wasm.pending(pool.id, 0)]).toEqual([0, 0]);
    expect(pool.pick({ now: 400, model: 5n, subset: [0], chain })).toEqual([0]);
    expect([wasm.listMatched(), wasm.listBest()]).toEqual([0, 0]);
    expect(wasm.power(pool.id, 0, 900)).toBe(0.5);
    expect(wasm.saturation(pool.id, 400, 1, 100)).toBe(1);
    expect(wasm.responseTime(pool.id, 0, 400)).toBe(1000);
    putChain(chain);
    wasm.learn(pool.id, 0, 10);
    expect(wasm.indexCountOf(pool.id, 0)).toBe(10);
  });

  it("is not touched by what the requests of the one before still do", () => {
    const pool = new TestPool({ policy: "prefix-affinity" }).fill([1]);
    const chain = chainOf(1, 5);
    for (let at = 0; at < 5; at++) pool.send(at, { tokens: 100 });
    wasm.remove(pool.id, 0);
    pool.add(2);
    pool.send(9, { tokens: 70, now: 10 });
    wasm.firstByte(pool.id, 0, 20);
    wasm.done(pool.id, 0, 30, Outcome.Success);
    wasm.done(pool.id, 1, 30, Outcome.Failure);
    wasm.served(pool.id, 2, 0, 0, 30);
    putChain(chain);
    wasm.cached(pool.id, 3, 5);
    wasm.fill(pool.id, 3, 5);
    expect(wasm.onProbation(pool.id, 0)).toBe(0);
    expect(wasm.responseTime(pool.id, 0, 30)).toBe(1000);
    expect(wasm.indexCountOf(pool.id, 0)).toBe(0);
    // The one that was served by the new endpoint counts there now, the others do not.
    expect([wasm.inflight(pool.id, 0), wasm.pending(pool.id, 0)]).toEqual([2, 170]);
  });

  it("is not told about by news of the one before", () => {
    const pool = new TestPool({ policy: "prefix-affinity" }).fill([1, 1]);
    pool.send(1, { chain: chainOf(1, 3), subset: [0] });
    pool.send(2, { chain: chainOf(2, 2), subset: [1] });
    wasm.remove(pool.id, 0);
    expect(wasm.newsCount(pool.id)).toBe(2);
    expect([wasm.newsSlot(pool.id, 0), wasm.newsSlot(pool.id, 1)]).toEqual([1, 1]);
    expect(wasm.newsHash(pool.id, 1)).toBe(BigInt.asIntN(64, chainOf(2, 2)[0] ?? 0n));
  });

  it("begins without the quarantine of the one before", () => {
    const pool = new TestPool({ policy: "least-request" }).fill([1]);
    pool.send(1);
    pool.fail(0, 0);
    wasm.remove(pool.id, 0);
    pool.add(2, { now: 1 });
    expect(wasm.onProbation(pool.id, 0)).toBe(0);
    pool.send(2, { now: 1 });
    wasm.done(pool.id, 2, 1, Outcome.Failure);
    expect(wasm.quarantineEnd(pool.id, 0)).toBe(1001);
  });

  it("takes the lowest slot, and an endpoint that is there keeps its own", () => {
    const pool = new TestPool({ policy: "random", capacity: 3 }).fill([1, 1, 1]);
    expect(pool.add(4)).toBe(-1);
    wasm.remove(pool.id, 1);
    wasm.remove(pool.id, 0);
    expect(pool.add(3, { weight: 7 })).toBe(2);
    expect(wasm.power(pool.id, 2, 0)).toBe(7);
    expect(pool.add(4)).toBe(0);
    expect(wasm.find(pool.id, addressOf(4))).toBe(0);
  });
});

describe("news", () => {
  it("are the blocks that an endpoint used, from the tail to the head, and a learner believes the same", () => {
    const pool = new TestPool({ policy: "prefix-affinity" }).fill([1]);
    const other = new TestPool({ policy: "prefix-affinity", blocks: 4 }).fill([1]);
    pool.send(1, { chain: chainOf(1, 4) });
    pool.send(2, { chain: chainOf(1, 6) });
    const hashes = Array.from({ length: wasm.newsCount(pool.id) }, (_, at) =>
      BigInt.asUintN(64, wasm.newsHash(pool.id, at)),
    );
    const chain = chainOf(1, 6);
    expect(hashes).toEqual([3, 2, 1, 0, 5, 4, 3, 2, 1, 0].map((at) => chain[at]));
    putChain(hashes.slice(0, 4));
    wasm.learn(other.id, 0, 4);
    expect(wasm.newsCount(other.id)).toBe(0);
    putChain([99n, 98n]);
    wasm.learn(other.id, 0, 2);
    other.pick({ chain });
    expect(wasm.listMatched()).toBe(2);
    wasm.learn(other.id, 1, 2);
    expect(wasm.indexCountOf(other.id, 1)).toBe(0);
  });

  it("tell of a prompt that is used again, but not all the time", () => {
    const pool = new TestPool({ policy: "prefix-affinity" }).fill([1]);
    const count = () => wasm.newsCount(pool.id);
    pool.send(1, { chain: chainOf(1, 4), now: 10_000 });
    expect(count()).toBe(4);
    pool.send(2, { chain: chainOf(1, 4), now: 11_999 });
    expect(count()).toBe(4);
    pool.send(3, { chain: chainOf(1, 4), now: 12_000 });
    expect(count()).toBe(8);
    pool.send(4, { chain: chainOf(1, 4), now: 13_999 });
    expect(count()).toBe(8);
  });

  it("are bounded, taken from the front, and counted when they are lost", () => {
    const pool = new TestPool({ policy: "prefix-affinity", news: 5 }).fill([1]);
    pool.send(1, { chain: chainOf(1, 8) });
    expect([wasm.newsCount(pool.id), wasm.newsLost(pool.id)]).toEqual([5, 3n]);
    wasm.newsTake(pool.id, 2);
    const left = [5, 4, 3].map((at) => chainOf(1, 8)[at]);
    expect([0, 1, 2].map((at) => BigInt.asUintN(64, wasm.newsHash(pool.id, at)))).toEqual(left);
    wasm.newsTake(pool.id, 100);
    expect(wasm.newsCount(pool.id)).toBe(0);
  });
});

describe("a prompt longer than a cache", () => {
  it("is noted from its head on", () => {
    const pool = new TestPool({ policy: "prefix-affinity", blocks: 10 }).fill([1, 1]);
    pool.send(1, { chain: chainOf(1, 30) });
    expect(wasm.newsCount(pool.id)).toBe(10);
    pool.pick({ chain: chainOf(1, 30) });
    expect(wasm.listBest()).toBe(10);
  });

  it("does not push everybody else out of the index", () => {
    const pool = new TestPool({ policy: "prefix-affinity", capacity: 2, blocks: 50, pairs: 60 }).fill([1, 1]);
    pool.send(1, { chain: chainOf(1, 20), subset: [0] });
    pool.send(2, { chain: chainOf(2, 50), subset: [1] });
    expect([wasm.indexCountOf(pool.id, 0), wasm.indexCountOf(pool.id, 1)]).toEqual([20, 40]);
  });
});

it("notes what an answer left in the cache, and what it took", () => {
  const pool = new TestPool({ policy: "prefix-affinity", blocks: 20 }).fill([1]);
  pool.send(1, { chain: chainOf(1, 6) });
  putChain(chainOf(1, 9));
  wasm.done(pool.id, 1, 5, Outcome.Success);
  wasm.cached(pool.id, 1, 9);
  pool.pick({ chain: chainOf(1, 12) });
  expect(wasm.listBest()).toBe(9);
  wasm.fill(pool.id, 1, 15);
  pool.pick({ chain: chainOf(1, 12) });
  expect(wasm.listBest()).toBe(5);
});

it("moves a request to the endpoint that served it, with its chain", () => {
  const pool = new TestPool({ policy: "prefix-affinity" }).fill([1, 1]);
  const first = pool.send(1, { key: 1n, chain: chainOf(1, 4), tokens: 256 });
  const other = 1 - first;
  putChain(chainOf(1, 4));
  wasm.served(pool.id, 1, other, 4, 10);
  expect([wasm.inflight(pool.id, first), wasm.pending(pool.id, first)]).toEqual([0, 0]);
  expect([wasm.inflight(pool.id, other), wasm.pending(pool.id, other)]).toEqual([1, 256]);
  expect(wasm.indexCountOf(pool.id, other)).toBe(4);
  expect([wasm.ticketSlot(1), wasm.ticketPredicted(1)]).toEqual([other, 0]);
  wasm.firstByte(pool.id, 1, 30);
  expect(wasm.responseTime(pool.id, other, 30)).toBe(20);
  wasm.done(pool.id, 1, 40, Outcome.Success);
  wasm.done(pool.id, 1, 40, Outcome.Success);
  expect(pool.inflights(2)).toEqual([0, 0]);
});
