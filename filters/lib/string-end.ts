/**
 * Runs over a JSON string whose content is not wanted: nearly all of an LLM request, so this is where a scanner spends its time.
 *
 * A stop at each quote and backslash would cost a branch no processor predicts every twenty bytes of a real prompt. So blocks without a quote are
 * passed by with one comparison; near quotes only those count that may close the string, which are not behind a single backslash. All of that branches
 * on what is rare. Reference: RFC 8259 section 7.
 */
import { BLOCK, bytesEqual, escapedBytes, Needle, needle } from "./json-block";

/** Bytes that are looked at more closely from a quote on: where one is, more are near. */
const CLOSE_LOOK: usize = 1024;
/** The close look goes this far back. */
const REACH: usize = 2;

/** Finds the closing quote. Resumable between any two bytes, no allocation, never throws. */
@final
export class StringSkip {
  /** The closing quote was reached. */
  closed: bool = false;
  private escaped: bool = false;

  /** Starts behind an opening quote, or further in, even behind a backslash. */
  begin(escaped: bool = false): void {
    this.closed = false;
    this.escaped = escaped;
  }

  /** Returns the address behind the closing quote, or `limit` when there is none. O(bytes). */
  feed(at: usize, limit: usize): usize {
    // What is before `at` may be another window, so the first bytes are none to look back from.
    at = this.bytes(at, min(at + REACH, limit), limit);
    if (this.closed) return at;
    if (at + BLOCK <= limit) {
      const origin = at;
      at = this.blocks(at, limit);
      if (this.closed) return at;
      this.escaped = oddRun(at, origin) != 0;
    }
    return this.bytes(at, limit, limit);
  }

  /** The scalar twin of `feed`. */
  feedScalar(at: usize, limit: usize): usize {
    return this.bytes(at, limit, limit);
  }

  /** Whole blocks, from an unescaped byte with two of the same input before it. Returns the address behind the closing quote, or the first that is left. */
  private blocks(origin: usize, limit: usize): usize {
    const quote = needle(Needle.Quote);
    const backslash = needle(Needle.Backslash);
    let at = origin;
    do {
      while (noQuote(at, quote)) {
        at += BLOCK;
        if (at + BLOCK > limit) return at;
      }
      const stop = min(at + CLOSE_LOOK, limit);
      do {
        if (mayClose(at, quote, backslash)) {
          const escaped = escapedBytes(bytesEqual(at, backslash), oddRun(at, origin));
          const closing = bytesEqual(at, quote) & ~escaped;
          if (closing != 0) {
            this.closed = true;
            return at + <usize>ctz(closing) + 1;
          }
        }
        at += BLOCK;
      } while (at + BLOCK <= stop);
    } while (at + BLOCK <= limit);
    return at;
  }

  /** Byte by byte, at least to `last`. */
  private bytes(at: usize, last: usize, limit: usize): usize {
    if (this.escaped && at < limit) {
      this.escaped = false;
      at++;
    }
    while (at < last) {
      const byte = load<u8>(at++);
      if (byte == 0x22) {
        this.closed = true;
        return at;
      }
      if (byte != 0x5c) continue;
      this.escaped = at == limit;
      if (!this.escaped) at++;
    }
    return at;
  }
}

@inline
function noQuote(at: usize, quote: v128): bool {
  const low = v128.or(i8x16.eq(v128.load(at), quote), i8x16.eq(v128.load(at, 16), quote));
  const high = v128.or(i8x16.eq(v128.load(at, 32), quote), i8x16.eq(v128.load(at, 48), quote));
  return i8x16.bitmask(v128.or(low, high)) == 0;
}

@inline
function mayClose(at: usize, quote: v128, backslash: v128): bool {
  const low = v128.or(unlessEscaped(at - REACH, quote, backslash), unlessEscaped(at - REACH + 16, quote, backslash));
  const high = v128.or(unlessEscaped(at - REACH + 32, quote, backslash), unlessEscaped(at - REACH + 48, quote, backslash));
  return i8x16.bitmask(v128.or(low, high)) != 0;
}

/** Quotes, two bytes on, that are not behind exactly one backslash. Behind two or more, the length of the run decides, which is left to the caller. */
@inline
function unlessEscaped(at: usize, quote: v128, backslash: v128): v128 {
  return v128.andnot(
    i8x16.eq(v128.load(at, 2), quote),
    v128.andnot(i8x16.eq(v128.load(at, 1), backslash), i8x16.eq(v128.load(at), backslash)),
  );
}

/** 1 if the bytes before `at`, not further back than `origin`, end with an odd number of backslashes. */
function oddRun(at: usize, origin: usize): u64 {
  let first = at;
  while (first > origin && load<u8>(first - 1) == 0x5c) first--;
  return (at - first) & 1;
}
