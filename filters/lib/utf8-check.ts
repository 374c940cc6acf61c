/**
 * UTF-8 validation of text that arrives in pieces: no overlong forms, no surrogates, nothing above U+10FFFF, nothing cut off. Reference: RFC 3629
 * section 4. Input may be cut at any byte; state is what the next byte may be. No allocation, never throws.
 *
 *   ASCII    64 bytes a step.
 *   common   The scripts without restricted second bytes (all but Indic ones, Korean, Vietnamese, emoji): leads and continuations must alternate.
 *   any      Three tables say what is wrong with a byte behind the one before.
 *
 * Method of the last: Keiser and Lemire, "Validating UTF-8 in less than one instruction per byte", section 6. Relaxed swizzles would be faster and
 * are not in Node 20.
 */

/** Bytes of one ASCII step. */
const STEP: usize = 64;
/** Bytes looked at together from one on that is not ASCII, more each time: the next ones will not be either. */
const FIRST_RUN: usize = 128;
const LONGEST_RUN: usize = 1024;
/** Vectors look this far back. */
const REACH: usize = 3;
/** Runs that skip the test for common text after one that was not. */
const PATIENCE: i32 = 8;

/** What can be wrong with two bytes, one bit each. */
const TOO_SHORT: u8 = 0x01; // a lead without a continuation
const TOO_LONG: u8 = 0x02; // a continuation behind ASCII
const OVERLONG_3: u8 = 0x04; // E0 80..9F
const TOO_LARGE: u8 = 0x08; // F4.. 90..BF
const SURROGATE: u8 = 0x10; // ED A0..BF
const OVERLONG_2: u8 = 0x20; // C0, C1
const LOWEST_4: u8 = 0x40; // 80..8F behind F0 (overlong) or F5.. (too large)
const CONTINUED: u8 = 0x80; // two continuations: wrong unless a third or fourth byte is due
const ANY: u8 = TOO_SHORT | TOO_LONG | CONTINUED;
const BEYOND: u8 = ANY | TOO_LARGE | LOWEST_4;
const CONTINUATION: u8 = TOO_LONG | CONTINUED | OVERLONG_2;

/**
 * Three tables of 16 bytes: by the high and low half of the first byte, and by the high half of the second. An error is what all three agree on.
 * Then the bytes that the loops compare with. They are loaded and no constants of the code, because V8 builds a constant anew at each use.
 */
// prettier-ignore
const TABLES: usize = memory.data<u8>([
  TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG,
  CONTINUED, CONTINUED, CONTINUED, CONTINUED,
  TOO_SHORT | OVERLONG_2, TOO_SHORT, TOO_SHORT | OVERLONG_3 | SURROGATE, TOO_SHORT | TOO_LARGE | LOWEST_4,

  ANY | OVERLONG_2 | OVERLONG_3 | LOWEST_4, ANY | OVERLONG_2, ANY, ANY, ANY | TOO_LARGE, BEYOND, BEYOND, BEYOND,
  BEYOND, BEYOND, BEYOND, BEYOND, BEYOND, BEYOND | SURROGATE, BEYOND, BEYOND,

  TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
  CONTINUATION | OVERLONG_3 | LOWEST_4, CONTINUATION | OVERLONG_3 | TOO_LARGE,
  CONTINUATION | SURROGATE | TOO_LARGE, CONTINUATION | SURROGATE | TOO_LARGE,
  TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,

  0x0f, 0x60, 0x70, 0x80, 0x40, 0xc0, 0xde, 0xed,
]);

@final
export class Utf8Check {
  private valid: bool = true;
  /** Continuation bytes that must follow; the next one lies in [low, high]. */
  private due: i32 = 0;
  private low: u8 = 0x80;
  private high: u8 = 0xbf;
  private uncommon: i32 = 0;

  /** Ready for a new text. */
  reset(): void {
    this.valid = true;
    this.due = 0;
    this.low = 0x80;
    this.high = 0xbf;
    this.uncommon = 0;
  }

  /** The text so far is UTF-8 and ends with a whole character. */
  get complete(): bool {
    return this.valid && this.due == 0;
  }

  /** Looks at bytes [from, from + length), which continue the text. False once it is not UTF-8, whatever follows. O(length). */
  feed(from: usize, length: i32): bool {
    const end = from + <usize>length;
    let at = this.bytes(from, from, end);
    let span = FIRST_RUN;
    while (this.valid) {
      const ascii = behindAscii(at, end);
      if (ascii != at) span = FIRST_RUN;
      at = ascii;
      if (at + STEP > end) {
        // Less than a step is left, nearly always of ASCII.
        if (end - from >= STEP && isAscii(end - STEP)) return true;
        return this.bytes(at, end, end) == end;
      }
      if (at < from + REACH) {
        at = this.bytes(at, from + REACH, end);
      } else {
        at = this.run(at, at + min<usize>(span, (end - at) & ~15));
        span = min<usize>(2 * span, LONGEST_RUN);
      }
    }
    return false;
  }

