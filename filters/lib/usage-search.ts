/**
 * Finds where the usage object of an answer begins: the bytes `"usage"`, `"usageMetadata"` or `"usage_metadata"`, a colon, a brace, cut into chunks anywhere.
 *
 * Every byte of every answer passes here, so the loop looks for one thing only, a quote before a `u`; the rest is decided byte by byte.
 */
import { sameText } from "./json-capture";

/** What the keys have in common, as it stands in the answer: `"usage`. */
const PREFIX: StaticArray<u8> = [0x22, 0x75, 0x73, 0x61, 0x67, 0x65];
/** `"usage":`, little-endian: what OpenAI writes into each chunk. */
const USAGE_COLON: u64 = 0x3a22656761737522;
/** Bytes of the longest rest, `_metadata`. */
const MAX_REST: i32 = 9;

const enum State {
  Prefix,
  Rest,
  Colon,
  Brace,
}

@final
export class UsageSearch {
  /** `find` stopped behind the opening brace of a usage object. */
  found: bool = false;

  private state: State = State.Prefix;
  /** Bytes of `PREFIX` that match so far. */
  private matched: i32 = 0;
  private restLength: i32 = 0;
  private readonly rest: StaticArray<u8> = new StaticArray<u8>(MAX_REST);

  /** Starts anew. `last` is the byte before the next one: it may be the quote of a key. */
  restart(last: u8): void {
    this.state = State.Prefix;
    this.matched = last == 0x22 ? 1 : 0;
  }

  /** Address behind the brace of the next usage object in [at, end), or `end`; `found` tells. Goes on where the last call ended. O(end - at). */
  find(at: usize, end: usize): usize {
    this.found = false;
    while (at < end && !this.found) {
      if (this.state == State.Prefix) at = this.findPrefix(at, end);
      else this.step(load<u8>(at++));
    }
    return at;
  }

  private findPrefix(at: usize, end: usize): usize {
    while (at < end) {
      if (this.matched == 0) {
        at = nextQuotedU(at, end);
        if (at == end) return end;
        if (end - at >= 8 && load<u64>(at) == USAGE_COLON) {
          this.state = State.Brace;
          return at + 8;
        }
      }
      const byte = load<u8>(at++);
      if (byte == unchecked(PREFIX[this.matched])) {
        if (++this.matched == PREFIX.length) {
          this.restLength = 0;
          this.state = State.Rest;
          return at;
        }
      } else {
        // Only the first byte of the prefix is a quote.
        this.matched = byte == 0x22 ? 1 : 0;
      }
    }
    return at;
  }

  private step(byte: u8): void {
    const space = byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09;
    if (this.state == State.Rest) {
      if (byte != 0x22 && this.restLength < MAX_REST) unchecked((this.rest[this.restLength++] = byte));
      else if (byte == 0x22 && this.isKey()) this.state = State.Colon;
      else this.restart(byte);
    } else if (this.state == State.Colon) {
      if (byte == 0x3a) this.state = State.Brace;
      else if (!space) this.restart(byte);
    } else if (byte == 0x7b) {
      this.restart(byte);
      this.found = true;
    } else if (!space) {
      this.restart(byte);
    }
  }

  private isKey(): bool {
    return this.restLength == 0 || this.restIs("Metadata") || this.restIs("_metadata");
  }

  private restIs(name: string): bool {
    return this.restLength == name.length && sameText(name, changetype<usize>(this.rest));
  }
}

/** Position of the next quote that is followed by `u` (or is the last byte), or `end`. SIMD, 16 bytes a step. */
function nextQuotedU(at: usize, end: usize): usize {
  const quote = i8x16.splat(0x22);
  const letter = i8x16.splat(0x75);
  while (at + 17 <= end) {
    const hits = v128.and(i8x16.eq(v128.load(at), quote), i8x16.eq(v128.load(at, 1), letter));
    if (v128.any_true(hits)) return at + <usize>ctz(i8x16.bitmask(hits));
    at += 16;
  }
  while (at < end) {
    if (load<u8>(at) == 0x22 && (at + 1 == end || load<u8>(at, 1) == 0x75)) return at;
    at++;
  }
  return end;
}
