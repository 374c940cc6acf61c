import { describe, expect, it } from "vitest";
import { memoryGrowth } from "../../test/host/flat-memory.ts";
import { Status } from "../../test/host/index.ts";
import { fresh, hashesOf, perSegment, segments, started } from "../../test/state/gossips.ts";
import { type BoardWorker, begin, set, startBoards } from "../../test/state/worker-driver.ts";

/** What a worker says of what is cached where, and what others learn of it. */

describe("what a worker notes", () => {
  it("is learned by each other, once, in order, for its pool and endpoint", async () => {
    const { workers } = await started(3);
    const [a, b, c] = workers;
    const [one, two, three] = [fresh(3), fresh(600), fresh(1)] as const;
    a.note(0, 11n, one);
    a.note(1, 11n, two);
    a.note(1, 12n, three);
    expect(a.gossipEmpty()).toBe(false);
    a.moment(begin);
    expect(a.gossipEmpty()).toBe(true);
    expect(a.report()).toMatchObject({ sent: 604, droppedHashes: 0 });
    for (const reader of [b, c]) {
      const { learned } = reader.moment(begin + 1);
      expect(learned.map(({ pool, endpoint, hashes }) => [pool, endpoint, hashes.length])).toEqual([
        [0, 11n, 3],
        [1, 11n, (4096 - 24 - 24 - 3 * 8 - 24) / 8],
        [1, 11n, 600 - (4096 - 24 - 24 - 3 * 8 - 24) / 8],
        [1, 12n, 1],
      ]);
      expect(hashesOf(learned)).toEqual([...one, ...two, ...three]);
      expect(reader.moment(begin + 2).learned).toEqual([]);
      expect(reader.report()).toMatchObject({ learned: 604, lostSegments: 0 });
    }
    expect(a.moment(begin + 3).learned).toEqual([]);
  });

  it("makes one run of what belongs together", async () => {
    const { workers } = await started(2);
    const [a, b] = workers;
    const hashes = fresh(4);
    a.note(0, 1n, hashes.slice(0, 1));
    a.note(0, 1n, hashes.slice(1, 2));
    a.note(0, 2n, hashes.slice(2, 3));
    a.note(1, 2n, hashes.slice(3, 4));
    a.moment(begin);
    expect(b.moment(begin).learned).toEqual([
      { pool: 0, endpoint: 1n, hashes: hashes.slice(0, 2) },
      { pool: 0, endpoint: 2n, hashes: hashes.slice(2, 3) },
      { pool: 1, endpoint: 2n, hashes: hashes.slice(3, 4) },
    ]);
  });

  it("fits into segments wherever a run ends", async () => {
    const { workers } = await started(2);
    const [a, b] = workers;
    for (let count = 499; count <= 507; count++) {
      const hashes = fresh(count + 600);
      a.note(0, 1n, hashes.slice(0, count));
      a.note(0, 2n, hashes.slice(count));
      const now = begin + (count - 499) * 200;
      a.moment(now);
      expect(hashesOf(b.moment(now).learned)).toEqual(hashes);
    }
  });

  it("of a pool that the reader has not is passed over", async () => {
    const { host, plugin, workers } = await started(1);
    const { BoardWorker } = await import("../../test/state/worker-driver.ts");
    const reader = new BoardWorker(host, 0, plugin, [0xbbbbn]);
    const [one, two] = [fresh(2), fresh(2)];
    workers[0].note(0, 1n, one);
    workers[0].note(1, 1n, two);
    workers[0].moment(begin);
    reader.traffic(begin);
    expect(reader.moment(begin).learned).toEqual([{ pool: 0, endpoint: 1n, hashes: two }]);
  });

  it("is written at most each 200 ms, full segments at once", async () => {
    const { workers } = await started(1);
    const [a] = workers;
    const flushed = (now: number) => {
      a.hostcalls();
      a.flush(now);
      return a.hostcalls().length;
    };
    a.note(0, 1n, fresh(5));
    expect(a.hostcalls()).toEqual([]);
    expect(flushed(begin)).toBe(1);
    expect(flushed(begin + 500)).toBe(0);
    a.note(0, 1n, fresh(5));
    expect(flushed(begin + 1000)).toBe(1);
    a.note(0, 1n, fresh(5));
    expect(flushed(begin + 1199)).toBe(0);
    expect(flushed(begin + 1200)).toBe(1);
    a.note(0, 1n, fresh(2 * perSegment + 5));
    expect(flushed(begin + 1201)).toBe(2);
    expect(flushed(begin + 1400)).toBe(0);
    expect(flushed(begin + 1401)).toBe(1);
    // A clock that was set back does not stop it.
    a.note(0, 1n, fresh(5));
    expect(flushed(begin - 1000)).toBe(1);
    expect(a.scratchLeft()).toBe(0);
  });

  it("that is too much before it is written drops what waits longest", async () => {
    const { workers } = await started(2);
    const [a, b] = workers;
    const hashes = fresh((segments + 3) * perSegment + 7);
    for (let at = 0; at < hashes.length; at += 1000) a.note(0, 1n, hashes.slice(at, at + 1000));
    a.moment(begin);
    a.moment(begin + 200);
    expect(a.report()).toMatchObject({ droppedHashes: 4 * perSegment, sent: (segments - 1) * perSegment + 7 });
    const learned = hashesOf(b.moment(begin + 200).learned);
    expect(learned).toEqual(hashes.slice(4 * perSegment));
    expect(b.report().lostSegments).toBe(0);
  });

  it("waits for a host that refuses", async () => {
    const { host, workers } = await started(2);
    const [a, b] = workers;
    const hashes = fresh(3 * perSegment);
    a.note(0, 1n, hashes);
    const isSegment = (args: readonly (number | bigint)[]) => args[1] === 28;
    host.faults.inject({ call: set, status: Status.InternalFailure, nth: 2, when: isSegment });
    a.moment(begin);
    const learned = hashesOf(b.moment(begin).learned);
    expect(learned).toHaveLength(perSegment);
    a.moment(begin + 15);
    learned.push(...hashesOf(b.moment(begin + 15).learned));
    a.moment(begin + 300);
    learned.push(...hashesOf(b.moment(begin + 300).learned));
    expect(learned).toEqual(hashes);
  });

  it("is not dropped while the host refuses and there is room", async () => {
    const { host, workers } = await started(2);
    const [a, b] = workers;
    const hashes = fresh((segments - 1) * perSegment + 7);
    a.note(0, 1n, hashes.slice(0, 9000));
    a.note(0, 1n, hashes.slice(9000));
    const repair = host.faults.inject({
      call: set,
      status: Status.InternalFailure,
      times: Number.POSITIVE_INFINITY,
      when: (args) => args[1] === 28,
    });
    for (let after = 0; after <= 1000; after += 250) a.moment(begin + after);
    repair();
    a.moment(begin + 1250);
    expect(a.report()).toMatchObject({ droppedHashes: 0, sent: hashes.length });
    b.traffic(begin + 1250);
    expect(hashesOf(b.moment(begin + 1250).learned)).toEqual(hashes);
  });

  it("waits for a number", async () => {
    const boards = await startBoards(2);
    const [a, b] = boards.workers as [BoardWorker, BoardWorker];
    const hashes = fresh(10);
    a.note(0, 1n, hashes);
    a.flush(begin);
    expect(boards.host.sharedData.keys()).toEqual([]);
    a.moment(begin);
    b.traffic(begin);
    expect(hashesOf(b.moment(begin).learned)).toEqual(hashes);
  });
});

