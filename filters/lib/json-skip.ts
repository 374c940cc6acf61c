/**
 * Runs over the objects and arrays of a JSON document nobody asked for. `JsonScanner` and `JsonWalker` drive it.
 *
 * Strings and brackets are matched exactly, so that nothing inside can pass for the end. Outside of strings, what begins an escape, a comment or another kind
 * of string in a dialect of JSON (`\ # ' /`) is refused, so that a lenient parser behind this one sees the same strings and brackets. The rest of the grammar
 * is not looked at. Resumable between any two bytes, no allocation, never throws. Reference: RFC 8259 section 2.
 */
import { betweenQuotes, BLOCK, bytesEqual, escapedBytes, mask, Needle, needle } from "./json-block";
import { StringSkip } from "./string-end";

/** Deepest nesting: four times what real tool schemas reach, and below what recursive parsers survive. */
export const MAX_DEPTH: i32 = 256;

/** Blocks inside of a string and without a quote, after which the string counts as long. */
const LONG_STRING: i32 = 4;

/** The open brackets, one byte each. */
@final
export class BracketStack {
  depth: i32 = 0;
  private readonly open: usize = heap.alloc(MAX_DEPTH);

  /** Whether the innermost bracket is that of an array. At least one must be open. */
  get array(): bool {
    return load<u8>(this.open + <usize>(this.depth - 1)) == 0x5b;
  }

  /** `{` or `[`. False when it is too deep. */
  @inline
  push(bracket: u8): bool {
    if (this.depth >= MAX_DEPTH) return false;
    store<u8>(this.open + <usize>this.depth, bracket);
    this.depth++;
    return true;
  }

  /** `}` or `]`. False when the innermost bracket is of the other sort. At least one must be open. */
  @inline
  pop(bracket: u8): bool {
    // The two of a pair differ in these two bits.
    const fits = (load<u8>(this.open + <usize>(this.depth - 1)) ^ bracket) == 0x06;
    if (fits) this.depth--;
    return fits;
  }
}

export const enum SkipStatus {
  More = 0,
  Closed = 1,
  Invalid = 2,
  Limit = 3,
}

/** One object or array whose content is not wanted, only its end. */
@final
export class NestedSkip {
  /** The last byte looked at did this; for errors, it is the byte at the returned address. */
  status: SkipStatus = SkipStatus.More;
  private floor: i32 = 0;
  private readonly string: StringSkip = new StringSkip();

  constructor(private readonly brackets: BracketStack) {}

  /** Starts behind an opening bracket that is on the stack. */
  begin(): void {
    this.floor = this.brackets.depth;
    this.string.closed = true;
  }

  /** Returns the address behind the closing bracket, that of a wrong byte, or `limit`. O(bytes). */
  feed(at: usize, limit: usize): usize {
    this.status = SkipStatus.More;
    const string = this.string;
    while (true) {
      if (!string.closed) at = string.feed(at, limit);
      if (at + BLOCK <= limit) at = this.blocks(at, limit);
      else at = this.bytes(at, limit);
      if (this.status != SkipStatus.More || at == limit) return at;
    }
  }

  /** Byte by byte, until a string does not end before `limit`. */
  private bytes(at: usize, limit: usize): usize {
    const string = this.string;
    while (at < limit) {
      const byte = load<u8>(at);
      if (byte == 0x22) {
        string.begin();
        at = string.feed(at + 1, limit);
      } else {
        if (((byte | 0x27) == 0x7f || (byte | 0x0c) == 0x2f) && !this.mark(byte)) return this.status == SkipStatus.Closed ? at + 1 : at;
        at++;
      }
    }
    return at;
  }

  /** Whole blocks, from outside of a string; ends early inside of a string that is long. */
  private blocks(at: usize, limit: usize): usize {
    const quote = needle(Needle.Quote);
    const backslash = needle(Needle.Backslash);
    const bracket = needle(Needle.Bracket);
    const bracketFold = needle(Needle.BracketFold);
    const foreign = needle(Needle.Foreign);
    const foreignFold = needle(Needle.ForeignFold);
    /** All ones when the block starts inside of a string; 1 when its first byte is escaped. */
    let inside: u64 = 0;
    let carry: u64 = 0;
    let plain = 0;
    do {
      const slashes = bytesEqual(at, backslash);
      let quotes = bytesEqual(at, quote);
      if ((slashes | carry) != 0) {
        const escaped = escapedBytes(slashes, carry);
        carry = (slashes & ~escaped) >> 63;
        quotes &= ~escaped;
      }
      if (inside != 0 && quotes == 0) {
        at += BLOCK;
        if (++plain == LONG_STRING) break;
        continue;
      }
      plain = 0;
      const text = betweenQuotes(quotes) ^ inside;
      let marks =
        ~text &
        mask(
          marked(at, bracket, bracketFold, foreign, foreignFold),
          marked(at + 16, bracket, bracketFold, foreign, foreignFold),
          marked(at + 32, bracket, bracketFold, foreign, foreignFold),
          marked(at + 48, bracket, bracketFold, foreign, foreignFold),
        );
      while (marks != 0) {
        const hit = at + <usize>ctz(marks);
        if (!this.mark(load<u8>(hit))) return this.status == SkipStatus.Closed ? hit + 1 : hit;
        marks &= marks - 1;
      }
      inside = <u64>(<i64>text >> 63);
      at += BLOCK;
    } while (at + BLOCK <= limit);
    if (inside != 0) this.string.begin(carry != 0);
    return at;
  }

  /** A marked byte outside of strings. False when it ends the value, or is wrong. */
  @inline
  private mark(byte: u8): bool {
    const brackets = this.brackets;
    if (byte == 0x7b || byte == 0x5b) {
      if (brackets.push(byte)) return true;
      this.status = SkipStatus.Limit;
    } else if (byte == 0x7d || byte == 0x5d) {
      if (!brackets.pop(byte)) this.status = SkipStatus.Invalid;
      else if (brackets.depth >= this.floor) return true;
      else this.status = SkipStatus.Closed;
    } else if (byte == 0x2b) {
      // The plus of an exponent.
      return true;
    } else {
      this.status = SkipStatus.Invalid;
    }
    return false;
  }
}

/** All ones in the lanes of bytes that `mark` decides about. */
@inline
function marked(at: usize, bracket: v128, bracketFold: v128, foreign: v128, foreignFold: v128): v128 {
  const bytes = v128.load(at);
  return v128.or(i8x16.eq(v128.or(bytes, bracketFold), bracket), i8x16.eq(v128.or(bytes, foreignFold), foreign));
}
