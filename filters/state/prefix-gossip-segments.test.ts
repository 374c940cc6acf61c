import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fresh, hashesOf, segments, started } from "../../test/state/gossips.ts";
import { begin, get } from "../../test/state/worker-driver.ts";

/** Segments that are none, and heads that are wrong. */

const keyOf = (slot: string, segment: string) => `tm.ep.1.0000000000000007.g${slot}${segment}`;

describe("a segment", () => {
  it("that is none is lost, and nothing else", async () => {
    const { host, workers } = await started(2);
    const [a, b] = workers;
    b.moment(begin);
    let written = 0;
    let now = begin;
    const write = () => {
      const hashes = fresh(9);
      a.note(0, 1n, hashes.slice(0, 4));
      a.note(1, 2n, hashes.slice(4));
      now += 300;
      a.traffic(now);
      a.moment(now);
      return { hashes, key: keyOf("0", String.fromCharCode(48 + (written++ % segments))) };
    };
    const { key } = write();
    const good = host.sharedData.get("", key)?.value as Uint8Array;
    expect(good.length).toBe(24 + 24 + 32 + 24 + 40);
    b.traffic(now);
    expect(hashesOf(b.moment(now).learned)).toHaveLength(9);
    const view = (value: Uint8Array) => new DataView(value.buffer, value.byteOffset);
    const spoil = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((value) => () => value),
      fc.nat(good.length - 1).map((length) => (value: Uint8Array) => value.slice(0, length)),
      fc
        .array(fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 3 })
        .map((changes) => (value: Uint8Array) => {
          for (const [at, byte] of changes) value[at] = (value[at] as number) ^ byte;
          return value;
        }),
      fc.constantFrom(0xffffffff, 0x20000000, 0x1fffffff, 6, 1000).map((count) => (value: Uint8Array) => {
        view(value).setUint32(24 + 16, count, true);
        return value;
      }),
    );
    fc.assert(
      fc.property(spoil, (change) => {
        const { hashes, key } = write();
        const value = host.sharedData.get("", key)?.value.slice() as Uint8Array;
        host.sharedData.set("", key, change(value), 0);
        b.traffic(now);
        const { learned } = b.moment(now);
        expect(learned.length).toBeLessThanOrEqual(2);
        for (const { hashes } of learned) expect(hashes.length).toBeLessThanOrEqual(11);
        expect(b.scratchLeft()).toBe(0);
        // What comes behind it arrives.
        const next = write();
        b.traffic(now);
        expect(hashesOf(b.moment(now).learned)).toEqual(next.hashes);
        expect(hashes).toHaveLength(9);
      }),
      { numRuns: 1000 },
    );
    for (const [at, name] of [
      [0, "of another kind"],
      [8, "of another generation"],
      [16, "of another sequence"],
    ] as const) {
      const { key } = write();
      const value = host.sharedData.get("", key)?.value.slice() as Uint8Array;
      value[at] = (value[at] as number) ^ 1;
      host.sharedData.set("", key, value, 0);
      const before = b.report().lostSegments;
      b.traffic(now);
      expect(b.moment(now).learned, name).toEqual([]);
      expect(b.report().lostSegments).toBe(before + 1);
    }
  });

  it("is not looked for far behind a head that is wrong", async () => {
    const { host, workers } = await started(2);
    const [a, b] = workers;
    a.note(0, 1n, fresh(3));
    a.moment(begin);
    b.moment(begin);
    const board = "tm.ep.1.0000000000000007.l0";
    const value = host.sharedData.get("", board)?.value.slice() as Uint8Array;
    for (const head of [2n ** 64n - 1n, 0n, 1n, 33n, 2n ** 40n]) {
      new DataView(value.buffer).setBigUint64(16, head, true);
      host.sharedData.set("", board, value, 0);
      b.hostcalls();
      b.moment(begin + 1);
      expect(b.hostcalls().filter((name) => name === get).length).toBeLessThan(40);
    }
    expect(b.report().lostSegments).toBeLessThan(3 * 65_536);
    // And what comes is read again.
    b.moment(begin + 300);
    a.moment(begin + 1000);
    b.moment(begin + 1000);
    const hashes = fresh(3);
    a.note(0, 1n, hashes);
    a.moment(begin + 1300);
    expect(hashesOf(b.moment(begin + 1300).learned)).toEqual(hashes);
  });
});