describe("a reader", () => {
  it("that is too slow misses what was overwritten, and counts it", async () => {
    const { workers } = await started(2);
    const [a, b] = workers;
    b.moment(begin);
    const all: bigint[] = [];
    const write = (count: number) => {
      for (let i = 0; i < count; i++) {
        const hashes = fresh(perSegment);
        all.push(...hashes);
        a.note(0, 1n, hashes);
        a.moment(begin + i * 15);
      }
    };
    write(3);
    expect(hashesOf(b.moment(begin + 1000).learned)).toEqual(all);
    const from = all.length;
    write(segments + 10);
    expect(hashesOf(b.moment(begin + 1000).learned)).toEqual(all.slice(from + 10 * perSegment));
    expect(b.report().lostSegments).toBe(10);
    const exactly = all.length;
    write(segments);
    expect(hashesOf(b.moment(begin + 1000).learned)).toEqual(all.slice(exactly));
    expect(b.report().lostSegments).toBe(10);
  });

  it("that is overtaken between the board and the segment counts that, too", async () => {
    const { host, workers } = await started(2);
    const [a, b] = workers;
    b.moment(begin);
    const write = (count: number) => {
      for (let i = 0; i < count; i++) {
        a.note(0, 1n, fresh(perSegment));
        a.moment(begin + i * 15);
      }
    };
    write(4);
    host.sharedData.interleave = ({ operation, thread, key }) => {
      if (operation !== "get" || thread !== 2 || !key.includes(".g")) return;
      host.sharedData.interleave = undefined;
      write(segments - 2);
    };
    const learned = hashesOf(b.moment(begin + 500).learned);
    expect(learned).toHaveLength(2 * perSegment);
    expect(b.report().lostSegments).toBe(2);
    expect(hashesOf(b.moment(begin + 600).learned)).toHaveLength((segments - 2) * perSegment);
    expect(b.report().lostSegments).toBe(2);
  });

  it("that comes later reads what is still there, and has lost nothing", async () => {
    const { workers, again } = await started(2);
    const [a, b] = workers;
    const all: bigint[] = [];
    for (let i = 0; i < segments + 5; i++) {
      const hashes = fresh(perSegment);
      all.push(...hashes);
      a.note(0, 1n, hashes);
      a.moment(begin + i * 15);
    }
    b.leave();
    const late = again(1);
    late.traffic(begin + 1000);
    expect(hashesOf(late.moment(begin + 1000).learned)).toEqual(all.slice(-segments * perSegment));
    expect(late.report().lostSegments).toBe(0);
  });

  it("reads as many segments as it is told, in turn", async () => {
    const { workers } = await started(3);
    const [a, b, c] = workers;
    for (const writer of [a, b]) writer.note(0, writer === a ? 1n : 2n, fresh(10 * perSegment));
    for (const writer of [a, b]) writer.moment(begin);
    c.tick(begin);
    c.read(begin);
    c.hostcalls();
    const order: bigint[] = [];
    for (const more of [true, true, false]) {
      expect(c.hear(9)).toBe(more);
      order.push(...c.told().learned.map(({ endpoint }) => endpoint));
      expect(c.scratchLeft()).toBe(0);
    }
    expect(order).toHaveLength(20);
    expect(c.hostcalls()).toHaveLength(20);
    expect(c.hear(9)).toBe(false);
    expect(c.hostcalls()).toEqual([]);
  });

  it("does not starve one for another", async () => {
    const { workers } = await started(3);
    const [a, b, c] = workers;
    c.moment(begin);
    const seen = new Set<bigint>();
    for (let i = 0; i < 6; i++) {
      for (const [endpoint, writer] of [
        [1n, a],
        [2n, b],
      ] as const) {
        writer.note(0, endpoint, fresh(3 * perSegment));
        writer.moment(begin + i * 15);
      }
      for (const { endpoint } of c.moment(begin + i * 15, 2).learned) seen.add(endpoint);
    }
    expect([...seen].sort()).toEqual([1n, 2n]);
  });

  it("learns from a number that was taken anew", async () => {
    const { workers, again } = await started(2);
    const [a, b] = workers;
    a.note(0, 1n, fresh(5 * perSegment));
    a.moment(begin);
    expect(hashesOf(b.moment(begin).learned)).toHaveLength(5 * perSegment);
    const next = again(0);
    for (const now of [begin + 2000, begin + 3500]) b.moment(now);
    const hashes = fresh(perSegment + 4);
    next.note(0, 1n, hashes);
    next.traffic(begin + 4000);
    next.moment(begin + 4000);
    next.moment(begin + 4300);
    expect(next.report().index).toBe(0);
    expect(hashesOf(b.moment(begin + 4300).learned)).toEqual(hashes);
    // The old one, only stuck, goes on under another number.
    const more = fresh(3);
    a.note(0, 1n, more);
    a.traffic(begin + 4400);
    a.moment(begin + 4400);
    expect(a.report()).toMatchObject({ lost: 1, index: 2 });
    expect(hashesOf(b.moment(begin + 4400).learned)).toEqual(more);
    expect(b.report().lostSegments).toBe(0);
  });
});

it("keeps its memory flat", async () => {
  const { host, workers } = await started(2);
  const [a, b] = workers;
  const hashes = fresh(3000);
  const growth = memoryGrowth(host.workerVm(), 1500, (round) => {
    a.note(round % 2, 1n, hashes.slice(0, (round * 37) % 3000));
    for (const worker of [a, b]) {
      worker.traffic(begin + round * 15);
      worker.moment(begin + round * 15);
      worker.hostcalls();
    }
  });
  expect(growth).toBe(0);
});
