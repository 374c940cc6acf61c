/**
 * XXH64 of a text, for the names that people give to the admin API: filters hash models and tenants with it. Hundreds of bytes at most, so it may be slow.
 * Reference: xxHash specification 0.1.1 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), XXH64.
 */

const PRIME_1 = 0x9e3779b185ebca87n;
const PRIME_2 = 0xc2b2ae3d27d4eb4fn;
const PRIME_3 = 0x165667b19e3779f9n;
const PRIME_4 = 0x85ebca77c2b2ae63n;
const PRIME_5 = 0x27d4eb2f165667c5n;
const STRIPE = 32;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const rotate = (value: bigint, bits: bigint): bigint => u64(value << bits) | (value >> (64n - bits));
const round = (lane: bigint, input: bigint): bigint => u64(rotate(u64(lane + input * PRIME_2), 31n) * PRIME_1);

/** With seed 0, of the text in UTF-8. */
export function xxhash64(text: string): bigint {
  const bytes = Buffer.from(text);
  const length = BigInt(bytes.length);
  let at = 0;
  let hash = u64(PRIME_5 + length);
  if (bytes.length >= STRIPE) {
    const lanes = [u64(PRIME_1 + PRIME_2), PRIME_2, 0n, u64(-PRIME_1)] as const;
    let [a, b, c, d]: readonly [bigint, bigint, bigint, bigint] = lanes;
    for (; at + STRIPE <= bytes.length; at += STRIPE) {
      a = round(a, bytes.readBigUInt64LE(at));
      b = round(b, bytes.readBigUInt64LE(at + 8));
      c = round(c, bytes.readBigUInt64LE(at + 16));
      d = round(d, bytes.readBigUInt64LE(at + 24));
    }
    hash = u64(rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n));
    for (const lane of [a, b, c, d]) hash = u64((hash ^ round(0n, lane)) * PRIME_1 + PRIME_4);
    hash = u64(hash + length);
  }
  for (; at + 8 <= bytes.length; at += 8)
    hash = u64(rotate(hash ^ round(0n, bytes.readBigUInt64LE(at)), 27n) * PRIME_1 + PRIME_4);
  if (at + 4 <= bytes.length) {
    hash = u64(rotate(hash ^ u64(BigInt(bytes.readUInt32LE(at)) * PRIME_1), 23n) * PRIME_2 + PRIME_3);
    at += 4;
  }
  for (const byte of bytes.subarray(at)) hash = u64(rotate(hash ^ u64(BigInt(byte) * PRIME_5), 11n) * PRIME_1);
  hash = u64((hash ^ (hash >> 33n)) * PRIME_2);
  hash = u64((hash ^ (hash >> 29n)) * PRIME_3);
  return hash ^ (hash >> 32n);
}

/** Hex digits of the hash's bytes as filters send it, little-endian. */
export function nameHash(name: string): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(xxhash64(name));
  return bytes.toString("hex");
}