  /** The scalar twin of `feed`. */
  feedScalar(from: usize, length: i32): bool {
    const end = from + <usize>length;
    return this.bytes(from, end, end) == end && this.valid;
  }

  /** From the first byte of a character to `last`, then back to where the last character begins if it is cut. */
  private run(at: usize, last: usize): usize {
    if (this.uncommon > 0 || !isCommon(at, last)) {
      this.uncommon = this.uncommon > 0 ? this.uncommon - 1 : PATIENCE;
      this.valid = isUtf8(at, last);
    }
    if (load<u8>(last - 1) >= 0xc0) return last - 1;
    if (load<u8>(last - 2) >= 0xe0) return last - 2;
    return load<u8>(last - 3) >= 0xf0 ? last - 3 : last;
  }

  /** Byte by byte to the end of the character that reaches `last`, or to `end`. Returns the address of a wrong byte, if there is one. */
  private bytes(at: usize, last: usize, end: usize): usize {
    while (this.valid && at < end && (at < last || this.due > 0)) {
      this.step(load<u8>(at));
      if (this.valid) at++;
    }
    return at;
  }

  private step(byte: u8): void {
    if (this.due > 0) {
      this.due--;
      this.valid = byte >= this.low && byte <= this.high;
      this.low = 0x80;
      this.high = 0xbf;
    } else if (byte >= 0x80) {
      this.valid = byte >= 0xc2 && byte <= 0xf4;
      this.due = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
      if (byte == 0xe0) this.low = 0xa0;
      else if (byte == 0xed) this.high = 0x9f;
      else if (byte == 0xf0) this.low = 0x90;
      else if (byte == 0xf4) this.high = 0x8f;
    }
  }
}

/** The first whole step that is not ASCII, or what is left behind the last one. */
@inline
function behindAscii(at: usize, end: usize): usize {
  while (at + STEP <= end && isAscii(at)) at += STEP;
  return at;
}

@inline
function isAscii(at: usize): bool {
  const low = v128.or(v128.load(at), v128.load(at, 16));
  const high = v128.or(v128.load(at, 32), v128.load(at, 48));
  return i8x16.bitmask(v128.or(low, high)) == 0;
}

/** 16 times byte `index` behind the tables. */
@inline
function constant(index: usize): v128 {
  return v128.load8_splat(TABLES + 48 + index);
}

/**
 * True only when [at, last), whole blocks of 16 from the first byte of a character, is made of ASCII and of characters of two and three bytes whose
 * second byte may be any continuation; the last one may be cut. Says no to E1 as well, whose bits are those of E0 but for one.
 */
function isCommon(at: usize, last: usize): bool {
  const two = constant(4); // x - 0x40 has the high bit for leads, x - 0x60 for leads of three bytes, x - 0x70 of four
  const three = constant(1);
  const lowestLead = constant(5);
  const overlongMask = constant(6);
  const beforeSurrogate = constant(7);
  let wrong = i8x16.splat(0);
  let rare = i8x16.splat(0);
  let largest = i8x16.splat(0);
  let back = at - 2;
  const stop = last - 2;
  do {
    const block = v128.load(back, 2);
    const due = v128.or(i8x16.sub_sat_u(v128.load(back, 1), two), i8x16.sub_sat_u(v128.load(back), three));
    wrong = v128.or(wrong, v128.xor(due, i8x16.lt_s(block, lowestLead)));
    // C0, C1, E0, E1; ED.
    rare = v128.or(rare, v128.or(i8x16.eq(v128.and(block, overlongMask), lowestLead), i8x16.eq(block, beforeSurrogate)));
    largest = i8x16.max_u(largest, block);
    back += 16;
  } while (back < stop);
  return i8x16.bitmask(v128.or(v128.or(wrong, rare), i8x16.sub_sat_u(largest, constant(2)))) == 0;
}

/** Whether [at, last), whole blocks of 16 from the first byte of a character, is UTF-8; the last character may be cut. */
function isUtf8(at: usize, last: usize): bool {
  const firstHigh = v128.load(TABLES);
  const firstLow = v128.load(TABLES, 16);
  const secondHigh = v128.load(TABLES, 32);
  const half = constant(0);
  const three = constant(1);
  const four = constant(2);
  const continued = constant(3);
  let wrong = i8x16.splat(0);
  let back = at - 3;
  const stop = last - 3;
  do {
    const second = v128.load(back, 3);
    const first = v128.load(back, 2);
    const pairs = v128.and(
      v128.and(i8x16.swizzle(firstHigh, v128.and(i16x8.shr_u(first, 4), half)), i8x16.swizzle(firstLow, v128.and(first, half))),
      i8x16.swizzle(secondHigh, v128.and(i16x8.shr_u(second, 4), half)),
    );
    const due = v128.or(i8x16.sub_sat_u(v128.load(back, 1), three), i8x16.sub_sat_u(v128.load(back), four));
    wrong = v128.or(wrong, v128.xor(pairs, v128.and(due, continued)));
    back += 16;
  } while (back < stop);
  return !v128.any_true(wrong);
}
