/**
 * XXH64: a fast hash of 64 bits without cryptographic claims, for hash tables, sampling and sticky choices.
 *
 * One-shot for bytes that lie together, and a state for bytes that come in pieces; both give the same number, which is the one every
 * other implementation gives. Whoever can choose the input can choose collisions: no seed makes it a MAC.
 *
 * Reference: xxHash specification 0.1.1 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), XXH64.
 */

const PRIME_1: u64 = 0x9e3779b185ebca87;
const PRIME_2: u64 = 0xc2b2ae3d27d4eb4f;
const PRIME_3: u64 = 0x165667b19e3779f9;
const PRIME_4: u64 = 0x85ebca77c2b2ae63;
const PRIME_5: u64 = 0x27d4eb2f165667c5;

/** Bytes of a stripe: one word for each of the four lanes. */
const STRIPE: i32 = 32;

/** Hash of the bytes [at, at + length). O(length), no allocation. */
export function xxhash64(at: usize, length: i32, seed: u64): u64 {
  if (length < STRIPE) return finish(seed + PRIME_5 + <u64>length, at, length);
  let lane1 = seed + PRIME_1 + PRIME_2;
  let lane2 = seed + PRIME_2;
  let lane3 = seed;
  let lane4 = seed - PRIME_1;
  const stop = at + <usize>(length & ~(STRIPE - 1));
  while (at < stop) {
    lane1 = round(lane1, load<u64>(at));
    lane2 = round(lane2, load<u64>(at, 8));
    lane3 = round(lane3, load<u64>(at, 16));
    lane4 = round(lane4, load<u64>(at, 24));
    at += STRIPE;
  }
  return finish(converge(lane1, lane2, lane3, lane4) + <u64>length, at, length & (STRIPE - 1));
}

/** The same hash of bytes that come in pieces. State: six words and one begun stripe. */
@final
export class XxHash64 {
  private seed: u64 = 0;
  private lane1: u64 = 0;
  private lane2: u64 = 0;
  private lane3: u64 = 0;
  private lane4: u64 = 0;
  private total: u64 = 0;
  /** The begun stripe; `total` says how many of its bytes are there. */
  private readonly carry: usize = heap.alloc(STRIPE);

  constructor(seed: u64 = 0) {
    this.reset(seed);
  }

  /** Ready for new input. */
  reset(seed: u64): void {
    this.seed = seed;
    this.lane1 = seed + PRIME_1 + PRIME_2;
    this.lane2 = seed + PRIME_2;
    this.lane3 = seed;
    this.lane4 = seed - PRIME_1;
    this.total = 0;
  }

  /** Bytes [at, at + length) come next. O(length), no allocation. */
  update(at: usize, length: i32): void {
    if (length <= 0) return;
    const carried = <i32>this.total & (STRIPE - 1);
    this.total += <u64>length;
    if (carried + length < STRIPE) {
      memory.copy(this.carry + <usize>carried, at, length);
      return;
    }
    if (carried > 0) {
      const missing = STRIPE - carried;
      memory.copy(this.carry + <usize>carried, at, missing);
      this.stripes(this.carry, STRIPE);
      at += <usize>missing;
      length -= missing;
    }
    const whole = length & ~(STRIPE - 1);
    if (whole > 0) this.stripes(at, whole);
    memory.copy(this.carry, at + <usize>whole, length - whole);
  }

  /** Hash of everything so far; more may follow. */
  digest(): u64 {
    const head =
      this.total < <u64>STRIPE ? this.seed + PRIME_5 : converge(this.lane1, this.lane2, this.lane3, this.lane4);
    return finish(head + this.total, this.carry, <i32>this.total & (STRIPE - 1));
  }

  /** Whole stripes; the lanes live in locals meanwhile. */
  private stripes(at: usize, length: i32): void {
    let lane1 = this.lane1;
    let lane2 = this.lane2;
    let lane3 = this.lane3;
    let lane4 = this.lane4;
    const stop = at + <usize>length;
    while (at < stop) {
      lane1 = round(lane1, load<u64>(at));
      lane2 = round(lane2, load<u64>(at, 8));
      lane3 = round(lane3, load<u64>(at, 16));
      lane4 = round(lane4, load<u64>(at, 24));
      at += STRIPE;
    }
    this.lane1 = lane1;
    this.lane2 = lane2;
    this.lane3 = lane3;
    this.lane4 = lane4;
  }
}

@inline
function round(lane: u64, word: u64): u64 {
  return rotl<u64>(lane + word * PRIME_2, 31) * PRIME_1;
}

@inline
function converge(lane1: u64, lane2: u64, lane3: u64, lane4: u64): u64 {
  let hash = rotl<u64>(lane1, 1) + rotl<u64>(lane2, 7) + rotl<u64>(lane3, 12) + rotl<u64>(lane4, 18);
  hash = (hash ^ round(0, lane1)) * PRIME_1 + PRIME_4;
  hash = (hash ^ round(0, lane2)) * PRIME_1 + PRIME_4;
  hash = (hash ^ round(0, lane3)) * PRIME_1 + PRIME_4;
  return (hash ^ round(0, lane4)) * PRIME_1 + PRIME_4;
}

/** Less than a stripe is left: words, half a word, bytes, then the avalanche. */
function finish(hash: u64, at: usize, length: i32): u64 {
  const end = at + <usize>length;
  while (at + 8 <= end) {
    hash = rotl<u64>(hash ^ round(0, load<u64>(at)), 27) * PRIME_1 + PRIME_4;
    at += 8;
  }
  if (at + 4 <= end) {
    hash = rotl<u64>(hash ^ (<u64>load<u32>(at) * PRIME_1), 23) * PRIME_2 + PRIME_3;
    at += 4;
  }
  while (at < end) {
    hash = rotl<u64>(hash ^ (<u64>load<u8>(at) * PRIME_5), 11) * PRIME_1;
    at++;
  }
  hash = (hash ^ (hash >> 33)) * PRIME_2;
  hash = (hash ^ (hash >> 29)) * PRIME_3;
  return hash ^ (hash >> 32);
}
