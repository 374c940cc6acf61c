/**
 * MurmurHash2 of 64 bits (MurmurHash64A): what libstdc++'s std::hash and Envoy's MURMUR_HASH_2 compute on 64-bit machines.
 *
 * Reference: Austin Appleby, SMHasher, MurmurHash2.cpp. Tail bytes count as one little-endian number.
 */

const MULTIPLIER: u64 = 0xc6a4a7935bd1e995;

/** The seed of libstdc++'s std::hash, and so of Envoy. */
export const MURMUR2_SEED: u64 = 0xc70f6907;

/** Hash of the bytes [at, at + length). O(length), no allocation. */
export function murmur2(at: usize, length: i32, seed: u64): u64 {
  let hash = seed ^ (<u64>length * MULTIPLIER);
  const end = at + <usize>(length & ~7);
  while (at < end) {
    const word = load<u64>(at) * MULTIPLIER;
    hash = (hash ^ ((word ^ (word >> 47)) * MULTIPLIER)) * MULTIPLIER;
    at += 8;
  }
  let rest = length & 7;
  if (rest > 0) {
    let tail: u64 = 0;
    for (rest--; rest >= 0; rest--) tail = (tail << 8) | <u64>load<u8>(at + <usize>rest);
    hash = (hash ^ tail) * MULTIPLIER;
  }
  hash = (hash ^ (hash >> 47)) * MULTIPLIER;
  return hash ^ (hash >> 47);
}
