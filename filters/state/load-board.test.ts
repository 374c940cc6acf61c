import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memoryGrowth } from "../../test/host/flat-memory.ts";
import { Status } from "../../test/host/index.ts";
import {
  type BoardWorker,
  begin,
  get,
  type Load,
  type Quarantine,
  set,
  somePools,
  startBoards,
  type Told,
} from "../../test/state/worker-driver.ts";

/** Loads of all workers: what is read is what the living have said, against a reference; and what it costs. */

const keyOf = (slot: string) => `tm.ep.1.0000000000000007.l${slot}`;
const endpointOf = (n: number) => 0x1000_0000_0000_0000n + BigInt(n);

async function started(count: number, options = {}) {
  const boards = await startBoards(count, options);
  return { ...boards, workers: boards.workers as [BoardWorker, BoardWorker, BoardWorker] };
}

const one = (inflight: number, pending = 0, endpoint = 1, pool = 0): Load => ({
  pool,
  endpoint: endpointOf(endpoint),
  inflight,
  pending,
});

/** Sums by pool and endpoint, sorted. */
function sums(loads: readonly Load[]): Load[] {
  const all = new Map<string, Load>();
  for (const { pool, endpoint, inflight, pending } of loads) {
    if (inflight === 0 && pending === 0) continue;
    const key = `${pool} ${endpoint}`;
    const sum = all.get(key) ?? { pool, endpoint, inflight: 0, pending: 0 };
    all.set(key, { ...sum, inflight: sum.inflight + inflight, pending: sum.pending + pending });
  }
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, load]) => load);
}

/** One tick after the other for all: says, and then reads what the others have said. */
function round(workers: readonly BoardWorker[], now: number): Told[] {
  for (const worker of workers) worker.moment(now);
  return workers.map((worker) => worker.moment(now));
}

