/**
 * One set of the slab: which answers its ways hold, without the answers. It costs a get for each lookup, so it has no more than a miss needs.
 *
 *   set   |magic u32|hand u32|used u32|made u32|referenced u64 x 2| key u64 x WAYS | stamp u32 x WAYS | bytes u32 x WAYS | ends u32 x WAYS | born u32 x WAYS |         3104 bytes, little-endian
 *
 *   hand        the way that CLOCK looks at next
 *   used        bytes that the set holds; only for the statistics
 *   made        ways that were ever written: their keys are there for good
 *   referenced  a bit for each way that was found since the hand passed
 *   key         low half of the key; the whole of it is in front of the answer
 *   stamp       the version of the set when the answer was stored, which is in front of the answer, too: an answer with another stamp is another one
 *   bytes       0: the way is free
 *   ends, born  seconds since 1970: from which on it is of no use, and when its request was sent
 *
 * Any bytes with the magic are a set: what is wrong in them loses answers, nothing more. An answer is only believed with its own key and stamp.
 */

/** Many, so that small answers fill the memory that has to be there for large ones (answer-slab.ts). A get costs about a microsecond, a kilobyte more a twentieth of that. */
export const WAYS: i32 = 128;
/** Seconds that a request may lie ahead. More: the clock was set back, and nobody knows how old the answer is. */
export const SKEW: u32 = 60;

const MAGIC: u32 = 0x31436d74;
const WORDS: i32 = WAYS / 64;
const REFERENCED: usize = 16;
const KEYS: usize = REFERENCED + <usize>WORDS * 8;
const STAMPS: usize = KEYS + <usize>WAYS * 8;
const SIZES: usize = STAMPS + <usize>WAYS * 4;
const ENDS: usize = SIZES + <usize>WAYS * 4;
const BORN: usize = ENDS + <usize>WAYS * 4;

export const SET_BYTES: i32 = <i32>(BORN + <usize>WAYS * 4);

/** The set at an address; holds no bytes itself. */
@final
export class AnswerSet {
  at: usize = 0;
  /** Live answers that `makeRoom` evicted. */
  evictedLive: u32 = 0;
  /** A bit for each way whose answer is to be emptied. */
  private readonly emptied: StaticArray<u64> = new StaticArray<u64>(WORDS);

  /** `budget`: bytes of answers and of what each way costs that was ever written, `wayCost`. */
  constructor(
    private readonly budget: i64,
    private readonly wayCost: i64,
  ) {}

  /** The set that these bytes are. False when they are none. */
  open(at: usize, length: i32): bool {
    this.at = at;
    return length == SET_BYTES && load<u32>(at) == MAGIC;
  }

  /** An empty one, in SET_BYTES bytes. */
  blank(at: usize): void {
    this.at = at;
    memory.fill(at, 0, SET_BYTES);
    store<u32>(at, MAGIC);
  }

  /** The way with the key; -1 when there is none. O(WAYS). */
  find(low: u64): i32 {
    for (let way = 0; way < WAYS; way++) {
      if (load<u64>(this.at + (<usize>way << 3), KEYS) == low && this.bytes(way) != 0) return way;
    }
    return -1;
  }

  @inline
  stamp(way: i32): u32 {
    return load<u32>(this.at + (<usize>way << 2), STAMPS);
  }

  @inline
  bytes(way: i32): u32 {
    return load<u32>(this.at + (<usize>way << 2), SIZES);
  }

  @inline
  born(way: i32): u32 {
    return load<u32>(this.at + (<usize>way << 2), BORN);
  }

  /** It may be served at that second, as far as the set knows. */
  isLive(way: i32, now: u32): bool {
    return load<u32>(this.at + (<usize>way << 2), ENDS) > now && <u64>this.born(way) <= <u64>now + SKEW;
  }

  get used(): u32 {
    return load<u32>(this.at, 8);
  }

  isReferenced(way: i32): bool {
    return (load<u64>(this.at + (<usize>(way >> 6) << 3), REFERENCED) & (<u64>1 << (way & 63))) != 0;
  }

