import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Status } from "../../test/host/index.ts";
import { one, round, started, sums } from "../../test/state/load-boards.ts";
import { begin, get, set } from "../../test/state/worker-driver.ts";

/** The values of the board as they are in shared data: what fits, what is none, what the host refuses. */

const keyOf = (slot: string) => `tm.ep.1.0000000000000007.l${slot}`;

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