describe("the sum over the others", () => {
  const load = fc.record({
    pool: fc.nat(1),
    endpoint: fc.nat(5).map(endpointOf),
    inflight: fc.oneof(fc.nat(3), fc.nat(100_000)),
    pending: fc.oneof(fc.constant(0), fc.nat(2 ** 32 - 1)),
  });
  const quarantine = fc.record({
    pool: fc.nat(1),
    endpoint: fc.nat(5).map(endpointOf),
    until: fc.nat(2 ** 47),
    failures: fc.nat(1000),
  });
  const event = fc.record({
    worker: fc.nat(3),
    step: fc.oneof({ weight: 6, arbitrary: fc.nat(40) }, { weight: 2, arbitrary: fc.nat(2000) }),
    what: fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ says: fc.array(load, { maxLength: 8 }), lets: fc.array(quarantine, { maxLength: 2 }) }),
      },
      { weight: 2, arbitrary: fc.constant("tick" as const) },
      { weight: 1, arbitrary: fc.constant("trap" as const) },
      { weight: 1, arbitrary: fc.constant("leave" as const) },
      { weight: 1, arbitrary: fc.constant("stuck" as const) },
    ),
    /** Who says and reads before each access of the first. */
    between: fc.option(fc.nat(3), { freq: 3 }),
  });

  it("is the reference's, whoever comes, goes and traps", { timeout: 60_000 }, async () => {
    const { host, again } = await started(4);
    let now = begin;
    const checked = { equal: 0, dead: 0, races: 0 };
    fc.assert(
      fc.property(fc.array(event, { minLength: 1, maxLength: 40 }), (events) => {
        now += 3_600_000;
        interface Said {
          loads: Load[];
          lets: Quarantine[];
          at: number;
        }
        const nothing = (): Said => ({ loads: [], lets: [], at: Number.NEGATIVE_INFINITY });
        const all = [0, 1, 2, 3].map((index) => ({ index, worker: again(index), wants: nothing(), said: nothing() }));
        /** What workers have said that are gone. */
        const ghosts: Said[] = [];
        const moment = (one: (typeof all)[number]): Told => {
          const told = one.worker.moment(now);
          one.said = { ...one.wants, at: now };
          return told;
        };
        const check = (one: (typeof all)[number]) => {
          const told = moment(one);
          expect(told.boards).toBe(1);
          const sure = now - (3000 - 850);
          const living = all.filter((other) => other !== one).map(({ said }) => said);
          // A number is confirmed once a second, so for the last of the three nobody can say whether it counts.
          const seen = [...living, ...ghosts].filter(({ at }) => at >= now - 3000);
          if (seen.some(({ at }) => at < sure)) return;
          expect(sums(told.loads)).toEqual(sums(seen.flatMap(({ loads }) => loads)));
          const sorted = (list: readonly Quarantine[]) =>
            list.map(({ pool, endpoint, until, failures }) => [pool, endpoint, until, failures].join()).sort();
          expect(sorted(told.quarantines)).toEqual(sorted(seen.flatMap(({ lets }) => lets)));
          checked.equal++;
          if (seen.length < living.length + ghosts.length) checked.dead++;
        };
        for (const one of all) one.worker.traffic(now);
        for (const { worker, step, what, between } of events) {
          now += step;
          const one = all[worker] as (typeof all)[number];
          if (what === "stuck") continue;
          if (what === "trap") {
            ghosts.push(one.said);
            one.worker.release();
            one.worker = again(worker);
            one.said = nothing();
            one.wants = nothing();
            one.worker.traffic(now);
            continue;
          }
          if (what === "leave") {
            one.worker.leave();
            one.said = nothing();
            one.worker.traffic(now);
            continue;
          }
          if (what !== "tick") {
            one.wants = { loads: what.says, lets: what.lets, at: 0 };
            one.worker.has(what.says, what.lets);
          }
          host.sharedData.interleave = ({ thread }) => {
            if (between === null || between === worker || thread !== worker + 1) return;
            host.sharedData.interleave = undefined;
            checked.races++;
            moment(all[between] as (typeof all)[number]);
          };
          one.worker.traffic(now);
          moment(one);
          host.sharedData.interleave = undefined;
          check(one);
        }
        for (const { worker } of all) {
          worker.leave();
          worker.release();
          worker.hostcalls();
        }
        now += 10_000;
      }),
      { numRuns: 150 },
    );
    expect(checked.equal).toBeGreaterThan(800);
    expect(checked.dead).toBeGreaterThan(100);
    expect(checked.races).toBeGreaterThan(300);
    for (const key of host.sharedData.keys()) expect(key.length).toBeLessThan(30);
  });

  it("has everything that fits in, to the last bit", async () => {
    const { workers } = await started(2);
    const [a, b] = workers;
    const most = one(2 ** 31 - 1, 2 ** 32 - 1);
    const quarantine = { pool: 1, endpoint: 2n ** 64n - 1n, until: 2 ** 48 - 1, failures: 32_767 };
    a.has([most], [quarantine]);
    b.traffic(begin);
    const [, told] = round(workers, begin);
    expect(told).toMatchObject({ boards: 1, loads: [most], quarantines: [quarantine] });
    a.has([one(2 ** 32 - 1, 5)], [{ ...quarantine, until: 2 ** 52, failures: 100_000 }]);
    expect(round(workers, begin)[1]).toMatchObject({ loads: [one(2 ** 31 - 1, 5)], quarantines: [quarantine] });
    a.has([], [{ ...quarantine, until: -5, failures: 0 }]);
    expect(round(workers, begin)[1]).toMatchObject({ loads: [], quarantines: [{ until: 0, failures: 0 }] });
  });

  it("is of the reader's pools, whatever number they have with the writer", async () => {
    const { host, plugin, workers } = await started(2);
    const { BoardWorker } = await import("../../test/state/worker-driver.ts");
    const reader = new BoardWorker(host, 1, plugin, [0xccccn, 0xbbbbn]);
    workers[0].has([one(3, 30, 1, 0), one(4, 40, 2, 1)]);
    workers[0].moment(begin);
    reader.traffic(begin);
    expect(reader.moment(begin).loads).toEqual([one(4, 40, 2, 1)]);
  });
});

