/**
 * Finds the next line of a multipart body that begins with `--` and the boundary, in bytes that arrive in pieces.
 *
 * A line break stands at the beginning of the pattern and nowhere else in it, so a match that fails never has to go back: no table, no copy of what was seen before. Between
 * matches it compares two bytes of the pattern, its first dash and its last letter, in 16 places at once; in a file of random bytes one place in 65536 is looked at.
 *
 * Reference: RFC 2046 section 5.1.1.
 */

/** Longest boundary. */
export const MAX_BOUNDARY: i32 = 70;

const CR: u8 = 0x0d;
const LF: u8 = 0x0a;
const DASH: u8 = 0x2d;

@final
export class PartDelimiter {
  /** `find` stopped behind a delimiter. */
  found: bool = false;
  /** A CRLF stands before it, or it begins the body. Only then all parsers take it for one. */
  clean: bool = false;
  /** Bytes of `--` and the boundary. */
  length: i32 = 0;

  private readonly text: usize = heap.alloc(2 + MAX_BOUNDARY);
  /** Bytes of the pattern that match so far; the line break is the first. */
  private matched: i32 = 0;
  private previous: u8 = 0;

  /** Looks for this boundary, at most `MAX_BOUNDARY` bytes, from the start of a body. */
  begin(boundary: usize, length: i32): void {
    store<u8>(this.text, DASH);
    store<u8>(this.text, DASH, 1);
    memory.copy(this.text + 2, boundary, length);
    this.length = length + 2;
    this.restart();
    this.clean = true;
  }

  /** Behind a line break that belongs to something else: a delimiter right here is not `clean`. */
  restart(): void {
    this.matched = 1;
    this.clean = false;
    this.previous = LF;
  }

  /** Address behind the next delimiter in [at, end), or `end`; `found` tells. Goes on where the last call ended. O(end - at). */
  find(at: usize, end: usize): usize {
    const from = at;
    this.found = false;
    while (at < end) {
      if (this.matched == 0) {
        at = this.hop(at, end);
        if (at == end) break;
      }
      const byte = load<u8>(at);
      if (byte == CR || byte == LF) {
        const before = at > from ? load<u8>(at - 1) : this.previous;
        this.clean = byte == LF && before == CR;
        this.matched = 1;
      } else if (this.matched > 0 && byte == load<u8>(this.text + <usize>this.matched - 1)) {
        if (++this.matched > this.length) {
          this.matched = 0;
          this.found = true;
          this.previous = byte;
          return at + 1;
        }
      } else {
        this.matched = 0;
      }
      at++;
    }
    if (end > from) this.previous = load<u8>(end - 1);
    return end;
  }

  /** The next line break that a delimiter may follow, or `end`. Near the end of the piece, where the pattern has no room: the next line break. */
  private hop(at: usize, end: usize): usize {
    const reach = <usize>this.length;
    const dash = i8x16.splat(DASH);
    const last = i8x16.splat(load<u8>(this.text + reach - 1));
    while (at + reach + 16 <= end) {
      const hits = v128.and(i8x16.eq(v128.load(at, 1), dash), i8x16.eq(v128.load(at + reach), last));
      if (v128.any_true(hits)) {
        let bits = <u32>i8x16.bitmask(hits);
        while (bits != 0) {
          const hit = at + <usize>ctz(bits);
          if (isLineBreak(load<u8>(hit))) return hit;
          bits &= bits - 1;
        }
      }
      at += 16;
    }
    while (at < end) {
      if (isLineBreak(load<u8>(at))) return at;
      at++;
    }
    return end;
  }
}

function isLineBreak(byte: u8): bool {
  return byte == LF || byte == CR;
}