  reference(way: i32, yes: bool): void {
    const word = this.at + (<usize>(way >> 6) << 3);
    const bit = <u64>1 << (way & 63);
    const others = load<u64>(word, REFERENCED) & ~bit;
    store<u64>(word, yes ? others | bit : others, REFERENCED);
  }

  /** Puts an answer into a way. It has to be found once to survive the hand: most prompts never come again. */
  put(way: i32, low: u64, stamp: u32, bytes: u32, ends: u32, born: u32): void {
    store<u64>(this.at + (<usize>way << 3), low, KEYS);
    const word = this.at + (<usize>way << 2);
    store<u32>(word, stamp, STAMPS);
    store<u32>(word, bytes, SIZES);
    store<u32>(word, ends, ENDS);
    store<u32>(word, born, BORN);
    this.reference(way, false);
    store<u32>(this.at, max(this.made, way + 1), 12);
  }

  /** Its bytes stay in `used` until the next `makeRoom`. */
  free(way: i32): void {
    this.put(way, 0, 0, 0, 0, 0);
  }

  /**
   * Makes room for an answer that would fit into an empty set, and returns the way for it: `own`, the way that has the key and is overwritten, unless that is -1. First goes what is not live, and
   * requests before the second `dead`; then what the hand finds unreferenced. O(WAYS).
   */
  makeRoom(own: i32, bytes: u32, now: u32, dead: u32): i32 {
    memory.fill(changetype<usize>(this.emptied), 0, WAYS / 8);
    this.evictedLive = 0;
    if (own >= 0) this.free(own);
    let used = <i64>bytes + this.sweep(now, dead);
    let way = own >= 0 ? own : this.firstFree();
    let hand = <i32>(load<u32>(this.at, 4) % <u32>WAYS);
    // Twice round: the first time it may only take references away. Behind that nothing is left.
    for (let step = 0; step < 2 * WAYS; step++) {
      if (way >= 0 && used + this.cost(way) <= this.budget) break;
      const looked = hand;
      hand = (hand + 1) % WAYS;
      const size = this.bytes(looked);
      if (size == 0) continue;
      if (this.isReferenced(looked)) {
        this.reference(looked, false);
        continue;
      }
      used -= size;
      this.evict(looked);
      this.evictedLive++;
      if (way < 0) way = looked;
    }
    unchecked((this.emptied[way >> 6] &= ~(<u64>1 << (way & 63))));
    store<u32>(this.at, hand, 4);
    store<u32>(this.at, <u32>(used + this.cost(way)), 8);
    return way;
  }

  /** The next way that `makeRoom` evicted and that is not the one it returned; -1 behind the last. */
  nextEmptied(): i32 {
    for (let word = 0; word < WORDS; word++) {
      const bits = unchecked(this.emptied[word]);
      if (bits == 0) continue;
      unchecked((this.emptied[word] = bits & (bits - 1)));
      return (word << 6) + <i32>ctz(bits);
    }
    return -1;
  }

  /** Evicts what is of no use, and returns the bytes of the rest. */
  private sweep(now: u32, dead: u32): i64 {
    let used: i64 = 0;
    for (let way = 0; way < WAYS; way++) {
      const size = this.bytes(way);
      if (size == 0) continue;
      if (this.isLive(way, now) && this.born(way) >= dead) used += size;
      else this.evict(way);
    }
    return used;
  }

  private evict(way: i32): void {
    this.free(way);
    unchecked((this.emptied[way >> 6] |= <u64>1 << (way & 63)));
  }

  private firstFree(): i32 {
    for (let way = 0; way < WAYS; way++) if (this.bytes(way) == 0) return way;
    return -1;
  }

  private get made(): i32 {
    return <i32>min<u32>(load<u32>(this.at, 12), WAYS);
  }

  /** Of all ways that are written once this one is. */
  private cost(way: i32): i64 {
    return <i64>max(this.made, way + 1) * this.wayCost;
  }
}