describe("a VM that traps", () => {
  it("is forgotten after 3 s with all that it had in flight, and starts from nothing", async () => {
    const { host, plugin, workers, again } = await started(2);
    const [a, b] = workers;
    a.has([one(7, 700)]);
    b.has([one(1, 100)]);
    round(workers, begin);
    const before = a.report();
    host.faults.inject({ call: get, trap: true });
    expect(() => a.tick(begin + 100)).toThrow(/injected trap/);
    host.faults.clear();
    host.advance(2000);
    plugin.stream({ worker: 0 });
    const fresh = again(0);
    fresh.has([one(2, 20, 9)]);
    fresh.moment(begin + 2000);
    // The dead one still counts, and so does the new one.
    expect(sums(b.moment(begin + 2000).loads)).toEqual(sums([one(7, 700), one(2, 20, 9)]));
    for (let after = 3001; after < 20_000; after += 450) {
      fresh.moment(begin + after);
      expect(sums(b.moment(begin + after).loads)).toEqual([one(2, 20, 9)]);
    }
    // Whoever takes the number has another generation, and what stands under it does not count.
    const third = again(1);
    third.traffic(begin + 20_000);
    third.tick(begin + 20_000);
    expect(third.report().index).toBe(before.index);
    expect(third.report().generation).toBeGreaterThan(before.generation);
    fresh.moment(begin + 20_000);
    expect(sums(b.moment(begin + 20_000).loads)).toEqual([one(2, 20, 9)]);
    expect(b.report().unreadable).toBe(0);
  });
});

describe("a worker that was stuck", () => {
  it("and writes under a number that it has lost is put right within a second", async () => {
    const { host, workers } = await started(3);
    const [a, b, c] = workers;
    a.has([one(5)]);
    a.moment(begin);
    // It is stuck between its tick and its write, for 4 s.
    a.has([one(6)]);
    let stuck = false;
    b.has([one(1, 0, 2)]);
    c.traffic(begin + 4000);
    host.sharedData.interleave = ({ operation, thread, key }) => {
      if (operation !== "set" || thread !== 1 || !key.includes(".l") || stuck) return;
      stuck = true;
      b.moment(begin + 4000);
      c.moment(begin + 4000);
    };
    a.moment(begin + 5);
    host.sharedData.interleave = undefined;
    expect(stuck).toBe(true);
    expect(b.report().index).toBe(0);
    expect(c.moment(begin + 4010).loads).toEqual([]);
    b.moment(begin + 5000);
    a.moment(begin + 5000);
    expect(sums(c.moment(begin + 5000).loads)).toEqual(sums([one(6), one(1, 0, 2)]));
    expect(a.report()).toMatchObject({ lost: 1 });
  });
});

describe("a configuration that is replaced", () => {
  it("counts on its own until its streams are over", async () => {
    const { workers, again } = await started(2);
    const [old, b] = workers;
    old.has([one(3, 300)]);
    b.traffic(begin);
    round(workers, begin);
    const next = again(0);
    next.has([one(4, 400)]);
    const all = [old, next, b];
    expect(sums(round(all, begin + 500)[2]?.loads ?? [])).toEqual([one(7, 700)]);
    expect(new Set(all.map((worker) => worker.report().index)).size).toBe(3);
    old.has([one(1, 0)]);
    expect(sums(round(all, begin + 1000)[2]?.loads ?? [])).toEqual([one(5, 400)]);
    old.has([]);
    old.publish(begin + 1500);
    old.leave();
    expect(sums(round([next, b], begin + 1500)[1]?.loads ?? [])).toEqual([one(4, 400)]);
    const third = again(1);
    third.traffic(begin + 1600);
    expect(third.tick(begin + 1600)).toBe(true);
    expect(third.report().index).toBe(0);
    expect(sums(third.moment(begin + 1600).loads)).toEqual([one(4, 400)]);
  });
});

