import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HashFunction, hashBytes, memoryBytes, sha1, sha1Word } from "../../test/lib/hash-functions-driver.ts";

/** Published vectors, and a differential test against Node's crypto module. */

const reference = (bytes: Uint8Array): Buffer => createHash("sha1").update(bytes).digest();

describe("published vectors (FIPS 180-2, appendix A; RFC 3174, section 7.3)", () => {
  const vectors: [text: string, repeat: number, digest: string][] = [
    ["", 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"],
    ["abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d"],
    ["abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1, "84983e441c3bd26ebaae4aa1f95129e5e54670f1"],
    ["a", 1_000_000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"],
    [
      "0123456701234567012345670123456701234567012345670123456701234567",
      10,
      "dea356a2cddd90c7a7ecedc5ebb563934f460452",
    ],
  ];
  it.each(vectors)("%j x %i", (text, repeat, digest) => {
    expect(sha1(Buffer.from(text.repeat(repeat))).toString("hex")).toBe(digest);
  });
});

describe("differential against node:crypto", () => {
  it("every length from 0 to 300: all ends of the last block", () => {
    const bytes = Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 151 + 7) & 0xff));
    for (let length = 0; length <= 300; length++) {
      expect(sha1(bytes.subarray(0, length))).toEqual(reference(bytes.subarray(0, length)));
    }
  });

  it("any bytes, at any alignment, one after the other", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), fc.nat(15), (bytes, shift) => {
        expect(sha1(bytes, shift)).toEqual(reference(bytes));
      }),
      { numRuns: 1000 },
    );
  });

  it("words are the digest, read as big-endian numbers; word 0 is what rings use", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 150 }), (bytes) => {
        const digest = reference(bytes);
        for (const index of [0, 1]) {
          expect(sha1Word(bytes, index)).toBe(digest.readBigUInt64BE(8 * index));
          expect(hashBytes(HashFunction.Sha1, bytes, index)).toBe(digest.readBigUInt64BE(8 * index));
        }
      }),
    );
  });
});

it("hashes ten thousand texts without growing memory", () => {
  const bytes = Buffer.alloc(200, 1);
  sha1(bytes);
  const before = memoryBytes();
  for (let i = 0; i < 10_000; i++) sha1(bytes);
  expect(memoryBytes()).toBe(before);
});
