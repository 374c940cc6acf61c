/**
 * Runs over JSON strings whose content is not wanted, only their end and size: nearly all of an LLM request, so this is where a reader's time goes.
 *
 * Long strings are done in blocks, whose escapes are found by arithmetic (`json-block`); only `\u` is looked at one by one.
 * Resumable between any two bytes, no allocation, never throws. Reference: RFC 8259 section 7.
 */
import { BLOCK, bytesEqual, escapedBytes, Needle, needle } from "./json-block";
import { hex } from "./json-text";

const NONE: i32 = 0;
const BACKSLASH: i32 = 1;
/** The next byte is the first, or the last, of four digits. */
const FIRST_DIGIT: i32 = 2;
const LAST_DIGIT: i32 = 5;

/** Digits of `\u` may reach this far behind the block. */
const REACH: usize = 4;

@final
export class TextSkip {
  /** The closing quote was reached. */
  closed: bool = false;
  /** Bytes by which the escapes exceed the UTF-8 they stand for. Half a surrogate pair counts two. */
  excess: u32 = 0;
  private escape: i32 = NONE;
  private unit: u32 = 0;

  /** Starts behind an opening quote, or further in, even behind a backslash. */
  begin(escaped: bool = false): void {
    this.closed = false;
    this.excess = 0;
    this.escape = escaped ? BACKSLASH : NONE;
  }

  /** Returns the address behind the closing quote, or `limit` when there is none. O(bytes). */
  feed(at: usize, limit: usize): usize {
    if (this.escape == NONE && at + 16 <= limit) {
      // Most strings are short.
      const block = v128.load(at);
      const quotes = i8x16.bitmask(i8x16.eq(block, i8x16.splat(0x22)));
      const before = (quotes & -quotes) - 1;
      if ((i8x16.bitmask(i8x16.eq(block, i8x16.splat(0x5c))) & before) == 0) {
        if (quotes != 0) {
          this.closed = true;
          return at + <usize>ctz(quotes) + 1;
        }
        at += 16;
      }
    }
    while (true) {
      while (this.escape != NONE) {
        if (at == limit) return at;
        if (this.step(load<u8>(at))) at++;
      }
      if (at + BLOCK + REACH <= limit) {
        at = this.blocks(at, limit);
        if (this.closed) return at;
        continue;
      }
      if (at == limit) return at;
      const byte = load<u8>(at++);
      if (byte == 0x22) {
        this.closed = true;
        return at;
      }
      if (byte == 0x5c) this.escape = BACKSLASH;
    }
  }

  /** Whole blocks, from outside of an escape. Returns the address behind the closing quote, or the first that is left. */
  private blocks(at: usize, limit: usize): usize {
    /** 1 when the byte at `at` is escaped. */
    let carry: u64 = 0;
    let excess: u32 = 0;
    const quote = needle(Needle.Quote);
    const backslash = needle(Needle.Backslash);
    const smallU = needle(Needle.SmallU);
    do {
      const slashes = bytesEqual(at, backslash);
      let quotes = bytesEqual(at, quote);
      if ((slashes | carry) != 0) {
        let escaped = escapedBytes(slashes, carry);
        carry = (slashes & ~escaped) >> 63;
        quotes &= ~escaped;
        // Only those before the closing quote.
        escaped &= (quotes & -quotes) - 1;
        excess += <u32>popcnt(escaped);
        let units = bytesEqual(at, smallU) & escaped;
        while (units != 0) {
          excess += unitExcess(at + <usize>ctz(units) + 1);
          units &= units - 1;
        }
      }
      if (quotes != 0) {
        this.excess += excess;
        this.closed = true;
        return at + <usize>ctz(quotes) + 1;
      }
      at += BLOCK;
    } while (at + BLOCK + REACH <= limit);
    this.excess += excess;
    if (carry != 0) this.escape = BACKSLASH;
    return at;
  }

  /** One byte of an escape. False when it is none, which ends the escape. */
  private step(byte: u8): bool {
    if (this.escape == BACKSLASH) {
      this.excess++;
      this.unit = 0;
      this.escape = byte == 0x75 ? FIRST_DIGIT : NONE;
      return true;
    }
    const digit = hex(byte);
    if (digit < 0) {
      this.escape = NONE;
      return false;
    }
    this.unit = (this.unit << 4) | <u32>digit;
    if (this.escape == LAST_DIGIT) {
      this.escape = NONE;
      this.excess += 5 - utf8Bytes(this.unit);
    } else {
      this.escape++;
    }
    return true;
  }
}

/** By how much four digits exceed what they stand for; the backslash is counted already. 0 when they are none. */
function unitExcess(at: usize): u32 {
  const digits = v128.load32_zero(at);
  const decimal = i8x16.lt_u(i8x16.sub(digits, i8x16.splat(48)), i8x16.splat(10));
  const lower = v128.or(digits, i8x16.splat(0x20));
  const letter = i8x16.lt_u(i8x16.sub(lower, i8x16.splat(97)), i8x16.splat(6));
  if ((i8x16.bitmask(v128.or(decimal, letter)) & 15) != 15) return 0;
  const raw = load<u32>(at);
  const values = (raw & 0x0f0f0f0f) + ((raw >> 6) & 0x01010101) * 9;
  const unit = ((values & 15) << 12) | (values & 0xf00) | ((values >> 12) & 0xf0) | (values >> 24);
  return 5 - utf8Bytes(unit);
}

function utf8Bytes(unit: u32): u32 {
  return unit < 0x80 ? 1 : unit < 0x800 || unit - 0xd800 < 0x800 ? 2 : 3;
}
