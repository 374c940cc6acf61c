import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { brotliCompressSync, constants, createBrotliCompress } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { entryOf } from "../../../test/fixtures/answer-entry.ts";
import { notAhead, readHead } from "./entry.ts";
import { MAX_VALUE_BYTES } from "./limits.ts";
import { pack, unpack, unpackPace } from "./packing.ts";

/** What filters send, and what stands in a store. */

const head = (encoding: number, length: number, format = 1) => {
  const bytes = Buffer.from([format, encoding, 0, 0, 0, 0]);
  bytes.writeUInt32LE(length, 2);
  return bytes;
};

describe("an entry", () => {
  it("says when it is from and whom it belongs to", () => {
    const entry = entryOf({ storedAt: 1_790_000_000_000, tenant: "1112131415161718", model: "2122232425262728" });
    expect(readHead(entry)).toEqual({
      storedAt: 1_790_000_000_000,
      expiresAt: 1_790_003_600_000,
      tenant: "1112131415161718",
      model: "2122232425262728",
    });
    expect(entry.toString("latin1", 0, 4)).toBe("TMA1");
  });

  it("has the length that it says, from the first byte on", () => {
    const entry = entryOf({ contentType: "text/event-stream", body: "data: 1\n\n" });
    for (let length = 0; length < entry.length; length++) expect(readHead(entry.subarray(0, length))).toBeUndefined();
    expect(readHead(Buffer.concat([entry, Buffer.from("x")]))).toBeUndefined();
    expect(readHead(entry)).toBeDefined();
  });

  it("of another magic, from before the epoch, from the end of time, or too large is none", () => {
    const other = entryOf({});
    other.write("TMA2");
    expect(readHead(other)).toBeUndefined();
    for (const storedAt of [-1n, 2n ** 63n - 1n, -(2n ** 63n)]) {
      const entry = entryOf({});
      entry.writeBigInt64LE(storedAt, 8);
      expect(readHead(entry)).toBeUndefined();
    }
    const largest = MAX_VALUE_BYTES - 64 - "application/json".length;
    expect(readHead(entryOf({ body: "x".repeat(largest) }))).toBeDefined();
    expect(readHead(entryOf({ body: "x".repeat(largest + 1) }))).toBeUndefined();
  });

  it("is from no later than now, and otherwise as it was", () => {
    const entry = entryOf({ storedAt: 2_000 });
    const known = readHead(entry);
    if (known === undefined) throw new Error("no entry");
    expect(notAhead(entry, known, 2_000)).toBe(entry);
    const earlier = notAhead(entry, known, 1_500);
    expect(readHead(earlier)).toEqual({ ...known, storedAt: 1_500 });
    expect(readHead(entry)).toEqual(known);
    expect([earlier.subarray(0, 8), earlier.subarray(16)]).toEqual([entry.subarray(0, 8), entry.subarray(16)]);
  });
});

describe("packing", () => {
  it("gives back what went in, whatever it is", async () => {
    const sizes = fc.oneof(fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 16_000, max: 17_000 }));
    await fc.assert(
      fc.asyncProperty(sizes, fc.uint8Array({ minLength: 1, maxLength: 64 }), async (size, seed) => {
        const value = Buffer.alloc(size, seed);
        expect(await unpack(await pack(value))).toEqual(value);
      }),
    );
  });

  it("makes a stream small, and nothing larger than it is by more than its head", async () => {
    const stream = Buffer.from(
      Array.from({ length: 200 }, (_, n) => `data: {"choices":[{"index":0,"delta":{"content":"${n}"}}]}\n\n`).join(""),
    );
    expect((await pack(stream)).length).toBeLessThan(stream.length / 10);
    for (const length of [0, 10, 1_023, 1_024, 40_000]) {
      const noise = Buffer.from(Array.from({ length }, (_, n) => (n * n * 7_919) >>> 5));
      const random = crypto.getRandomValues(noise);
      expect((await pack(random)).length).toBeLessThanOrEqual(length + 6);
    }
  });

  it("holds no memory but its own", async () => {
    for (const length of [10, 3_000]) {
      const packed = await pack(Buffer.alloc(length, "a"));
      expect(packed.buffer.byteLength).toBe(packed.length);
    }
  });

  it.each([
    ["no bytes", Buffer.alloc(0)],
    ["half a head", head(0, 1).subarray(0, 5)],
    ["another format", Buffer.concat([head(0, 1, 2), Buffer.from("a")])],
    ["another encoding", Buffer.concat([head(2, 1), Buffer.from("a")])],
    ["less than it says", Buffer.concat([head(0, 2), Buffer.from("a")])],
    ["more than it says", Buffer.concat([head(0, 1), Buffer.from("ab")])],
    ["no brotli", Buffer.concat([head(1, 5), Buffer.from("hello")])],
    ["cut brotli", Buffer.concat([head(1, 100), brotliCompressSync(Buffer.alloc(100, "ab")).subarray(0, -1)])],
    ["brotli of less than it says", Buffer.concat([head(1, 101), brotliCompressSync(Buffer.alloc(100))])],
    ["brotli of more than it says", Buffer.concat([head(1, 99), brotliCompressSync(Buffer.alloc(100))])],
    ["brotli of nothing that is more", Buffer.concat([head(1, 0), brotliCompressSync(Buffer.alloc(100))])],
    ["more than an entry has", Buffer.concat([head(1, MAX_VALUE_BYTES + 1), brotliCompressSync(Buffer.alloc(9))])],
  ])("%s is no entry", async (_what, packed) => {
    expect(await unpack(packed)).toBeUndefined();
  });

  it("makes no more of a few bytes than they say", async () => {
    const stream = createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 2 } });
    const zeros = Buffer.alloc(1024 * 1024);
    const bomb = await buffer(Readable.from(Array.from({ length: 512 }, () => zeros)).pipe(stream));
    expect(bomb.length).toBeLessThan(10_000);
    const before = process.resourceUsage().maxRSS;
    for (const length of [1_000, 100_000]) expect(await unpack(Buffer.concat([head(1, length), bomb]))).toBeUndefined();
    // KiB: the bomb would take 524,288.
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(100_000);
  });
});

describe("a pace", () => {
  it("stands beside its entry, compressed or not, and neither changes the other", async () => {
    const value = fc.oneof(fc.uint8Array({ maxLength: 50 }), fc.constant(new Uint8Array(5_000)));
    await fc.assert(
      fc.asyncProperty(value, fc.uint8Array({ maxLength: 300 }), async (bytes, pace) => {
        const packed = await pack(Buffer.from(bytes), pace);
        expect(Buffer.from(unpackPace(packed)).equals(pace)).toBe(true);
        expect((await unpack(packed))?.equals(bytes)).toBe(true);
        // Without one, nothing differs from what older servers write and read.
        if (pace.length === 0) expect(packed.readUInt8(0)).toBe(1);
      }),
    );
  });

  it("that is cut off is none, and its entry neither", async () => {
    const packed = await pack(Buffer.alloc(100, 1), Buffer.from([1, 2, 3, 4]));
    for (let length = 0; length < packed.length; length++)
      expect(await unpack(packed.subarray(0, length))).toBeUndefined();
    for (let length = 0; length < 12; length++) expect(unpackPace(packed.subarray(0, length)).length).toBe(0);
  });
});
