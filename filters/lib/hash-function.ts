/** Hash functions of rings and tables: one number of 64 bits, whichever it is. */

import { MURMUR2_SEED, murmur2 } from "./murmur2";
import { sha1Word } from "./sha1";
import { xxhash64 } from "./xxhash64";

export enum HashFunction {
  XxHash64,
  /** Its leading 64 bits, so that positions are in the order of the whole digests. */
  Sha1,
  Murmur2,
}

/** Hash of [at, at + length); `seed` 0 is the function as everybody has it, 1 another one, independent of it. O(length), no allocation. */
export function hashBytes(fn: HashFunction, at: usize, length: i32, seed: i32 = 0): u64 {
  if (fn == HashFunction.Sha1) return sha1Word(at, length, seed);
  if (fn == HashFunction.Murmur2) return murmur2(at, length, MURMUR2_SEED + <u64>seed);
  return xxhash64(at, length, seed);
}

/** Every bit of the result depends on every bit of `value`; one to one. MurmurHash3's finalizer. */
@inline
export function mixBits(value: u64): u64 {
  value = (value ^ (value >> 33)) * 0xff51afd7ed558ccd;
  value = (value ^ (value >> 33)) * 0xc4ceb9fe1a85ec53;
  return value ^ (value >> 33);
}
