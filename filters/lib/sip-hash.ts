/**
 * SipHash-2-4 with a result of 128 bits: a keyed hash under which whoever can choose texts, but not see the key, finds no two with the same result.
 *
 * For input that comes in pieces. Callers whose input is made of whole words take `word` and `words`, which carry nothing over, and may set one hash aside for another.
 *
 * Reference: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; the 128-bit variant is that of the authors' implementation (github.com/veorq/SipHash).
 */

/** Bytes of a state that is set aside: four words and the length. */
export const SIP_STATE: usize = 40;

const WORD: usize = memory.data(8);
/** Words of zero are rounds without input. */
const FOUR_ROUNDS: usize = memory.data(16);

@final
export class SipHash {
  /** The result, once finished: its first eight bytes as a little-endian word, and the other eight. */
  low: u64 = 0;
  high: u64 = 0;

  private v0: u64 = 0;
  private v1: u64 = 0;
  private v2: u64 = 0;
  private v3: u64 = 0;
  /** Bytes so far. */
  total: u64 = 0;
  /** The begun word; `total` says how many of its bytes are there. */
  private carry: u64 = 0;

  /** Ready for new input. The key is 16 bytes as two little-endian words. */
  reset(k0: u64, k1: u64): void {
    this.v0 = k0 ^ 0x736f6d6570736575;
    this.v1 = k1 ^ 0x646f72616e646f83;
    this.v2 = k0 ^ 0x6c7967656e657261;
    this.v3 = k1 ^ 0x7465646279746573;
    this.total = 0;
    this.carry = 0;
  }

  /** Bytes [at, at + length) come next. O(length), no allocation. */
  update(at: usize, length: i32): void {
    const end = at + <usize>max(length, 0);
    while (at < end) {
      const carried = <i32>this.total & 7;
      if (carried == 0 && at + 8 <= end) {
        const whole = (end - at) & ~7;
        this.words(at, whole);
        at += whole;
        continue;
      }
      this.carry |= <u64>load<u8>(at++) << (<u64>carried << 3);
      this.total++;
      if (carried == 7) {
        this.absorb(this.carry);
        this.carry = 0;
      }
    }
  }

  /** The next eight bytes. No word may be begun. */
  word(value: u64): void {
    this.total += 8;
    this.absorb(value);
  }

  /** The next `length` bytes, whole words. No word may be begun. */
  words(at: usize, length: usize): void {
    this.total += <u64>length;
    this.rounds(at, length);
  }

  /** Computes `low` and `high`. Input may follow only after a `reset` or a `restore`. */
  finish(): void {
    this.absorb(this.carry | (this.total << 56));
    this.v2 ^= 0xee;
    this.rounds(FOUR_ROUNDS, 16);
    this.low = this.trace;
    this.v1 ^= 0xdd;
    this.rounds(FOUR_ROUNDS, 16);
    this.high = this.trace;
  }

  /** A word of what it is so far, which says whether two inputs differ but is no hash to give away. */
  get trace(): u64 {
    return this.v0 ^ this.v1 ^ this.v2 ^ this.v3;
  }

  /** Sets the hash aside: `SIP_STATE` bytes at `to`. No word may be begun. */
  save(to: usize): void {
    store<u64>(to, this.v0);
    store<u64>(to, this.v1, 8);
    store<u64>(to, this.v2, 16);
    store<u64>(to, this.v3, 24);
    store<u64>(to, this.total, 32);
  }

  /** Goes on with the hash that was set aside at `from`. */
  restore(from: usize): void {
    this.v0 = load<u64>(from);
    this.v1 = load<u64>(from, 8);
    this.v2 = load<u64>(from, 16);
    this.v3 = load<u64>(from, 24);
    this.total = load<u64>(from, 32);
    this.carry = 0;
  }

  private absorb(value: u64): void {
    store<u64>(WORD, value);
    this.rounds(WORD, 8);
  }

  /** Two rounds for each of the words. */
  private rounds(at: usize, length: usize): void {
    let v0 = this.v0;
    let v1 = this.v1;
    let v2 = this.v2;
    let v3 = this.v3;
    const end = at + length;
    while (at < end) {
      const value = load<u64>(at);
      v3 ^= value;

      v0 += v1;
      v2 += v3;
      v1 = rotl<u64>(v1, 13) ^ v0;
      v3 = rotl<u64>(v3, 16) ^ v2;
      v2 += v1;
      v0 = rotl<u64>(v0, 32) + v3;
      v1 = rotl<u64>(v1, 17) ^ v2;
      v3 = rotl<u64>(v3, 21) ^ v0;
      v2 = rotl<u64>(v2, 32);

      v0 += v1;
      v2 += v3;
      v1 = rotl<u64>(v1, 13) ^ v0;
      v3 = rotl<u64>(v3, 16) ^ v2;
      v2 += v1;
      v0 = rotl<u64>(v0, 32) + v3;
      v1 = rotl<u64>(v1, 17) ^ v2;
      v3 = rotl<u64>(v3, 21) ^ v0;
      v2 = rotl<u64>(v2, 32);

      v0 ^= value;
      at += 8;
    }
    this.v0 = v0;
    this.v1 = v1;
    this.v2 = v2;
    this.v3 = v3;
  }
}
