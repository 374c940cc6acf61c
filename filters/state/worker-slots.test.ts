import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memoryGrowth } from "../../test/host/flat-memory.ts";
import { Status } from "../../test/host/index.ts";
import { type BoardWorker, begin, get, set, startBoards } from "../../test/state/worker-driver.ts";

/** Numbers of workers: who has one, who is there, with workers between each other's get and set, clocks that jump, and values that are none. */

const key = "tm.ep.1.0000000000000007.w";
const hour = 3_600_000;

async function started(count: number) {
  const boards = await startBoards(count);
  return { ...boards, workers: boards.workers as [BoardWorker, BoardWorker, BoardWorker] };
}

/** Traffic and a tick. */
function goes(worker: BoardWorker, now: number) {
  worker.traffic(now);
  return worker.tick(now);
}

describe("a number", () => {
  it("is taken at the tick after the first traffic, the lowest first, and costs nothing before", async () => {
    const { workers } = await started(3);
    const [a, b, c] = workers;
    expect(a.tick(begin)).toBe(false);
    expect(a.hostcalls()).toEqual([]);
    expect([goes(c, begin), goes(a, begin), goes(b, begin)]).toEqual([true, true, true]);
    expect(workers.map((worker) => worker.report().index)).toEqual([1, 2, 0]);
    expect(new Set(workers.map((worker) => worker.report().generation)).size).toBe(3);
    expect(b.report()).toMatchObject({ alive: [0, 1, 2], others: [0, 1], lost: 0, unavailable: 0 });
  });

  it("is confirmed about once a second, and costs a read at the other ticks", async () => {
    const { workers } = await started(3);
    const [worker] = workers;
    goes(worker, begin);
    expect(worker.hostcalls()).toEqual([get, set]);
    for (const [after, calls] of [
      [15, [get]],
      [849, [get]],
      [850, [get, set]],
      [1699, [get]],
      [1700, [get, set]],
    ] as const) {
      expect(worker.tick(begin + after)).toBe(true);
      expect(worker.hostcalls()).toEqual(calls);
      expect(worker.scratchLeft()).toBe(0);
    }
  });

  it("is free 3 s after it was confirmed, and then has another generation", async () => {
    const { workers } = await started(3);
    const [a, b, c] = workers;
    goes(a, begin);
    goes(b, begin + 2999);
    const { generation } = a.report();
    expect(b.report()).toMatchObject({ index: 1, alive: [0, 1], others: [0] });
    goes(b, begin + 3000);
    expect(b.report()).toMatchObject({ alive: [0, 1] });
    goes(b, begin + 3001);
    expect(b.report()).toMatchObject({ index: 1, alive: [1], others: [] });
    goes(c, begin + 3001);
    expect(c.report()).toMatchObject({ index: 0, alive: [0, 1] });
    expect(c.report().generation).toBeGreaterThan(generation);
    // Only stuck: it notices, and takes another.
    goes(a, begin + 3002);
    expect(a.report()).toMatchObject({ index: 2, lost: 1, alive: [0, 1, 2] });
    expect(a.report().generation).toBeGreaterThan(c.report().generation);
  });

  it("that nobody took meanwhile is kept", async () => {
    const { workers } = await started(3);
    const [a, b] = workers;
    goes(a, begin);
    const { generation } = a.report();
    goes(b, begin + 60_000);
    expect(b.report().index).toBe(0);
    goes(a, begin + 120_000);
    expect(a.report()).toMatchObject({ index: 0, lost: 1 });
    goes(a, begin + 180_000);
    expect(a.report()).toMatchObject({ index: 0, lost: 1 });
    expect(a.report().generation).toBeGreaterThan(generation);
  });

  it("is given back at once, and the value shrinks", async () => {
    const { host, workers } = await started(3);
    const [a, b, c] = workers;
    for (const worker of workers) goes(worker, begin);
    const bytes = host.sharedData.bytes();
    b.leave();
    c.leave();
    expect(c.report()).toMatchObject({ index: -1 });
    expect(host.sharedData.bytes()).toBe(bytes - 32);
    a.tick(begin + 1);
    expect(a.report()).toMatchObject({ alive: [0], others: [] });
    // Who has left is not there until there is traffic again.
    expect(c.tick(begin + 1)).toBe(false);
    expect(goes(c, begin + 1)).toBe(true);
    expect(c.report().index).toBe(1);
    b.hostcalls();
    b.leave();
    expect(b.hostcalls()).toEqual([]);
  });

  it("of somebody else is not given back", async () => {
    const { workers } = await started(3);
    const [a, b] = workers;
    goes(a, begin);
    goes(b, begin + 4000);
    expect(b.report().index).toBe(0);
    a.leave();
    b.tick(begin + 4001);
    expect(b.report()).toMatchObject({ index: 0, lost: 0 });
  });

  it("is there for 64 workers; one more hears the others and takes what becomes free", async () => {
    const { again } = await started(1);
    const many = Array.from({ length: 65 }, () => again(0));
    const last = many.pop() as BoardWorker;
    for (const worker of many) expect(goes(worker, begin)).toBe(true);
    expect(goes(last, begin)).toBe(false);
    expect(last.report()).toMatchObject({ index: -1, unavailable: 0 });
    expect(last.report().others).toHaveLength(64);
    many[40]?.leave();
    expect(last.tick(begin + 1)).toBe(true);
    expect(last.report()).toMatchObject({ index: 40 });
  });

  it("is of its scope", async () => {
    const { host, plugin, workers } = await started(2);
    const { BoardWorker } = await import("../../test/state/worker-driver.ts");
    const other = new BoardWorker(host, 1, plugin, [], 0xfedcba9876543210n);
    goes(workers[0], begin);
    goes(other, begin);
    expect(other.report()).toMatchObject({ index: 0, alive: [0], others: [] });
    expect(host.sharedData.keys().sort()).toEqual([key, "tm.ep.1.fedcba9876543210.w"]);
  });
});

