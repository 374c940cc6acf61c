import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type Asked,
  Outcome,
  type PolicyName,
  policies,
  randomBits,
  TestPool,
  wasm,
} from "../../../test/lib/pick-driver.ts";
import { priorityLoads } from "../../../test/lib/priority-loads.ts";

/** What holds for every policy. */

beforeEach(() => wasm.reset());
afterEach(() => wasm.reset());

const MODEL = 77n;

interface Endpoint {
  weight: number;
  priority: number;
  locality: number;
  healthy: boolean;
  degraded: boolean;
  draining: boolean;
  inSubset: boolean;
  serves: "all" | "model" | "other";
  inflight: number;
  quarantined: boolean;
}

/** Mostly usable endpoints, each with some fault now and then. */
const endpoint: fc.Arbitrary<Endpoint> = fc
  .record({
    weight: fc.integer({ min: 1, max: 5 }),
    priority: fc.integer({ min: 0, max: 2 }),
    locality: fc.integer({ min: 1, max: 2 }),
    inSubset: fc.constantFrom(true, true, false),
    serves: fc.constantFrom("all" as const, "model" as const, "other" as const),
    inflight: fc.constantFrom(0, 3, 14, 15),
    fault: fc.constantFrom("none", "none", "none", "degraded", "unhealthy", "draining", "quarantined"),
  })
  .map(({ fault, ...rest }) => ({
    ...rest,
    healthy: fault !== "unhealthy",
    degraded: fault === "degraded",
    draining: fault === "draining",
    quarantined: fault === "quarantined",
  }));

/** Who may be chosen together, and how likely that is, by the words of the documentation; in the order of the levels. */
interface Group {
  readonly load: number;
  readonly slots: readonly number[];
}

function groups(all: readonly Endpoint[], maxInflight: number, locality: number): Group[] {
  const grouped = (overlook: boolean): Group[] => {
    const asked = all.map((one, slot) => ({ ...one, slot })).filter((one) => one.inSubset && one.serves !== "other");
    const works = (one: Endpoint) => one.healthy && !one.draining && (overlook || !one.quarantined);
    const levels = [0, 1, 2].map((priority) => asked.filter((one) => one.priority === priority));
    const loads = priorityLoads(
      levels.map((level) => ({
        all: level.length,
        healthy: level.filter((one) => works(one) && !one.degraded).length,
        degraded: level.filter((one) => works(one) && one.degraded).length,
      })),
    );
    return [false, true].flatMap((degraded) =>
      levels.map((level, priority) => {
        const usable = level.filter((one) => works(one) && one.degraded === degraded && one.inflight < maxInflight);
        const near = usable.filter((one) => one.locality === locality);
        const slots = (near.length > 0 ? near : usable).map(({ slot }) => slot);
        return { load: (degraded ? loads.degraded : loads.healthy)[priority] ?? 0, slots };
      }),
    );
  };
  const first = grouped(false);
  return first.some(({ slots }) => slots.length > 0) ? first : grouped(true);
}

const levelOf = (one: Endpoint | undefined) => ({ priority: one?.priority, degraded: one?.degraded });

