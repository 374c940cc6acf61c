import { describe, expect, it } from "vitest";
import { TIMING_PROFILES } from "../../../envoy/replica/timing.ts";
import { EventQueue } from "../event-queue.ts";
import { Fleet } from "../fleet.ts";
import { type PolicyFactory, perWorker } from "../policy.ts";
import { Random } from "../random.ts";
import type { Request } from "../request.ts";
import { leastRequest, queueDepth, randomChoice, roundRobin } from "./basic.ts";
import { cacheAware } from "./cache-aware.ts";
import { kvRouter } from "./kv-router.ts";
import { lmetric } from "./lmetric.ts";
import { PrefixIndex } from "./prefix-index.ts";
import {
  boundedRing,
  byFirstMessage,
  byPrefix,
  bySession,
  maglev,
  maglevTable,
  ringBounded,
  ringHash,
} from "./ring.ts";
import { stickyUntilSaturated } from "./sticky.ts";
import { weightedScorers } from "./weighted-scorers.ts";

const timing = { ...TIMING_PROFILES.h100, blockTokens: 64, kvBlocks: 100 };
let ids = 0;

/** A prompt of whole blocks and some tokens more. */
const request = (blocks: readonly number[], more: Partial<Request> = {}): Request => ({
  id: ids++,
  arrivedAt: 0,
  promptTokens: blocks.length * 64 + 32,
  outputTokens: 64,
  blocks,
  promptBlocks: blocks.length,
  session: 1,
  firstMessage: 1,
  worker: 0,
  ...more,
});

function start(factory: PolicyFactory, replicas = 3, workers = 1) {
  const fleet = new Fleet(replicas, timing);
  const queue = new EventQueue();
  const policy = factory({ fleet, queue, random: new Random(1), workers, gossipMs: undefined });
  const load = (slot: number, count: number): void => {
    for (let i = 0; i < count; i++) fleet.count(slot, 1);
  };
  /** Picks and sends. */
  const send = (one: Request): number => {
    const slot = policy.pick(one);
    fleet.count(slot, 1);
    policy.sent?.(one, slot);
    return slot;
  };
  return { fleet, policy, load, send, queue };
}

/** How often each of three slots is picked. */
function tally(times: number, pick: () => number): number[] {
  const counts = [0, 0, 0];
  for (let i = 0; i < times; i++) {
    const slot = pick();
    counts[slot] = (counts[slot] ?? 0) + 1;
  }
  return counts;
}

const chain = (from: number, length: number): number[] => Array.from({ length }, (_, index) => from + index);

describe("policies without a key", () => {
  it("round robin goes around the live ones", () => {
    const { policy, fleet } = start(roundRobin);
    const one = request([]);
    expect([0, 0, 0, 0].map(() => policy.pick(one))).toEqual([0, 1, 2, 0]);
    fleet.leave(1);
    expect(new Set([0, 0, 0, 0].map(() => policy.pick(one)))).toEqual(new Set([0, 2]));
  });

  it("random reaches everybody alike", () => {
    const { policy } = start(randomChoice);
    const counts = tally(3_000, () => policy.pick(request([])));
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(120);
  });

  it("P2C takes the less loaded of two: the fullest one only when drawn twice", () => {
    const { policy, load } = start(leastRequest);
    load(0, 5);
    load(1, 1);
    const counts = tally(9_000, () => policy.pick(request([])));
    // 1/9 both draws are 0; 1/9 + 2/9 the best of the draws is 1; 5/9 one of them is 2.
    expect(counts.map((count) => Math.round(count / 500))).toEqual([2, 6, 10]);
  });

  it("the shortest reported queue is as old as the scrape", () => {
    const { policy, fleet, queue } = start(queueDepth, 2);
    fleet.scrapeEvery(100, queue);
    fleet.engine(0).submit({ id: 1, promptTokens: 10, outputTokens: 1, blocks: [] });
    fleet.engine(1).submit({ id: 2, promptTokens: 10, outputTokens: 1, blocks: [] });
    fleet.engine(1).submit({ id: 3, promptTokens: 10, outputTokens: 1, blocks: [] });
    const before = new Set(Array.from({ length: 50 }, () => policy.pick(request([]))));
    expect(before).toEqual(new Set([0, 1]));
    queue.runUntil(101);
    expect(new Set(Array.from({ length: 50 }, () => policy.pick(request([]))))).toEqual(new Set([0]));
  });
});

