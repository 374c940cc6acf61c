/**
 * A set of slots: one bit for each endpoint of a pool. Four words, so every operation is a few instructions and nothing is allocated.
 *
 * Layout, read by pointer: 4 x u64, slot s is bit (s & 63) of word (s >> 6).
 */

/** Most endpoints of a pool. */
export const MAX_ENDPOINTS: i32 = 256;
export const MASK_WORDS: i32 = MAX_ENDPOINTS / 64;

@final
export class EndpointMask {
  private word0: u64 = 0;
  private word1: u64 = 0;
  private word2: u64 = 0;
  private word3: u64 = 0;

  /** Slots 64 * index up to 64 * index + 63. */
  @inline
  word(index: i32): u64 {
    return load<u64>(changetype<usize>(this) + (<usize>index << 3));
  }

  @inline
  setWord(index: i32, bits: u64): void {
    store<u64>(changetype<usize>(this) + (<usize>index << 3), bits);
  }

  @inline
  has(slot: i32): bool {
    return ((this.word(slot >> 6) >> (<u64>slot & 63)) & 1) != 0;
  }

  @inline
  add(slot: i32): void {
    this.setWord(slot >> 6, this.word(slot >> 6) | (<u64>1 << (<u64>slot & 63)));
  }

  @inline
  remove(slot: i32): void {
    this.setWord(slot >> 6, this.word(slot >> 6) & ~(<u64>1 << (<u64>slot & 63)));
  }

  clear(): void {
    this.word0 = 0;
    this.word1 = 0;
    this.word2 = 0;
    this.word3 = 0;
  }

  get isEmpty(): bool {
    return (this.word0 | this.word1 | this.word2 | this.word3) == 0;
  }

  get count(): i32 {
    return <i32>(popcnt(this.word0) + popcnt(this.word1) + popcnt(this.word2) + popcnt(this.word3));
  }

  copy(from: EndpointMask): void {
    this.word0 = from.word0;
    this.word1 = from.word1;
    this.word2 = from.word2;
    this.word3 = from.word3;
  }

  /** Keeps what is in both. */
  and(other: EndpointMask): void {
    this.word0 &= other.word0;
    this.word1 &= other.word1;
    this.word2 &= other.word2;
    this.word3 &= other.word3;
  }

  /** The first slot of the set that is not below `from`, or -1: `for (let s = m.next(0); s >= 0; s = m.next(s + 1))`. */
  next(from: i32): i32 {
    if (from >= MAX_ENDPOINTS) return -1;
    let index = from >> 6;
    let bits = this.word(index) & (~(<u64>0) << (<u64>from & 63));
    while (bits == 0) {
      if (++index == MASK_WORDS) return -1;
      bits = this.word(index);
    }
    return (index << 6) + <i32>ctz(bits);
  }

  /** The slot with `rank` slots of the set below it; `rank` is under `count`. */
  at(rank: i32): i32 {
    for (let index = 0; index < MASK_WORDS; index++) {
      let bits = this.word(index);
      const here = <i32>popcnt(bits);
      if (rank >= here) {
        rank -= here;
        continue;
      }
      for (; rank > 0; rank--) bits &= bits - 1;
      return (index << 6) + <i32>ctz(bits);
    }
    return -1;
  }
}
