import fc from "fast-check";
import { describe, expect, it } from "vitest";
import xxhash from "xxhash-wasm";
import { HashFunction, hashBytes, murmur2, STANDARD_SEED } from "../../test/lib/hash-functions-driver.ts";

/** What libstdc++'s std::hash says, and a differential test against a model over big integers. */

const MULTIPLIER = 0xc6a4a7935bd1e995n;
const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const mix = (value: bigint): bigint => value ^ (value >> 47n);

function reference(bytes: Uint8Array, seed: bigint): bigint {
  const words = [];
  for (let at = 0; at < bytes.length; at += 8) {
    words.push(bytes.subarray(at, at + 8).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n));
  }
  let hash = seed ^ u64(BigInt(bytes.length) * MULTIPLIER);
  for (const [index, word] of words.entries()) {
    const whole = 8 * (index + 1) <= bytes.length;
    hash = u64((hash ^ (whole ? u64(mix(u64(word * MULTIPLIER)) * MULTIPLIER) : word)) * MULTIPLIER);
  }
  return mix(u64(mix(hash) * MULTIPLIER));
}

describe("std::hash<std::string> of g++ on x86-64", () => {
  const vectors: [text: string, hash: bigint][] = [
    ["", 0x553e93901e462a6en],
    ["a", 0x454ddee488c1ed6bn],
    ["ab", 0x4c4da6cd289c737bn],
    ["abc", 0x32d82bf8ed3dba39n],
    ["1234567", 0x6d7a4e79e8a2cbf6n],
    ["12345678", 0x8c5b90a33a04dca5n],
    ["123456789", 0xaaeb28d3d5f165c0n],
    ["10.0.0.1:8080_0", 0x28125cc835986945n],
    ["127.0.0.1:9000_1023", 0x8b8d0585173423a0n],
    ["The quick brown fox jumps over the lazy dog", 0xdccbf2541704bc75n],
  ];
  it.each(vectors)("%j", (text, hash) => {
    expect(STANDARD_SEED).toBe(0xc70f6907n);
    expect(murmur2(Buffer.from(text), STANDARD_SEED)).toBe(hash);
    expect(hashBytes(HashFunction.Murmur2, text)).toBe(hash);
    expect(reference(Buffer.from(text), STANDARD_SEED)).toBe(hash);
  });

  it("bytes above 127 and a zero byte", () => {
    const bytes = Uint8Array.of(0xff, 0xfe, 0x80, 0, 0x7f);
    expect(murmur2(bytes, STANDARD_SEED)).toBe(0xf37ccb6b55f802d9n);
  });
});

it("agrees with the model for any bytes, seed and alignment", () => {
  const seed = fc.oneof(fc.constantFrom(0n, STANDARD_SEED, 2n ** 64n - 1n), fc.bigInt(0n, 2n ** 64n - 1n));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), seed, fc.nat(15), (bytes, value, shift) => {
      expect(murmur2(bytes, value, shift)).toBe(reference(bytes, value));
    }),
    { numRuns: 2000 },
  );
});

it("another seed is another function, for each of the three", async () => {
  const { h64 } = await xxhash();
  expect(hashBytes(HashFunction.XxHash64, "127.0.0.1:80", 0)).toBe(h64("127.0.0.1:80"));
  expect(hashBytes(HashFunction.XxHash64, "127.0.0.1:80", 1)).toBe(h64("127.0.0.1:80", 1n));
  expect(hashBytes(HashFunction.Murmur2, "127.0.0.1:80", 1)).toBe(
    reference(Buffer.from("127.0.0.1:80"), STANDARD_SEED + 1n),
  );
});
