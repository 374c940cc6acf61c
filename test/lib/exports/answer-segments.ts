/** Exports of filters/lib/answer-segments for its tests on Node: recordings and pools by number. */
import "../../../filters/sdk/abort";
import { Recording, recordings, SegmentPool } from "../../../filters/lib/answer-segments";

const pools: SegmentPool[] = [];
const kept: Recording[] = [];
const scratch: usize = heap.alloc(1 << 20);

export function buffer(): usize {
  return scratch;
}

export function openPool(maxBytes: u32): i32 {
  pools.push(new SegmentPool(maxBytes));
  return pools.length - 1;
}

export function setMaxBytes(pool: i32, maxBytes: u32): void {
  pools[pool].maxBytes = maxBytes;
}

export function usedBytes(pool: i32): u32 {
  return <u32>pools[pool].usedBytes;
}

export function closePool(pool: i32): void {
  pools[pool].close();
}

/** A recording under a number that is free again after `release`. */
export function take(number: i32, pool: i32, most: i32): void {
  while (kept.length <= number) kept.push(new Recording());
  kept[number] = recordings.take(pools[pool], most);
}

export function begin(number: i32, pool: i32, most: i32): void {
  kept[number].begin(pools[pool], most);
}

export function append(number: i32, length: i32): bool {
  return kept[number].append(scratch, length);
}

export function length(number: i32): i32 {
  return kept[number].length;
}

export function overflowed(number: i32): bool {
  return kept[number].overflowed;
}

/** Copies the pieces to the buffer and returns how many there are; -1 when one is empty or too large. */
export function pieces(number: i32): i32 {
  const recording = kept[number];
  let count = 0;
  let to = scratch;
  recording.rewind();
  while (recording.next()) {
    if (recording.pieceLength <= 0 || recording.pieceLength > 8192) return -1;
    memory.copy(to, recording.piece, recording.pieceLength);
    to += recording.pieceLength;
    count++;
  }
  return count;
}

export function copy(number: i32): void {
  kept[number].copyTo(scratch);
}

/** Gives the memory back, and keeps the object. */
export function giveBack(number: i32): void {
  kept[number].release();
}

export function release(number: i32): void {
  recordings.release(kept[number]);
}

export function pages(): i32 {
  return memory.size();
}
