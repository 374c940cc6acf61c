import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Status } from "../../test/host/index.ts";
import {
  type BoardWorker,
  begin,
  get,
  type Load,
  type Quarantine,
  set,
  startBoards,
  type Told,
} from "../../test/state/worker-driver.ts";

/** What workers tell each other of the loads of endpoints: sums, workers that come, go and trap, who asks the control plane. */

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