describe("traffic", () => {
  it("is known to the others as long as it lasts, and 10 s more", async () => {
    const { workers } = await started(2);
    const [a, b] = workers;
    goes(a, begin);
    for (let after = 0; after <= 13_000; after += 450) {
      a.tick(begin + after);
      goes(b, begin + after);
      expect(b.report().alive).toEqual([0, 1]);
      if (after < 10_000) expect(b.report().others).toEqual([0]);
      if (after > 10_850) expect(b.report().others).toEqual([]);
    }
    a.hostcalls();
    goes(a, begin + 13_000);
    expect(a.hostcalls()).toEqual([get, set]);
    b.look(begin + 13_000);
    expect(b.report().others).toEqual([0]);
  });
});

describe("two workers never have one number", () => {
  const event = fc.record({
    worker: fc.nat(3),
    step: fc.oneof(fc.nat(20), fc.nat(900), fc.nat(4000)),
    what: fc.oneof(
      { weight: 8, arbitrary: fc.constant("tick" as const) },
      { weight: 1, arbitrary: fc.constant("leave" as const) },
      { weight: 1, arbitrary: fc.constant("trap" as const) },
    ),
    /** Who ticks before each write of the first. */
    between: fc.array(fc.nat(3), { maxLength: 3 }),
  });

  it("whoever ticks between whose get and set", { timeout: 60_000 }, async () => {
    const { host, again } = await started(4);
    let races = 0;
    let taken = 0;
    const generations = new Map<bigint, object>();
    let now = begin;
    fc.assert(
      fc.property(fc.array(event, { minLength: 1, maxLength: 60 }), (events) => {
        now += 10 * hour;
        const all = [0, 1, 2, 3].map((index) => ({ worker: again(index), index: -1, generation: 0n, tickedAt: 0 }));
        const tick = (one: (typeof all)[number]) => {
          expect(goes(one.worker, now)).toBe(true);
          const { index, generation } = one.worker.report();
          for (const other of all) {
            if (other === one || other.index !== index) continue;
            // It was confirmed at most 850 ms before its last tick.
            expect(now - other.tickedAt).toBeGreaterThan(3000 - 850);
            other.index = -1;
            taken++;
          }
          if (generation !== one.generation) expect(generations.get(generation)).toBeUndefined();
          generations.set(generation, one);
          Object.assign(one, { index, generation, tickedAt: now });
        };
        for (const { worker, step, what, between } of events) {
          now += step;
          const one = all[worker] as (typeof all)[number];
          if (what === "leave") {
            one.worker.leave();
            one.index = -1;
          } else if (what === "trap") {
            one.worker.release();
            one.worker = again(worker);
          } else {
            host.sharedData.interleave = ({ operation, thread }) => {
              if (operation !== "set" || thread !== worker + 1) return;
              for (const other of between.splice(0, 1)) {
                if (other === worker) continue;
                tick(all[other] as (typeof all)[number]);
                races++;
              }
            };
            tick(one);
            host.sharedData.interleave = undefined;
          }
          // All that have ticked lately are seen, and nobody twice.
          const { alive } = one.worker.report();
          const sure = all.filter((other) => other.index >= 0 && now - other.tickedAt < 3000 - 850);
          if (what === "tick") expect(alive).toEqual(expect.arrayContaining(sure.map(({ index }) => index)));
          expect(new Set(sure.map(({ index }) => index)).size).toBe(sure.length);
        }
        for (const { worker } of all) {
          worker.leave();
          worker.release();
        }
      }),
      { numRuns: 150 },
    );
    expect(races).toBeGreaterThan(300);
    expect(taken).toBeGreaterThan(100);
  });

  it("and one that loses eight races tries again at the next tick", async () => {
    const { host, workers, again } = await started(2);
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation === "set" && thread === 1) goes(again(1), begin);
    };
    expect(goes(workers[0], begin)).toBe(false);
    host.sharedData.interleave = undefined;
    expect(workers[0].report()).toMatchObject({ index: -1, unavailable: 1 });
    expect(workers[0].hostcalls()).toHaveLength(16);
    expect(workers[0].tick(begin)).toBe(true);
    expect(workers[0].report().index).toBe(8);
  });
});

