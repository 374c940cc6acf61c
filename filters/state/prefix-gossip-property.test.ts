import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fresh, perSegment, segments, started } from "../../test/state/gossips.ts";
import { begin } from "../../test/state/worker-driver.ts";

/** Three workers that write, read and fall behind: each learns what was not overwritten, once and in order. */

describe("three workers", () => {
  const event = fc.record({
    worker: fc.nat(2),
    step: fc.nat(120),
    notes: fc.array(
      fc.record({
        pool: fc.nat(1),
        endpoint: fc.nat(2),
        count: fc.oneof(fc.nat(3), fc.nat(30), fc.nat(700)),
      }),
      {
        maxLength: 3,
      },
    ),
    /** Times that it is done, 200 ms apart. */
    times: fc.oneof(
      { weight: 8, arbitrary: fc.constant(1) },
      { weight: 1, arbitrary: fc.integer({ min: 20, max: 60 }) },
    ),
    reads: fc.option(fc.oneof(fc.nat(10), fc.constant(1000)), { freq: 3 }),
    /** Who has a tick before the n-th access. */
    between: fc.option(fc.record({ worker: fc.nat(2), nth: fc.nat(8) }), { freq: 2 }),
  });

  const repeated = <T extends { times: number }>(event: T): T[] => Array.from({ length: event.times }, () => event);

  it("learn what was not overwritten, each once and in order", { timeout: 60_000 }, async () => {
    const { host, again } = await started(3);
    let now = begin;
    const seen = { learned: 0, lost: 0, races: 0, dropped: 0 };
    fc.assert(
      fc.property(fc.array(event, { minLength: 1, maxLength: 50 }), (events) => {
        now += 3_600_000;
        const all = [0, 1, 2].map((index) => ({ worker: again(index), noted: [] as bigint[], index }));
        const heard = all.map(() => all.map(() => [] as bigint[]));
        const moment = (one: (typeof all)[number], most: number) => {
          one.worker.traffic(now);
          for (const { pool, endpoint, hashes } of one.worker.moment(now, most).learned) {
            const [writer, which] = [Number(endpoint / 10n), Number(endpoint % 10n)];
            expect(hashes.every((hash) => hash >> 48n === BigInt(pool * 10 + which))).toBe(true);
            heard[one.index]?.[writer]?.push(...hashes.map((hash) => hash & 0xffff_ffff_ffffn));
          }
          expect(one.worker.scratchLeft()).toBe(0);
        };
        // All know each other.
        for (const one of [...all, ...all]) moment(one, 1000);
        for (const { worker, step, notes, times, reads, between } of events.flatMap(repeated)) {
          now += times > 1 ? 200 : step;
          // Nobody is given up.
          for (const { worker } of all) {
            worker.traffic(now);
            worker.tick(now);
          }
          const one = all[worker] as (typeof all)[number];
          for (const { pool, endpoint, count } of notes) {
            const hashes = fresh(count).map((hash) => hash & 0xffff_ffff_ffffn);
            one.noted.push(...hashes);
            const mark = BigInt(pool * 10 + endpoint) << 48n;
            one.worker.note(
              pool,
              BigInt(worker * 10 + endpoint),
              hashes.map((hash) => mark | hash),
            );
          }
          let access = 0;
          host.sharedData.interleave = ({ thread }) => {
            if (!between || between.worker === worker || thread !== worker + 1 || access++ !== between.nth) return;
            seen.races++;
            moment(all[between.worker] as (typeof all)[number], 1000);
          };
          moment(one, reads ?? 0);
          host.sharedData.interleave = undefined;
        }
        // All is written, and all is read.
        for (const wait of [300, 300]) {
          now += wait;
          for (const one of all) moment(one, 1000);
        }
        for (const one of all) moment(one, 1000);
        for (const reader of all) {
          const { lostSegments, learned } = reader.worker.report();
          let missing = 0;
          for (const writer of all) {
            if (writer === reader) continue;
            const hashes = heard[reader.index]?.[writer.index] ?? [];
            const positions = new Map(writer.noted.map((hash, position) => [hash, position]));
            const found = hashes.map((hash) => positions.get(hash) ?? -1);
            // In order, so none twice.
            expect(found.every((position, at) => position > (at === 0 ? -1 : (found[at - 1] as number)))).toBe(true);
            const { sent, droppedHashes } = writer.worker.report();
            expect(sent + droppedHashes).toBe(writer.noted.length);
            missing += sent - hashes.length;
            seen.dropped += droppedHashes;
          }
          expect(missing).toBeGreaterThanOrEqual(lostSegments);
          expect(missing).toBeLessThanOrEqual(lostSegments * perSegment);
          seen.lost += lostSegments;
          seen.learned += learned;
        }
        for (const { worker } of all) {
          worker.leave();
          worker.release();
          worker.hostcalls();
        }
      }),
      { numRuns: 40 },
    );
    expect(seen.learned).toBeGreaterThan(100_000);
    expect(seen.lost).toBeGreaterThan(30);
    expect(seen.races).toBeGreaterThan(300);
    const keys = host.sharedData.keys().filter((key) => key.includes(".g"));
    expect(keys.length).toBeLessThanOrEqual(3 * segments);
    expect(host.sharedData.bytes()).toBeLessThan(3 * segments * (4096 + 28) + 3 * 200 + 100);
  });
});