describe("who asks the control plane", () => {
  it("is one of those with traffic, the lowest, and another when it is gone", async () => {
    const { workers } = await started(3);
    const elected = (now: number) => workers.map((worker) => worker.isElected(0, now));
    expect(elected(begin)).toEqual([false, false, false]);
    const [a, b, c] = workers;
    for (const worker of [b, c]) worker.traffic(begin);
    round(workers, begin);
    expect(elected(begin)).toEqual([false, true, false]);
    a.traffic(begin + 10);
    round(workers, begin + 10);
    expect(elected(begin + 10)).toEqual([false, true, false]);
    b.traffic(begin + 20);
    // b says nothing any more.
    for (let after = 450; after < 3000; after += 450) {
      round([a, c], begin + after);
      expect([a.isElected(0, begin + after), c.isElected(0, begin + after)]).toEqual([false, false]);
    }
    for (const worker of [a, c]) worker.traffic(begin + 3500);
    round([a, c], begin + 3500);
    expect([a, c].filter((worker) => worker.isElected(0, begin + 3500))).toHaveLength(1);
    // And back: it is one again, whichever.
    b.traffic(begin + 4000);
    round(workers, begin + 4000);
    expect(elected(begin + 4000).filter(Boolean)).toHaveLength(1);
  });

  it("is nobody after 10 s without traffic, and hands over before", async () => {
    const { workers } = await started(2);
    const [a, b] = workers;
    for (const worker of workers) worker.traffic(begin);
    for (let after = 0; after < 25_000; after += 450) {
      if (after < 9000) b.traffic(begin + after);
      round(workers, begin + after);
      const elected = workers.filter((worker) => worker.isElected(1, begin + after));
      if (after <= 9900) expect(elected).toEqual([a]);
      else if (after > 12_000 && after < 18_500) expect(elected).toEqual([b]);
      else if (after > 20_000) expect(elected).toEqual([]);
    }
  });

  it("has the pool", async () => {
    const { host, plugin, workers } = await started(2);
    const { BoardWorker } = await import("../../test/state/worker-driver.ts");
    const other = new BoardWorker(host, 0, plugin, [0xbbbbn]);
    const both = [other, workers[1]];
    for (const worker of both) worker.traffic(begin);
    round(both, begin);
    expect(other.report().index).toBe(0);
    expect(other.isElected(0, begin)).toBe(true);
    expect([workers[1].isElected(0, begin), workers[1].isElected(1, begin)]).toEqual([true, false]);
  });

  it("is none without a number", async () => {
    const { host, workers } = await started(1);
    host.faults.inject({ call: set, status: Status.InternalFailure, times: Number.POSITIVE_INFINITY });
    workers[0].traffic(begin);
    workers[0].moment(begin);
    expect(workers[0].isElected(0, begin)).toBe(false);
  });
});