describe.each(policies)("%s", (policy) => {
  const unique = (at: number): Asked => ({ key: randomBits(BigInt(at))() });

  it("chooses nobody where nobody is", () => {
    const pool = new TestPool({ policy });
    expect(pool.pick()).toEqual([]);
    wasm.build(pool.id);
    expect(pool.pick({ key: 1n })).toEqual([]);
    const slot = pool.add(1);
    expect(pool.pick({ key: 1n })).toEqual([slot]);
    expect(pool.pick({ key: 1n, subset: [] })).toEqual([]);
    wasm.remove(pool.id, slot);
    expect(pool.pick({ key: 1n })).toEqual([]);
  });

  it("chooses up to three different eligible endpoints, and all of them sometimes", () => {
    fc.assert(
      fc.property(
        fc.array(endpoint, { minLength: 1, maxLength: 9 }),
        fc.bigInt({ min: 1n, max: 1000n }),
        (all, seed) => {
          wasm.reset();
          const pool = new TestPool(
            { policy, maxInflight: 15, preferLocality: true, locality: 2, foreignLoad: false },
            seed,
          );
          for (const [at, one] of all.entries()) {
            const slot = pool.add(at + 1, one);
            expect(slot).toBe(at);
            if (one.quarantined) pool.fail(slot, 0);
            if (one.serves !== "all") wasm.addModel(pool.id, slot, one.serves === "model" ? MODEL : 5n);
            wasm.setHealthy(pool.id, slot, one.healthy, 0);
            wasm.setDraining(pool.id, slot, one.draining);
            wasm.setDegraded(pool.id, slot, one.degraded);
            wasm.setOthers(pool.id, slot, one.inflight, one.inflight * 10);
          }
          wasm.build(pool.id);
          const expected = groups(all, 15, 2);
          const withRoom = expected.filter(({ slots }) => slots.length > 0);
          const drawable = expected.filter(({ load }) => load > 0);
          const chosen = new Set(drawable.map((group) => (group.slots.length > 0 ? group : withRoom[0])));
          const subset = all.flatMap((one, slot) => (one.inSubset ? [slot] : []));
          for (let at = 0; at < 4; at++) {
            const list = pool.pick({ ...unique(at), now: 500, model: MODEL, subset });
            const level = [...chosen].find((group) => group?.slots.includes(list[0] ?? -1));
            if (level === undefined) {
              expect([withRoom.length, list]).toEqual([0, []]);
              continue;
            }
            const overlooked = level.slots.some((slot) => all[slot]?.quarantined);
            expect(wasm.listDesperate() === 1).toBe(overlooked);
            const next = withRoom.find((group) => group !== level);
            const hasSpare = next !== undefined && !overlooked;
            expect(list.length).toBe(Math.min(3, level.slots.length + (hasSpare ? 1 : 0)));
            expect(new Set(list).size).toBe(list.length);
            const own = hasSpare ? list.slice(0, -1) : list;
            for (const slot of own) expect(level.slots).toContain(slot);
            if (hasSpare) expect(all[list.at(-1) ?? -1]).toMatchObject(levelOf(all[next.slots[0] ?? -1]));
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it("spills over to the next priority in proportion, and requests of one key together", () => {
    const pool = new TestPool({ policy, bound: 10, least: 1000 });
    for (const [at, priority] of [0, 0, 1, 1].entries()) pool.add(at + 1, { priority });
    wasm.build(pool.id);
    wasm.setHealthy(pool.id, 1, false, 0);
    const [first = 0, broken, ...others] = pool.counts(1000, unique, 4);
    // 140 % of a half.
    expect(Math.abs(first - 700)).toBeLessThan(60);
    expect(broken).toBe(0);
    for (const other of others) expect(other).toBeGreaterThan(50);
    for (let at = 0; at < 20; at++) {
      const levels = pool.counts(5, () => unique(at), 4);
      expect([0, 5]).toContain(levels[0]);
    }
  });

  it("does not retry at another priority that is on probation", () => {
    const pool = new TestPool({ policy });
    const first = pool.add(1);
    const second = pool.add(2, { priority: 1 });
    wasm.build(pool.id);
    expect(pool.pick(unique(1))).toEqual([first, second]);
    pool.fail(second, 0);
    expect(pool.pick({ ...unique(1), now: 5000 })).toEqual([first]);
  });

  it("reaches each of 256 endpoints", () => {
    const pool = new TestPool({ policy, capacity: 256, blocks: 20 }).fill(new Array<number>(256).fill(1));
    expect(pool.add(999)).toBe(-1);
    const counts = pool.counts(6000, unique, 256);
    expect(Math.min(...counts)).toBeGreaterThan(0);
    expect(counts.reduce((sum, count) => sum + count)).toBe(6000);
  });

  it("gives to each in proportion to its weight", () => {
    const weights = [1, 2, 3, 4, 10];
    const pool = new TestPool({ policy, bound: 10, least: 1000 }).fill(weights);
    const times = 4000;
    const counts = new Array<number>(5).fill(0);
    for (let at = 0; at < times; at++) {
      const slot = pool.send(at, unique(at));
      counts[slot] = (counts[slot] ?? 0) + 1;
      // What is fast is fast for all here: only requests that stay make a difference to response times.
      if (policy !== "least-response-time") wasm.done(pool.id, at, 0, Outcome.Success);
    }
    for (const [slot, weight] of weights.entries()) {
      const share = weight / 20;
      const tolerance = 4.5 * Math.sqrt((share * (1 - share)) / times) + 0.003;
      expect(Math.abs((counts[slot] ?? 0) / times - share)).toBeLessThan(tolerance);
    }
  });

  it("follows a change of weight", () => {
    const pool = new TestPool({ policy, bound: 10, least: 1000 }).fill([1, 1]);
    expect(pool.add(1, { weight: 9 })).toBe(0);
    let first = 0;
    for (let at = 0; at < 1000; at++) {
      if (pool.send(at, unique(at)) === 0) first++;
      if (policy !== "least-response-time") wasm.done(pool.id, at, 0, Outcome.Success);
    }
    expect(Math.abs(first - 900)).toBeLessThan(45);
  });

  it("gives alike to those of the same weight", () => {
    const pool = new TestPool({ policy }).fill([3, 3, 3, 3]);
    const counts = pool.counts(4000, unique, 4);
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(125);
  });

  it("sends next to nobody to an endpoint that fails at once", () => {
    const pool = new TestPool({ policy }).fill([1, 1, 1, 1]);
    let failed = 0;
    const open: [at: number, ticket: number][] = [];
    for (let step = 0; step < 20_000; step++) {
      const now = step * 10;
      while (open[0] !== undefined && open[0][0] <= now) {
        const [at, ticket] = open.shift() ?? [0, 0];
        wasm.done(pool.id, ticket, at, Outcome.Success);
      }
      const ticket = step % 3000;
      if (pool.send(ticket, { ...unique(step % 50), now }) === 2) {
        failed++;
        wasm.done(pool.id, ticket, now, Outcome.Failure);
      } else open.push([now + 100, ticket]);
    }
    // Over 200 s: at 0, 1, 3, 7, 15, 31, 63 and 123 s, and once more.
    expect(failed).toBeGreaterThan(1);
    expect(failed).toBeLessThan(10);
  });

  it("tries an endpoint out with one request, and takes it back when that is answered", () => {
    const pool = new TestPool({ policy }).fill([1]);
    const other = pool.add(2, { priority: 1 });
    pool.fail(0, 0);
    expect(pool.send(1, { now: 999 })).toBe(other);
    expect(pool.send(2, { now: 1000 })).toBe(0);
    expect(pool.send(3, { now: 1001 })).toBe(other);
    wasm.firstByte(pool.id, 2, 1500);
    expect(pool.send(4, { now: 1500 })).toBe(0);
    expect(pool.send(5, { now: 1501 })).toBe(0);
  });

  it("does the same again with the same random numbers", () => {
    const lists = [1, 2].map(() => {
      wasm.reset();
      const pool = new TestPool({ policy }, 5n).fill([1, 2, 2, 1, 3]);
      return Array.from({ length: 50 }, (_, at) => {
        const list = pool.pick(at % 2 === 0 ? unique(at) : {});
        wasm.sent(pool.id, at);
        return list;
      });
    });
    expect(lists[0]).toEqual(lists[1]);
  });

  it("allocates nothing for a request", () => {
    const pool = new TestPool({ policy }).fill([1, 2, 3, 1, 1]);
    pool.pick({ key: 1n, chain: [1n, 2n, 3n] });
    const top = wasm.heapTop();
    wasm.pickMany(pool.id, 1000);
    wasm.serveMany(pool.id, 1000, 5);
    expect(wasm.heapTop()).toBe(top);
  });
});

describe.each<PolicyName>(["round-robin", "random", "least-request", "least-response-time", "weighted-round-robin"])(
  "slow start with %s",
  (policy) => {
    it("gives a new endpoint its share little by little", () => {
      const pool = new TestPool({ policy, slowStartMs: 10_000 }).fill([1, 1, 1]);
      pool.add(9, { now: 20_000 });
      const share = (now: number) => {
        let first = 0;
        for (let at = 0; at < 3000; at++) {
          if (pool.send(at, { now }) === 3) first++;
          if (policy !== "least-response-time") wasm.done(pool.id, at, now, Outcome.Abandoned);
        }
        for (let at = 0; at < 3000; at++) wasm.done(pool.id, at, now, Outcome.Abandoned);
        return first / 3000;
      };
      expect(Math.abs(share(20_000) - 0.1 / 3.1)).toBeLessThan(0.02);
      expect(Math.abs(share(25_000) - 0.5 / 3.5)).toBeLessThan(0.03);
      expect(Math.abs(share(30_000) - 0.25)).toBeLessThan(0.04);
    });
  },
);

describe.each<PolicyName>(["prefix-affinity", "consistent-hash"])("bounds of %s", (policy) => {
  /** Sends requests with one key, which all stay; the requests of each slot. */
  const hot = (shape: { bound?: number; least?: number; clockwise?: boolean }, times: number, slots = 8) => {
    const pool = new TestPool({ policy, ...shape, queue: 1e9, slack: 1e9, requestTokens: 0 }).fill(
      new Array<number>(slots).fill(1),
    );
    for (let at = 0; at < times; at++) pool.send(at, { key: 42n, chain: [1n, 2n, 3n, 4n], tokens: 256 });
    return pool.inflights(slots).sort((a, b) => b - a);
  };

  it("let a pool with little to do keep all of a key at one endpoint", () => {
    expect(hot({}, 16)).toEqual([16, 0, 0, 0, 0, 0, 0, 0]);
    expect(hot({}, 17)).toEqual([16, 1, 0, 0, 0, 0, 0, 0]);
  });

  it("keep each endpoint under its share, however hot a key is", () => {
    for (const clockwise of [false, true]) {
      const counts = hot({ clockwise, bound: 1.25 }, 400);
      // Prefix affinity has several warm endpoints by then, and takes the least loaded.
      const most = Math.ceil((1.25 * 400) / 8);
      if (policy === "consistent-hash") expect(counts[0]).toBe(most);
      expect(counts[0]).toBeLessThanOrEqual(most);
      expect(counts.reduce((sum, count) => sum + count)).toBe(400);
    }
    expect(hot({ bound: 1, least: 1 }, 80)).toEqual([10, 10, 10, 10, 10, 10, 10, 10]);
  });

  it("count the request that comes", () => {
    const pool = new TestPool({ policy, bound: 1, least: 1 }).fill([1, 1, 1, 1]);
    const slots = Array.from({ length: 13 }, (_, at) => pool.send(at, { key: 42n }));
    for (const at of [4, 8, 12]) expect(slots[at]).toBe(slots[0]);
  });

  it("are shares by weight, and small while an endpoint starts slowly", () => {
    const pool = new TestPool({ policy, bound: 1, least: 1, slowStartMs: 1000, queue: 1e9, slack: 1e9 });
    pool.fill([4, 4]);
    pool.add(9, { weight: 4, now: 5000 });
    for (let at = 0; at < 210; at++) pool.send(at, { key: 42n, now: 5000 });
    expect(pool.inflights(3)).toEqual([100, 100, 10]);
  });

  it("are no reason to choose nobody", () => {
    const pool = new TestPool({ policy, bound: 1, least: 1 }).fill([1, 1]);
    wasm.setOthers(pool.id, 0, 500, 0);
    wasm.setOthers(pool.id, 1, 501, 0);
    expect(pool.pick({ key: 3n }).length).toBe(2);
  });
});

describe.each<PolicyName>(["prefix-affinity", "consistent-hash"])("keys of %s", (policy) => {
  it("stay where they are when others leave or join, and move by the share of those", () => {
    const pool = new TestPool({ policy, capacity: 16 }).fill([1, 1, 1, 1, 1, 1, 1, 1]);
    const owners = () => Array.from({ length: 2000 }, (_, at) => pool.pick({ key: randomBits(BigInt(at))() })[0] ?? -1);
    const before = owners();
    wasm.remove(pool.id, 3);
    const without = owners();
    for (const [at, owner] of before.entries()) if (owner !== 3) expect(without[at]).toBe(owner);
    expect(without).not.toContain(3);
    expect(pool.add(4)).toBe(3);
    expect(owners()).toEqual(before);
    expect(pool.add(50)).toBe(8);
    const moved = owners().filter((owner, at) => owner !== before[at]);
    expect(new Set(moved)).toEqual(new Set([8]));
    expect(Math.abs(moved.length - 2000 / 9)).toBeLessThan(60);
  });

  it("have the same endpoint in every worker, whatever its slot is", () => {
    const one = new TestPool({ policy }, 1n).fill([1, 2, 3, 1]);
    const other = new TestPool({ policy }, 2n);
    for (const at of [3, 0, 2, 1]) other.add(at + 1, { weight: [1, 2, 3, 1][at] ?? 1 });
    wasm.build(other.id);
    const slots = [3, 0, 2, 1];
    for (let key = 1n; key < 200n; key++) {
      const there = other.pick({ key }).map((slot) => slots[slot]);
      expect(there[0]).toBe(one.pick({ key })[0]);
    }
  });
});

it("spreads requests without a key over a consistent hash", () => {
  const pool = new TestPool({ policy: "consistent-hash" }).fill([1, 1, 1, 1]);
  for (const count of pool.counts(2000, () => ({}), 4)) expect(Math.abs(count - 500)).toBeLessThan(90);
});

it("offers the least loaded for a retry when nobody else on the hash has room", () => {
  const pool = new TestPool({ policy: "consistent-hash", bound: 1, least: 1 }).fill([1, 1, 1, 1]);
  for (const [slot, inflight] of [0, 100, 60, 70].entries()) wasm.setOthers(pool.id, slot, inflight, 0);
  for (let key = 0n; key < 20n; key++) expect(pool.pick({ key })).toEqual([0, 2, 3]);
});

it("draws alternates by chance, too", () => {
  const pool = new TestPool({ policy: "random" }).fill([1, 1, 1, 1]);
  const pairs = new Map<string, number>();
  for (let at = 0; at < 6000; at++) {
    const pair = pool.pick().slice(0, 2).join();
    pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
  }
  expect(pairs.size).toBe(12);
  for (const count of pairs.values()) expect(Math.abs(count - 500)).toBeLessThan(100);
});