describe("consistent hashing", () => {
  const sessions = Array.from({ length: 400 }, (_, session) => request([session], { session, firstMessage: session }));

  it.each([
    ["ring_hash", ringHash(bySession)],
    ["maglev", maglev(bySession)],
    ["bounded ring", ringBounded(bySession, 1.25)],
    ["CHWBL", boundedRing(byFirstMessage)],
  ])("%s sticks, spreads, and moves little when one leaves", (_, factory) => {
    const { policy, fleet } = start(factory, 8);
    const before = sessions.map((one) => policy.pick(one));
    expect(sessions.map((one) => policy.pick(one))).toEqual(before);
    for (let slot = 0; slot < 8; slot++) expect(before.filter((one) => one === slot).length).toBeGreaterThan(20);
    fleet.leave(3);
    policy.left?.(3);
    const moved = sessions.filter((one, index) => policy.pick(one) !== before[index] && before[index] !== 3);
    expect(moved.length).toBeLessThan(45); // ring points change with the number of endpoints, as in Envoy
    expect(sessions.map((one) => policy.pick(one))).not.toContain(3);
  });

  it("takes the key that it is said to: prefix, first message, session", () => {
    const same = request([1, 2, 3, 4, 5], { session: 7, firstMessage: 8 });
    expect(byPrefix(request([1, 2, 3, 4, 99], { session: 0 }))).toBe(byPrefix(same));
    expect(byPrefix(request([1, 2, 3, 98, 5]))).not.toBe(byPrefix(same));
    expect(byPrefix(request([1, 2]))).toBe(byPrefix(request([0, 2])));
    expect(byFirstMessage(request([1], { firstMessage: 8 }))).toBe(byFirstMessage(same));
    expect(bySession(request([1], { session: 7 }))).toBe(bySession(same));
  });

  it("leaves an endpoint that is over 1.25 times its share, and only then", () => {
    for (const factory of [boundedRing(bySession), ringBounded(bySession, 1.25)]) {
      const { policy, load } = start(factory, 4);
      const one = request([1]);
      const owner = policy.pick(one);
      load(owner, 4);
      const others = [0, 1, 2, 3].filter((slot) => slot !== owner);
      for (const slot of others) load(slot, 3);
      expect(policy.pick(one)).toBe(owner); // 4 of 13: the bound is 1.25 x 14 / 4 = 4.4
      load(owner, 2);
      expect(others).toContain(policy.pick(one)); // 6 of 15: 1.25 x 16 / 4 = 5
    }
  });

  it("fills a Maglev table evenly", () => {
    const table = maglevTable([0, 1, 2], 1_009);
    for (const slot of [0, 1, 2]) expect(table.filter((one) => one === slot).length).toBeGreaterThanOrEqual(336);
  });
});

describe("PrefixIndex", () => {
  it("matches from the first block on, contiguously only if it is told to", () => {
    for (const [contiguous, expected] of [
      [true, 1],
      [false, 2],
    ] as const) {
      const index = new PrefixIndex(2, { capacity: 10, touch: "tail", contiguous });
      index.add([1, 2, 3], 3, 0);
      index.add([1, 9, 3], 3, 1);
      expect([...index.match([1, 2, 3], 3)]).toEqual([3, expected]);
    }
  });

  it("evicts the head or the tail of a chain first", () => {
    for (const [touch, expected] of [
      ["head", 0],
      ["tail", 2],
    ] as const) {
      const index = new PrefixIndex(1, { capacity: 3, touch, contiguous: true });
      index.add([1, 2, 3], 3, 0);
      index.add([8], 1, 0);
      expect([...index.match([1, 2, 3], 3)]).toEqual([expected]);
    }
  });

  it("forgets an endpoint", () => {
    const index = new PrefixIndex(2, { capacity: 3, touch: "tail", contiguous: true });
    index.add([1], 1, 0);
    index.add([1], 1, 1);
    index.forget(0);
    expect([...index.match([1], 1)]).toEqual([0, 1]);
    expect([index.has(0, 1), index.has(1, 1)]).toEqual([false, true]);
  });
});