describe("hostcalls", () => {
  const calls = (workers: readonly BoardWorker[]) => workers.map((worker) => worker.hostcalls());

  it.each([2, 4, 8])(
    "of %i busy workers: two and one for each other, and a write when something changed",
    async (count) => {
      const { workers } = await started(count, { pools: [1n] });
      for (const worker of workers) worker.has([one(1)]);
      for (let tick = 0; tick < 10; tick++) round(workers, begin + tick * 15);
      calls(workers);
      const others = Array.from({ length: count - 1 }, () => get);
      for (const [index, worker] of workers.entries()) {
        worker.has([one(1 + index)]);
        worker.tick(begin + 160);
        expect(worker.hostcalls()).toEqual([get]);
        worker.publish(begin + 160);
        expect(worker.hostcalls()).toEqual(index === 0 ? [] : [set]);
        worker.publish(begin + 160);
        expect(worker.hostcalls()).toEqual([]);
        worker.read(begin + 160);
        expect(worker.hostcalls()).toEqual(others);
        expect(worker.scratchLeft()).toBe(0);
      }
    },
  );

  it("of an idle worker: one a tick, and none of the others for it", async () => {
    const { workers } = await started(2);
    const [a, b] = workers;
    a.has([one(1)]);
    b.traffic(begin);
    round(workers, begin);
    a.has([]);
    for (let after = 0; after < 15_000; after += 450) {
      b.traffic(begin + after);
      round(workers, begin + after);
    }
    calls(workers);
    a.tick(begin + 17_000);
    a.hostcalls();
    a.publish(begin + 17_000);
    expect(a.hostcalls()).toEqual([]);
    b.tick(begin + 15_000);
    b.hostcalls();
    b.read(begin + 15_000);
    expect(b.hostcalls()).toEqual([]);
  });

  it("of a request: none, unless nothing was read for 30 ms", async () => {
    const { workers } = await started(2);
    const [a, b] = workers;
    a.has([one(2)]);
    a.moment(begin);
    expect(b.refresh(begin)).toBe(true);
    expect(b.hostcalls()).toEqual([get, get]);
    expect(b.told().loads).toEqual([one(2)]);
    expect(b.refresh(begin + 5)).toBe(false);
    expect(b.hostcalls()).toEqual([]);
    expect(b.told().boards).toBe(0);
    expect(b.refresh(begin + 6)).toBe(true);
    // A clock that was set back.
    expect(b.refresh(begin + 30)).toBe(true);
    expect(b.scratchLeft()).toBe(0);
  });

  it("write an unchanged value again after a second, as long as there is traffic", async () => {
    const { workers } = await started(1);
    const [a] = workers;
    a.has([one(2)]);
    a.traffic(begin);
    a.tick(begin);
    a.publish(begin);
    a.hostcalls();
    a.publish(begin + 999);
    expect(a.hostcalls()).toEqual([]);
    a.publish(begin + 1000);
    expect(a.hostcalls()).toEqual([set]);
    a.publish(begin + 500);
    expect(a.hostcalls()).toEqual([set]);
  });
});

