/**
 * Runs over the objects and arrays of a JSON document nobody asked for. `JsonWalker` drives it.
 *
 * Strings and brackets are matched exactly, so that nothing inside can pass for the end; a backslash outside of strings is refused; the rest of the grammar is not looked at. Resumable between any
 * two bytes, no allocation, never throws. Reference: RFC 8259 section 2.
 */
import { betweenQuotes, BLOCK, bytesEqual, escapedBytes } from "./json-block";
import { MAX_DEPTH } from "./json-scanner";
import { TextSkip } from "./text-skip";

/** The open brackets, one bit each. */
@final
export class BracketStack {
  depth: i32 = 0;
  private readonly bits: usize = heap.alloc(MAX_DEPTH / 8);

  /** Whether the innermost bracket is that of an array. At least one must be open. */
  get array(): bool {
    const last = this.depth - 1;
    return ((load<u8>(this.bits + (<usize>last >> 3)) >> (<u8>last & 7)) & 1) != 0;
  }

  /** False when it is too deep. */
  push(array: bool): bool {
    if (this.depth >= MAX_DEPTH) return false;
    const word = this.bits + (<usize>this.depth >> 3);
    const bit: u8 = 1 << (<u8>this.depth & 7);
    store<u8>(word, array ? load<u8>(word) | bit : load<u8>(word) & ~bit);
    this.depth++;
    return true;
  }

  /** False when the innermost bracket is of the other sort. */
  pop(array: bool): bool {
    const fits = this.array == array;
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
  private readonly string: TextSkip = new TextSkip();

  constructor(private readonly brackets: BracketStack) {}

  /** Starts behind an opening bracket that is on the stack. */
  begin(): void {
    this.floor = this.brackets.depth;
    this.string.closed = true;
  }

  /** Returns the address behind the closing bracket, that of a wrong byte, or `limit`. */
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
        // The four brackets and the backslash share these bits; the letters among the others are told apart in `mark`.
        if ((byte & 0xd8) == 0x58 && !this.mark(byte)) return this.status == SkipStatus.Closed ? at + 1 : at;
        at++;
      }
    }
    return at;
  }

  /** Whole blocks, from outside of a string; ends early inside of a string that is long. */
  private blocks(at: usize, limit: usize): usize {
    /** All ones when the block starts inside of a string; 1 when its first byte is escaped. */
    let inside: u64 = 0;
    let carry: u64 = 0;
    while (at + BLOCK <= limit) {
      const slashes = bytesEqual(at, 0x5c, 0);
      let quotes = bytesEqual(at, 0x22, 0);
      if ((slashes | carry) != 0) {
        const escaped = escapedBytes(slashes, carry);
        carry = (slashes & ~escaped) >> 63;
        quotes &= ~escaped;
      }
      if (inside != 0 && quotes == 0) {
        at += BLOCK;
        break;
      }
      const text = betweenQuotes(quotes) ^ inside;
      let marks = (slashes | bytesEqual(at, 0x7b, 0x20) | bytesEqual(at, 0x7d, 0x20)) & ~text;
      while (marks != 0) {
        const hit = at + <usize>ctz(marks);
        if (!this.mark(load<u8>(hit))) return this.status == SkipStatus.Closed ? hit + 1 : hit;
        marks &= marks - 1;
      }
      inside = <u64>(<i64>text >> 63);
      at += BLOCK;
    }
    if (inside != 0) this.string.begin(carry != 0);
    return at;
  }

  /** A byte outside of strings. False when it ends the value, or is wrong: a backslash, or the wrong bracket. */
  private mark(byte: u8): bool {
    const brackets = this.brackets;
    if (byte == 0x7b || byte == 0x5b) {
      if (brackets.push(byte == 0x5b)) return true;
      this.status = SkipStatus.Limit;
    } else if (byte == 0x7d || byte == 0x5d) {
      if (!brackets.pop(byte == 0x5d)) this.status = SkipStatus.Invalid;
      else if (brackets.depth >= this.floor) return true;
      else this.status = SkipStatus.Closed;
    } else if (byte == 0x5c) {
      this.status = SkipStatus.Invalid;
    } else {
      return true;
    }
    return false;
  }
}
