/**
 * Weighted choice among the targets of a rule, at random or tied to a key.
 *
 * A key is hashed to a point in [0, sum of weights) and belongs to the target in whose part the point lies, targets in the order of the configuration.
 * A request with the same key goes to the same target as long as the weights are the same; a change of weights moves only the keys whose part moved.
 */
import { xxhash64 } from "../lib/xxhash64";
import { Bytes, time } from "../sdk";

@final
export class Split {
  /** End of each target's part. */
  private readonly ends: u32[] = [];
  private total: u32 = 0;

  add(weight: u32): void {
    this.total += weight;
    this.ends.push(this.total);
  }

  get sum(): u32 {
    return this.total;
  }

  /** Index of a target; the same for the same key. O(targets). */
  byKey(key: Bytes): i32 {
    return this.at(xxhash64(key.ptr, key.len, 0));
  }

  /** Index of a target by weight alone. */
  atRandom(): i32 {
    return this.ends.length == 1 ? 0 : this.at(random());
  }

  private at(hash: u64): i32 {
    // The upper half, scaled: no division, and no bias that matters below 2^32.
    const point = <u32>(((hash >> 32) * <u64>this.total) >> 32);
    let index = 0;
    while (unchecked(this.ends[index]) <= point) index++;
    return index;
  }
}

/** SplitMix64, one sequence for each VM; its first use asks the clock for a beginning. */
let state: u64 = 0;

function random(): u64 {
  if (state == 0) state = time.now() | 1;
  state += 0x9e3779b97f4a7c15;
  let value = state;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}