describe("a value", () => {
  it("has at most 6 KiB, and what does not fit is counted", async () => {
    const pools = Array.from({ length: 32 }, (_, pool) => BigInt(pool + 1));
    const { host, workers } = await started(2, { pools });
    const [a, b] = workers;
    b.traffic(begin);
    for (const pool of [0, 17, 31]) {
      const loads = Array.from({ length: 600 }, (_, n) => one(n + 1, 0, n, pool));
      const before = a.report().dropped;
      a.has(loads);
      const [, told] = round(workers, begin);
      const value = host.sharedData.get("", keyOf("0"))?.value.length ?? 0;
      expect(value).toBeLessThanOrEqual(6144);
      expect(value).toBeGreaterThan(6144 - 16);
      expect(told?.loads).toEqual(loads.slice(0, told?.loads.length));
      expect(a.report().dropped - before).toBe(600 - (told?.loads.length ?? 0));
      // All pools stand in it, with or without entries.
      expect(b.isElected(31, begin)).toBe(false);
    }
  });

  it("takes 32 pools", async () => {
    const { workers } = await started(1, { pools: Array.from({ length: 32 }, (_, n) => BigInt(n)) });
    expect(workers[0].call("pool", 99n) | 0).toBe(-1);
  });

  it("has pools in order", async () => {
    const { workers } = await started(2);
    const [a, b] = workers;
    a.has([one(1, 0, 1, 1)]);
    a.put(one(9, 9, 9, 0));
    a.put(one(9, 9, 9, 2));
    b.traffic(begin);
    expect(round(workers, begin)[1]?.loads).toEqual([one(1, 0, 1, 1)]);
    expect(a.report().dropped).toBe(2);
  });

  it("that is none is passed over", async () => {
    const { host, workers } = await started(3);
    const [a, b, c] = workers;
    a.has([one(1), one(2, 20, 2, 1)], [{ pool: 1, endpoint: 5n, until: begin, failures: 3 }]);
    b.has([one(4, 40)]);
    c.traffic(begin);
    round(workers, begin);
    const good = host.sharedData.get("", keyOf("0"))?.value as Uint8Array;
    // As it is, the reader takes it: so it is the change that is refused below.
    expect(sums(c.read(begin).loads)).toEqual(sums([one(1), one(2, 20, 2, 1), one(4, 40)]));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.nat(good.length - 1).map((length) => good.slice(0, length)),
          fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }).map((changes) => {
            const changed = good.slice();
            for (const [at, byte] of changes) changed[at] = byte;
            return changed;
          }),
        ),
        (value) => {
          host.sharedData.set("", keyOf("0"), value, 0);
          const { loads } = c.read(begin);
          // The other's is read as ever.
          expect(loads).toContainEqual(one(4, 40));
          expect(loads.length).toBeLessThanOrEqual(4);
          expect(c.scratchLeft()).toBe(0);
        },
      ),
      { numRuns: 2000 },
    );
    for (const length of [0, 23, 39, 41, good.length - 16, good.length - 1]) {
      const before = c.report().unreadable;
      host.sharedData.set("", keyOf("0"), good.slice(0, length), 0);
      c.read(begin);
      expect(c.report().unreadable).toBe(before + 1);
    }
    const header = (sections: number) => {
      const value = good.slice();
      new DataView(value.buffer).setUint32(4, sections, true);
      new DataView(value.buffer).setUint32(32, 0, true);
      return value;
    };
    const kind = good.slice();
    kind[0] = 0;
    for (const value of [kind, header(0).slice(0, 23), header(1).slice(0, 39), header(0xffffffff)]) {
      const before = c.report().unreadable;
      host.sharedData.set("", keyOf("0"), value, 0);
      expect(c.read(begin).loads).toContainEqual(one(4, 40));
      expect(c.report().unreadable).toBe(before + 1);
    }
    for (const value of [header(0).slice(0, 24), header(1).slice(0, 40)]) {
      const before = c.report().unreadable;
      host.sharedData.set("", keyOf("0"), value, 0);
      expect(c.read(begin).loads).toEqual([one(4, 40)]);
      expect(c.report().unreadable).toBe(before);
    }
    const huge = good.slice();
    new DataView(huge.buffer).setUint32(4, 0xffffffff, true);
    new DataView(huge.buffer).setUint32(32, 0x10000001, true);
    host.sharedData.set("", keyOf("0"), huge, 0);
    expect(c.read(begin).loads).toEqual([one(4, 40)]);
  });

  it("that the host refuses is tried again", async () => {
    const { host, workers } = await started(2);
    const [a, b] = workers;
    for (const worker of workers) worker.traffic(begin);
    round(workers, begin);
    a.has([one(3)]);
    host.faults.inject({ call: set, status: Status.InternalFailure });
    expect(a.publish(begin + 1)).toBe(false);
    expect(b.read(begin + 1).loads).toEqual([]);
    expect(a.publish(begin + 2)).toBe(true);
    expect(b.read(begin + 2).loads).toEqual([one(3)]);
    host.faults.inject({ call: get, status: Status.InternalFailure });
    expect(b.read(begin + 3)).toMatchObject({ boards: 1, loads: [] });
    expect(b.report().unreadable).toBe(1);
  });

  it("is written under a number only", async () => {
    const { host, workers } = await started(1);
    workers[0].has([one(3)]);
    workers[0].publish(begin);
    expect(host.sharedData.keys()).toEqual([]);
    // The load is traffic.
    expect(workers[0].tick(begin)).toBe(true);
    workers[0].publish(begin);
    expect(host.sharedData.keys()).toHaveLength(2);
  });
});

it("keeps its memory and that of the host flat", async () => {
  const { host, workers } = await started(2, { pools: somePools });
  let bytes = 0;
  const growth = memoryGrowth(host.workerVm(), 4000, (number) => {
    const now = begin + number * 15;
    for (const worker of workers) {
      worker.has(Array.from({ length: 1 + (number % 40) }, (_, n) => one(number + 1, n, n)));
      worker.moment(now);
      worker.hostcalls();
    }
    if (number === 500) bytes = host.sharedData.bytes();
  });
  expect(growth).toBe(0);
  expect(host.sharedData.bytes()).toBeLessThanOrEqual(bytes + 2 * 40 * 16);
});
