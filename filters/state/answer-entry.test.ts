import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { answer, begin, startAnswers } from "../../test/state/answer-driver.ts";
import { hashOf } from "../../test/state/eviction.ts";

const { workers } = await startAnswers();
const [worker] = workers;
const key = hashOf(1);
const until = begin + 9e7;

/** The layout once more, by hand. */
function layout(stored: ReturnType<typeof answer>): Buffer {
  const head = Buffer.alloc(64);
  head.write("TMA1", 0, "latin1");
  head.writeUInt8(stored.api, 4);
  head.writeUInt8(stored.flags, 5);
  head.writeUInt16LE(stored.contentType.length, 6);
  head.writeBigInt64LE(BigInt(stored.storedAt), 8);
  head.writeBigInt64LE(BigInt(stored.expiresAt), 16);
  head.writeBigUInt64LE(stored.tenant, 24);
  head.writeBigUInt64LE(stored.model, 32);
  for (const [index, tokens] of stored.tokens.entries()) head.writeUInt32LE(tokens, 40 + index * 4);
  head.writeUInt32LE(stored.body.length, 52);
  return Buffer.concat([head, Buffer.from(stored.contentType, "latin1"), stored.body]);
}

const word = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const tokens = fc.nat(2 ** 31 - 1);
const time = fc.nat(2 ** 45);
const answers = fc
  .record({
    api: fc.nat(255),
    flags: fc.nat(255),
    storedAt: time,
    life: fc.nat(59 * 86_400_000),
    tenant: word,
    model: word,
    tokens: fc.tuple(tokens, tokens, tokens),
    contentType: fc.string({
      unit: fc.integer({ min: 32, max: 126 }).map((c) => String.fromCharCode(c)),
      maxLength: 256,
    }),
    body: fc.uint8Array({ maxLength: 4000 }).map((bytes) => Buffer.from(bytes)),
  })
  .map(({ life, ...rest }) => ({ ...rest, expiresAt: rest.storedAt + life }));

describe("an entry", () => {
  it("has the bytes that everybody knows", () => {
    const stored = answer({
      ...{ api: 4, flags: 1, storedAt: 0x0102030405, expiresAt: 0x0102030409, contentType: "a/b", body: Buffer.of(9) },
      ...{ tenant: 0x1112131415161718n, model: 0x2122232425262728n, tokens: [0x31, 0x32, 0xffffffff] },
    });
    const rows = [
      "544d4131", // magic
      "04 01 0300", // api, flags, content type
      "0504030201000000", // stored at
      "0904030201000000", // expires at
      "1817161514131211", // tenant
      "2827262524232221", // model
      "31000000 32000000 ffffffff", // input, output, cached tokens
      "01000000", // body
      "0000000000000000",
      "612f62", // content type
      "09", // body
    ];
    expect(Buffer.from(worker.write(stored)).toString("hex")).toBe(rows.join("").replaceAll(" ", ""));
    expect(layout(stored)).toEqual(Buffer.from(worker.write(stored)));
  });

  it("is read as it was written", () => {
    fc.assert(
      fc.property(answers, (stored) => {
        const entry = layout(stored);
        const { body, ...rest } = stored;
        const read = worker.read(entry);
        // Comparing buffers member by member takes seconds.
        expect(entry.equals(worker.write(stored))).toBe(true);
        expect(read?.body.equals(body)).toBe(true);
        expect(read).toMatchObject({ ...rest, staleUntil: stored.expiresAt });
      }),
      { numRuns: 300 },
    );
  });

  it("that somebody else has made can be stored", () => {
    const stored = answer({ api: 2, body: Buffer.from("[1]") });
    expect(worker.take(key, layout(stored), until, begin)).toBe("stored");
    expect(worker.find(key, begin)).toMatchObject({ found: "fresh", staleUntil: until, ...stored });
    expect(worker.take(key, layout(stored).subarray(1), until, begin)).toBe("none");
    expect(worker.find(key, begin)?.found).toBe("fresh");
  });

  it("with lengths that do not add up is none", () => {
    const entry = layout(answer());
    for (let length = 0; length < entry.length; length++)
      expect(worker.read(entry.subarray(0, length))).toBeUndefined();
    expect(worker.read(Buffer.concat([entry, Buffer.of(0)]))).toBeUndefined();
    for (const lengths of [
      [0xffff, 10],
      [16, 0xffffffff],
      [0, 0xffffffff],
      [16, 0x80000000],
    ] as const) {
      const wrong = Buffer.from(entry);
      wrong.writeUInt16LE(lengths[0], 6);
      wrong.writeUInt32LE(lengths[1], 52);
      expect(worker.read(wrong)).toBeUndefined();
      expect(worker.take(key, wrong, until, begin)).toBe("none");
    }
  });

  it("cannot bring a header of its own", () => {
    for (const contentType of ["a/b\r\nx: y", "a\nb", "\0", "a\x7f", "x".repeat(257)]) {
      expect(worker.read(layout(answer({ contentType })))).toBeUndefined();
      expect(worker.write(answer({ contentType })).length).toBe(0);
      expect(worker.put(key, answer({ contentType }), until, begin)).toBe("none");
    }
    expect(worker.read(layout(answer({ contentType: "x".repeat(256) })))?.contentType.length).toBe(256);
    expect(worker.read(layout(answer({ contentType: "" })))?.contentType).toBe("");
  });

  it("of no time is none", () => {
    const times = [
      [-1n, 5n],
      [5n, 4n],
      [0n, 2n ** 48n + 1n],
      [2n ** 48n + 1n, 2n ** 48n + 2n],
      [2n ** 63n - 1n, 2n ** 63n - 1n],
      [-(2n ** 63n), 2n ** 63n - 1n],
    ] as const;
    for (const [storedAt, expiresAt] of times) {
      const wrong = layout(answer());
      wrong.writeBigInt64LE(storedAt, 8);
      wrong.writeBigInt64LE(expiresAt, 16);
      expect(worker.read(wrong)).toBeUndefined();
    }
  });

  it("may be any bytes", () => {
    const entry = layout(answer());
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(fc.nat(entry.length - 1), fc.nat(255)).map(([at, byte]) => Buffer.from(entry).fill(byte, at, at + 1)),
    );
    fc.assert(
      fc.property(bytes, (any) => {
        const read = worker.read(any);
        if (read) expect(64 + read.contentType.length + read.body.length).toBe(any.length);
      }),
      { numRuns: 500 },
    );
  });
});
