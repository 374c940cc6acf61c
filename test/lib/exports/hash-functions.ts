/** Exports of filters/lib/{sha1,murmur2,hash-function} for their tests on Node. */
import "../../../filters/sdk/abort";
import { HashFunction, hashBytes } from "../../../filters/lib/hash-function";
import { MURMUR2_SEED, murmur2 } from "../../../filters/lib/murmur2";
import { sha1, sha1Word } from "../../../filters/lib/sha1";

let input: usize = 0;
const digest: usize = memory.data(20);

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

export function sha1Of(at: usize, length: i32): usize {
  sha1(at, length, digest);
  return digest;
}

export function sha1WordOf(at: usize, length: i32, index: i32): u64 {
  return sha1Word(at, length, index);
}

export function murmur2Of(at: usize, length: i32, seed: u64): u64 {
  return murmur2(at, length, seed);
}

export function standardSeed(): u64 {
  return MURMUR2_SEED;
}

export function hashOf(fn: HashFunction, at: usize, length: i32, seed: i32): u64 {
  return hashBytes(fn, at, length, seed);
}
