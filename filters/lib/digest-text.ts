/**
 * One JSON string into a hash, decoded: the same text has the same bytes, however it is escaped.
 *
 * Input comes in pieces and may be cut anywhere. About a kilobyte is kept, whatever the length. Half a surrogate pair is written as the three bytes UTF-8 would have for
 * it, which are in no text. UTF-8 itself is not looked at. Reference: RFC 8259 section 7.
 */
import { token, TokenKind } from "./digest-token";
import { Needle, needle } from "./json-block";
import { hex, TextStatus } from "./json-text";
import { SipHash } from "./sip-hash";

/** Bytes that are hashed together; from here on they are. */
const STAGE: usize = 1024;
/** Beyond them: what one step writes. */
const ROOM: usize = 64;
/** Blocks of 32 bytes of a text that has nothing to decode, after which it is hashed where it lies. */
const LONG: i32 = 8;
/** Bytes that are looked at before they are hashed. */
const RUN: usize = 1024;

/** The next byte stands behind a backslash, or is the first or last of four digits. */
const NONE: i32 = 0;
const BACKSLASH: i32 = 1;
const FIRST_DIGIT: i32 = 2;
const LAST_DIGIT: i32 = 5;

/** Loaded and no constant of the code, as the needles are. */
const LAST_CONTROL: usize = memory.data<u8>([0x1f]);
/** What stands for itself or a control character behind a backslash, by its letter; 0 for what does not. */
const SHORT_ESCAPES: usize = memory.data(128);
store<u8>(SHORT_ESCAPES + 0x22, 0x22);
store<u8>(SHORT_ESCAPES + 0x5c, 0x5c);
store<u8>(SHORT_ESCAPES + 0x2f, 0x2f);
store<u8>(SHORT_ESCAPES + 0x62, 8);
store<u8>(SHORT_ESCAPES + 0x66, 12);
store<u8>(SHORT_ESCAPES + 0x6e, 10);
store<u8>(SHORT_ESCAPES + 0x72, 13);
store<u8>(SHORT_ESCAPES + 0x74, 9);

@final
export class DigestText {
  /** How far `feed` came. */
  status: TextStatus = TextStatus.More;

  private readonly stage: usize = heap.alloc(STAGE + ROOM);
  private out: usize = 0;
  /** Bytes that are hashed already. */
  private hashed: u32 = 0;
  private escape: i32 = NONE;
  private unit: i32 = 0;
  /** The first half of a pair, while nobody knows whether the other one follows. */
  private surrogate: i32 = 0;

  constructor(private readonly hash: SipHash) {}

  /** Starts behind an opening quote. */
  begin(): void {
    this.out = this.stage;
    this.hashed = 0;
    this.escape = NONE;
    this.surrogate = 0;
  }

  /** Returns the address behind the closing quote, that of a wrong byte, or `limit`. O(bytes), no allocation. */
  feed(at: usize, limit: usize): usize {
    this.status = TextStatus.More;
    while (at < limit && this.status == TextStatus.More) {
      at = this.escape == NONE && this.surrogate == 0 ? this.plain(at, limit) : this.escaped(at, limit);
    }
    return at;
  }

  /** Whether the string that was closed is this one of at most `STAGE` bytes. */
  equals(text: usize, length: i32): bool {
    return this.hashed == 0 && this.out - this.stage == <usize>length && memory.compare(this.stage, text, length) == 0;
  }

  /** From outside of an escape. */
  private plain(at: usize, limit: usize): usize {
    const quote = needle(Needle.Quote);
    const backslash = needle(Needle.Backslash);
    const control = v128.load8_splat(LAST_CONTROL);
    const full = this.stage + STAGE;
    let out = this.out;
    let blocks = 0;
    while (at < limit) {
      if (out >= full) {
        this.out = out;
        this.flush();
        out = this.out;
      }
      if (at + 32 <= limit) {
        v128.store(out, v128.load(at));
        v128.store(out, v128.load(at, 16), 16);
        const special = stopsIn(at, quote, backslash, control);
        if (special == 0) {
          at += 32;
          out += 32;
          if (++blocks == LONG && at + 32 <= limit) {
            this.out = out;
            at = this.run(at, limit);
            out = this.out;
            blocks = 0;
          }
          continue;
        }
        blocks = 0;
        at += <usize>ctz(special);
        out += <usize>ctz(special);
      }
      const byte = load<u8>(at);
      if (byte == 0x5c) {
        const letter: u8 = at + 6 <= limit ? load<u8>(at, 1) : 0;
        const short = shortEscape(letter);
        if (short != 0) {
          store<u8>(out++, short);
          at += 2;
          continue;
        }
        const unit = letter == 0x75 ? unitAt(at + 2) : -1;
        if (unit < 0 || unit >> 11 == 0xd800 >> 11) {
          this.escape = BACKSLASH;
          at++;
          break;
        }
        this.out = out;
        this.write(unit);
        out = this.out;
        at += 6;
      } else if (byte == 0x22) {
        this.out = out;
        this.close();
        return at + 1;
      } else if (byte < 0x20) {
        this.status = TextStatus.Invalid;
        break;
      } else {
        store<u8>(out++, byte);
        at++;
      }
    }
    this.out = out;
    return at;
  }