describe("a clock that is set", () => {
  it("ahead: all go on with their numbers, or others", async () => {
    const { workers } = await started(3);
    for (const worker of workers) goes(worker, begin);
    for (const worker of workers) goes(worker, begin + hour);
    for (const worker of workers) goes(worker, begin + hour + 1);
    expect(workers.map((worker) => worker.report().index).sort()).toEqual([0, 1, 2]);
    for (const worker of workers) expect(worker.report().alive).toEqual([0, 1, 2]);
  });

  it("back: all go on, and who is gone is not there for an hour", async () => {
    const { workers } = await started(3);
    const [a, b, c] = workers;
    for (const worker of workers) goes(worker, begin);
    for (let after = 0; after < 3; after++) {
      goes(a, begin - hour + after);
      goes(b, begin - hour + after);
    }
    expect(b.report()).toMatchObject({ index: 1, alive: [0, 1], others: [0], lost: 0 });
    expect(goes(c, begin - hour + 5)).toBe(true);
    expect(c.report()).toMatchObject({ alive: [0, 1, 2], lost: 0 });
  });
});

describe("a host that refuses", () => {
  it("leaves the number until it may be somebody else's", async () => {
    const { host, workers } = await started(2);
    const [a, b] = workers;
    goes(a, begin);
    goes(b, begin);
    const refuse = (call: string) =>
      host.faults.inject({ call, status: Status.InternalFailure, times: Number.POSITIVE_INFINITY });
    for (const call of [get, set]) {
      const start = begin + (call === get ? 0 : 10_000);
      goes(a, start);
      const repair = refuse(call);
      expect(goes(a, start + 2900)).toBe(true);
      expect(goes(a, start + 3100)).toBe(false);
      expect(a.report().index).toBe(-1);
      repair();
      expect(goes(a, start + 3200)).toBe(true);
    }
    expect(a.report().unavailable).toBe(4);
  });

  it("leaves what is known of the others, until they may be gone", async () => {
    const { host, workers } = await started(2);
    const [a, b] = workers;
    goes(a, begin);
    goes(b, begin);
    host.faults.inject({ call: get, status: Status.InternalFailure, times: Number.POSITIVE_INFINITY });
    expect(b.look(begin + 2000)).toBe(false);
    expect(b.report().others).toEqual([0]);
    b.look(begin + 3001);
    expect(b.report().others).toEqual([]);
  });
});

describe("a value that is none", () => {
  const slot = (generation: bigint, word: bigint) => [generation, word];
  const bytesOf = (words: readonly bigint[], bytes = words.length * 8) =>
    new Uint8Array(new BigUint64Array(words).buffer).slice(0, bytes);
  const magic = 0x31576d74n;

  it.each([
    ["empty", new Uint8Array()],
    ["short", bytesOf([magic], 7)],
    ["without slots", bytesOf([magic, 5n])],
    ["with a part of a slot", bytesOf([magic, 5n, ...slot(5n, BigInt(begin) << 1n), 1n])],
    ["of another kind", bytesOf([magic + 1n, 5n, ...slot(5n, BigInt(begin) << 1n)])],
    ["with too many slots", bytesOf([magic, 5n, ...Array.from({ length: 130 }, () => BigInt(begin) << 1n)])],
    ["with a generation behind the last", bytesOf([magic, 2n ** 64n - 1n, ...slot(5n, BigInt(begin) << 1n)])],
  ])("%s, is as none at all", async (_, value) => {
    const { host, workers } = await started(2);
    goes(workers[0], begin);
    const before = workers[0].report().generation;
    host.sharedData.set("", key, value, 0);
    expect(goes(workers[1], begin + 1)).toBe(true);
    expect(workers[1].report()).toMatchObject({ index: 0, alive: [0] });
    expect(workers[1].report().generation).toBeGreaterThan(before);
    expect(goes(workers[0], begin + 2)).toBe(true);
    expect(workers[0].report()).toMatchObject({ index: 1, lost: 1, alive: [0, 1] });
  });

  it("and any bytes are borne", async () => {
    const { host, workers } = await started(2);
    let now = begin;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1200 }), fc.boolean(), fc.nat(5000), (bytes, ours, step) => {
        if (ours && bytes.length >= 8) bytes.set([0x74, 0x6d, 0x57, 0x31]);
        host.sharedData.set("", key, ours ? bytes.slice(0, bytes.length & ~15) : bytes, 0);
        now += step;
        for (const worker of workers) goes(worker, now);
        for (const worker of workers) {
          expect(worker.look(now)).toBe(true);
          const { index, alive } = worker.report();
          // All numbers may seem to be taken.
          if (index >= 0) expect(alive).toContain(index);
          else expect(alive).toHaveLength(64);
        }
      }),
      { numRuns: 500 },
    );
  });
});

it("keeps its memory flat", async () => {
  const { host, workers } = await started(1);
  expect(
    memoryGrowth(host.workerVm(), 5000, (round) => {
      goes(workers[0], begin + round * 300);
      workers[0].hostcalls();
    }),
  ).toBe(0);
});
