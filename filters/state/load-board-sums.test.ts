import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { endpointOf, one, round, started, sums } from "../../test/state/load-boards.ts";
import { begin, type Load, type Quarantine, type Told } from "../../test/state/worker-driver.ts";

/** The sum over the other workers, against a reference and to the last bit. */

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