describe("policies with an index", () => {
  it("SGLang follows the longest match above 30 %, else the least load, and drops affinity when loads differ by 64 and half", () => {
    const { load, send } = start(cacheAware, 2);
    const first = send(request(chain(0, 10)));
    const other = 1 - first;
    load(first, 20);
    expect(send(request(chain(0, 10)))).toBe(first);
    expect(send(request([0, 1, 2, ...chain(50, 7)]))).toBe(other); // 3 of 10 are not above
    load(first, 60);
    expect(send(request(chain(0, 10)))).toBe(other);
  });

  it("GIE adds 3 x prefix, 2 x queue, 2 x free cache", () => {
    const { fleet, send, policy } = start(weightedScorers, 2);
    const first = send(request(chain(0, 10)));
    expect(policy.pick(request(chain(0, 10)))).toBe(first);
    // One waits there: 3 + 0 + 2 against 0 + 2 + 2.
    fleet.engine(first).submit({ id: 1, promptTokens: 64, outputTokens: 1, blocks: [] });
    expect(policy.pick(request(chain(0, 10)))).toBe(first);
    // 3 of 10 blocks: 0.9 + 0 + 2 against 4.
    expect(policy.pick(request([0, 1, 2, ...chain(50, 7)]))).toBe(1 - first);
  });

  it("llm-d sticks to 80 % cached however many requests are there, until tau uncached tokens", () => {
    const { load, policy, send } = start(stickyUntilSaturated, 2);
    const one = request(chain(0, 10));
    const first = send(one);
    policy.firstToken?.(one, first);
    load(first, 100);
    expect(policy.pick(request(chain(0, 10)))).toBe(first);
    expect(policy.pick(request([...chain(0, 8), 90, 91]))).not.toBe(undefined);
    // 400,000 tokens that nobody has cached, sent to the warm one.
    policy.pick(request(chain(0, 10)));
    const long = request([], { promptTokens: 400_000 });
    policy.pick(long);
    policy.sent?.(long, first);
    expect(policy.pick(request(chain(0, 10)))).toBe(1 - first);
    policy.firstToken?.(long, first);
    expect(policy.pick(request(chain(0, 10)))).toBe(first);
  });

  it("LMetric multiplies uncached tokens and requests", () => {
    const { load, send, policy } = start(lmetric, 2);
    const one = request(chain(0, 10));
    const first = send(one); // 672 tokens pending, one in flight
    policy.firstToken?.(one, first);
    // 32 x (1 + 1 + 18) = 640 against 672 x 1; with two more 704.
    load(first, 18);
    expect(policy.pick(request(chain(0, 10)))).toBe(first);
    load(first, 2);
    expect(policy.pick(request(chain(0, 10)))).toBe(1 - first);
  });

  it("Dynamo adds blocks to compute and blocks that decode, from the engines' own caches", () => {
    const { fleet, policy } = start(kvRouter, 2);
    const blocks = chain(0, 10);
    const engine = fleet.engine(1);
    engine.submit({ id: 1, promptTokens: 640, outputTokens: 1, blocks });
    engine.begin();
    engine.complete();
    // 0.5 blocks to compute there, 10.5 at the other.
    expect(policy.pick(request(blocks))).toBe(1);
    engine.submit({ id: 2, promptTokens: 1_280, outputTokens: 5, blocks: chain(100, 20) });
    engine.begin();
    expect(policy.pick(request(blocks))).toBe(0); // 20 blocks decode there
  });

  it("in several processes know only their own requests", () => {
    const { send, policy } = start(perWorker(stickyUntilSaturated), 8, 2);
    const first = send(request(chain(0, 10), { worker: 0 }));
    const picks = Array.from({ length: 40 }, () => policy.pick(request(chain(0, 10), { worker: 1 })));
    expect(new Set(picks).size).toBeGreaterThan(1);
    expect(policy.pick(request(chain(0, 10), { worker: 0 }))).toBe(first);
  });
});
