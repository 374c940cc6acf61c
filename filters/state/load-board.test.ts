import { describe, expect, it } from "vitest";
import { memoryGrowth } from "../../test/host/flat-memory.ts";
import { Status } from "../../test/host/index.ts";
import { one, round, started, sums } from "../../test/state/load-boards.ts";
import { type BoardWorker, begin, get, set, somePools } from "../../test/state/worker-driver.ts";

/** What workers tell each other of the loads of endpoints: when it is written and read, workers that trap and come back, who asks the control plane. */

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
    expect(b.refresh(begin)).toBe(false);
    expect(b.hostcalls()).toEqual([]);
    expect(b.told().boards).toBe(0);
    expect(b.refresh(begin + 1)).toBe(true);
    expect(b.refresh(begin + 31)).toBe(true);
    // A clock that was set back.
    expect(b.refresh(begin + 30)).toBe(true);
    expect(b.scratchLeft()).toBe(0);
  });

  it("of a request: each 5 ms when many come, and some in a row before", async () => {
    const { workers } = await started(2);
    const [a, b] = workers;
    a.has([one(2)]);
    a.moment(begin);
    const reads = Array.from({ length: 100 }, (_, at) => b.refresh(begin + at));
    // Seven that were saved and one more, and while those are made another one is due.
    expect(reads.slice(0, 9)).toEqual(new Array(9).fill(true));
    const later = reads.flatMap((read, at) => (read && at >= 9 ? [at] : []));
    expect(later).toEqual([10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95]);
    // As many as a request each 5 ms are never refused.
    for (let at = 200; at < 1000; at += 5) expect(b.refresh(begin + at)).toBe(true);
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
