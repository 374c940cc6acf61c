/** Exports of filters/lib/{rendezvous,hash-ring,maglev} behind their interface for tests on Node. Handles are numbers. */
import "../../../filters/sdk/abort";
import { EndpointHash } from "../../../filters/lib/endpoint-hash";
import { HashFunction, hashBytes } from "../../../filters/lib/hash-function";
import { createEndpointHash, HashMethod } from "../../../filters/lib/hash-method";
import { HashRing, RingShape } from "../../../filters/lib/hash-ring";
import { Maglev } from "../../../filters/lib/maglev";

const hashes: EndpointHash[] = [];

export function allocate(size: i32): usize {
  return heap.alloc(size);
}

export function release(at: usize): void {
  heap.free(at);
}

export function collect(): void {
  __collect();
}

/** Where the next block would be: moves when something is allocated. */
export function heapTop(): usize {
  const block = heap.alloc(16);
  heap.free(block);
  return block;
}

function keep(hash: EndpointHash): i32 {
  hashes.push(hash);
  return hashes.length - 1;
}

export function create(method: HashMethod, fn: HashFunction, points: i32): i32 {
  return keep(createEndpointHash(method, fn, points));
}

export function createRing(fn: HashFunction, bits: i32, separator: u8, points: i32, minimum: i32, maximum: i32): i32 {
  const shape = new RingShape();
  shape.fn = fn;
  shape.bits = bits;
  shape.separator = separator;
  shape.points = points;
  shape.minimum = minimum;
  shape.maximum = maximum;
  return keep(new HashRing(shape));
}

export function createMaglev(fn: HashFunction, entries: i32): i32 {
  return keep(new Maglev(fn, entries));
}

/** Of the newest: its number is given to the next one. */
export function free(): void {
  hashes.pop().free();
}

export function size(hash: i32): i32 {
  return hashes[hash].size;
}

export function has(hash: i32, slot: i32): bool {
  return hashes[hash].has(slot);
}

export function put(hash: i32, slot: i32, name: usize, length: i32, weight: u32): void {
  hashes[hash].put(slot, name, length, weight);
}

export function putHash(hash: i32, slot: i32, addressHash: u64, weight: u32): void {
  hashes[hash].putHash(slot, addressHash, weight);
}

export function drop(hash: i32, slot: i32): void {
  hashes[hash].drop(slot);
}

export function build(hash: i32): void {
  hashes[hash].build();
}

export function join(hash: i32, slot: i32, name: usize, length: i32, weight: u32): void {
  hashes[hash].join(slot, name, length, weight);
}

export function joinHash(hash: i32, slot: i32, addressHash: u64, weight: u32): void {
  hashes[hash].joinHash(slot, addressHash, weight);
}

export function leave(hash: i32, slot: i32): void {
  hashes[hash].leave(slot);
}

export function pick(hash: i32, key: u64, accept: usize): i32 {
  return hashes[hash].pick(key, accept);
}

export function order(hash: i32, key: u64, accept: usize, slots: usize, limit: i32): i32 {
  return hashes[hash].order(key, accept, slots, limit);
}

export function pickBounded(hash: i32, key: u64, accept: usize, room: usize, jump: bool): i32 {
  return hashes[hash].pickBounded(key, accept, room, jump);
}

/** Picks the slots of `count` keys of 8 bytes each and writes a byte for each to `slots`, 255 for none. */
export function pickAll(hash: i32, keys: usize, count: i32, accept: usize, slots: usize): void {
  for (let i = 0; i < count; i++) {
    store<u8>(slots + <usize>i, hashes[hash].pick(load<u64>(keys + (<usize>i << 3)), accept));
  }
}

/** A loop to measure; the sum keeps the lookups alive. */
export function pickMany(hash: i32, first: u64, count: i32, accept: usize): i32 {
  let sum = 0;
  let key = first;
  const which = hashes[hash];
  for (let i = 0; i < count; i++) {
    key = key * 6364136223846793005 + 1442695040888963407;
    sum += which.pick(key ^ (key >> 29), accept);
  }
  return sum;
}

export function orderMany(hash: i32, first: u64, count: i32, accept: usize, slots: usize, limit: i32): i32 {
  let sum = 0;
  let key = first;
  const which = hashes[hash];
  for (let i = 0; i < count; i++) {
    key = key * 6364136223846793005 + 1442695040888963407;
    sum += which.order(key ^ (key >> 29), accept, slots, limit);
  }
  return sum;
}

export function points(hash: i32): i32 {
  const ring = hashes[hash];
  return ring instanceof HashRing ? (ring as HashRing).points : 0;
}

export function pointsOf(hash: i32, slot: i32): i32 {
  const ring = hashes[hash];
  return ring instanceof HashRing ? (ring as HashRing).pointsOf(slot) : 0;
}

export function hashOf(fn: HashFunction, at: usize, length: i32, seed: i32): u64 {
  return hashBytes(fn, at, length, seed);
}