  /** Goes on without the stage, up to what is to be decoded. At least 32 bytes must be there. */
  private run(at: usize, limit: usize): usize {
    const quote = needle(Needle.Quote);
    const backslash = needle(Needle.Backslash);
    const control = v128.load8_splat(LAST_CONTROL);
    if (stopsIn(at, quote, backslash, control) != 0) return at;
    // The begun word is filled up.
    const missing = -this.out & 7;
    store<u64>(this.out, load<u64>(at));
    this.out += missing;
    at += missing;
    this.flush();
    let length: usize;
    do {
      let end = at;
      while (end < at + RUN && end + 32 <= limit && stopsIn(end, quote, backslash, control) == 0) end += 32;
      length = end - at;
      this.hash.words(at, length);
      this.hashed += <u32>length;
      at = end;
    } while (length == RUN);
    return at;
  }

  /** In an escape, or behind the first half of a pair: byte by byte. */
  private escaped(at: usize, limit: usize): usize {
    do {
      const byte = load<u8>(at);
      if (this.escape == NONE) {
        if (byte != 0x5c) {
          this.half();
          return at;
        }
        this.escape = BACKSLASH;
      } else if (this.escape == BACKSLASH) {
        const short = shortEscape(byte);
        if (short != 0) {
          this.half();
          this.write(short);
          this.escape = NONE;
          return at + 1;
        }
        if (byte != 0x75) break;
        this.escape = FIRST_DIGIT;
        this.unit = 0;
      } else {
        const digit = hex(byte);
        if (digit < 0) break;
        this.unit = (this.unit << 4) | digit;
        if (this.escape++ == LAST_DIGIT) {
          this.escape = NONE;
          this.codeUnit(this.unit);
          if (this.surrogate == 0) return at + 1;
        }
      }
      if (++at == limit) return at;
    } while (true);
    this.status = TextStatus.Invalid;
    return at;
  }

  private codeUnit(unit: i32): void {
    if (this.surrogate != 0 && unit >> 10 == 0xdc00 >> 10) {
      this.write(0x10000 + ((this.surrogate - 0xd800) << 10) + (unit - 0xdc00));
      this.surrogate = 0;
      return;
    }
    this.half();
    if (unit >> 10 == 0xd800 >> 10) this.surrogate = unit;
    else this.write(unit);
  }

  private half(): void {
    if (this.surrogate == 0) return;
    this.write(this.surrogate);
    this.surrogate = 0;
  }

  /** A code point. */
  private write(point: i32): void {
    if (this.out >= this.stage + STAGE) this.flush();
    if (point < 0x80) {
      store<u8>(this.out++, <u8>point);
      return;
    }
    let shift = point < 0x800 ? 6 : point < 0x10000 ? 12 : 18;
    store<u8>(this.out++, <u8>((0x7f80 >> (shift / 6)) | (point >> shift)));
    while (shift > 0) {
      shift -= 6;
      store<u8>(this.out++, <u8>(0x80 | ((point >> shift) & 63)));
    }
  }

  /** Hashes whole words; what is left moves to the front. */
  private flush(): void {
    const whole = (this.out - this.stage) & ~7;
    this.hash.words(this.stage, whole);
    this.hashed += <u32>whole;
    store<u64>(this.stage, load<u64>(this.stage + whole));
    this.out -= whole;
  }

  private close(): void {
    const length = this.out - this.stage;
    store<u64>(this.out, 0);
    this.status = TextStatus.Closed;
    if (length < 8 && this.hashed == 0) {
      this.hash.word(token(TokenKind.Short + <i32>length, load<u64>(this.stage)));
      return;
    }
    const whole = (length + 7) & ~7;
    store<u64>(this.stage + whole, token(TokenKind.Text, <u64>this.hashed + <u64>length));
    this.hash.words(this.stage, whole + 8);
  }
}

/** One bit for each of the 32 bytes at `at` that no text goes on with: quotes, backslashes, control characters. */
@inline
function stopsIn(at: usize, quote: v128, backslash: v128, control: v128): i32 {
  return i8x16.bitmask(stops(v128.load(at), quote, backslash, control)) | (i8x16.bitmask(stops(v128.load(at, 16), quote, backslash, control)) << 16);
}

/** The same as all ones in its lane. */
@inline
function stops(block: v128, quote: v128, backslash: v128, control: v128): v128 {
  return v128.or(v128.or(i8x16.eq(block, quote), i8x16.eq(block, backslash)), i8x16.eq(i8x16.min_u(block, control), block));
}

@inline
function shortEscape(letter: u8): u8 {
  return letter < 128 ? load<u8>(SHORT_ESCAPES + <usize>letter) : 0;
}

/** Value of four hex digits, or -1. */
function unitAt(at: usize): i32 {
  const digits = v128.load32_zero(at);
  const decimal = i8x16.lt_u(i8x16.sub(digits, i8x16.splat(48)), i8x16.splat(10));
  const letter = i8x16.lt_u(i8x16.sub(v128.or(digits, i8x16.splat(0x20)), i8x16.splat(97)), i8x16.splat(6));
  if ((i8x16.bitmask(v128.or(decimal, letter)) & 15) != 15) return -1;
  const raw = load<u32>(at);
  const values = (raw & 0x0f0f0f0f) + ((raw >> 6) & 0x01010101) * 9;
  return ((values & 15) << 12) | (values & 0xf00) | ((values >> 12) & 0xf0) | (values >> 24);
}
