/**
 * What a client asks of the cache with `cache-control` (RFC 9111, section 5.2.1). Directives that are not known are passed over; of one that is given twice the stricter
 * counts.
 */
import { Bytes } from "../sdk";

const NO_CACHE = Bytes.literal("no-cache");
const NO_STORE = Bytes.literal("no-store");
const ONLY_IF_CACHED = Bytes.literal("only-if-cached");
const MAX_AGE = Bytes.literal("max-age");

const COMMA: u8 = 0x2c;
const EQUALS: u8 = 0x3d;
const QUOTE: u8 = 0x22;

const name = new Bytes();

@final
export class RequestControl {
  /** The stored answer is not wanted; the new one is stored. */
  noCache: bool = false;
  /** Neither looked up nor stored. */
  noStore: bool = false;
  onlyIfCached: bool = false;
  /** Oldest answer that is wanted, in s; negative for any. */
  maxAge: i64 = -1;

  /** O(value). */
  read(value: Bytes): void {
    this.noCache = false;
    this.noStore = false;
    this.onlyIfCached = false;
    this.maxAge = -1;
    let at = 0;
    while (at < value.len) {
      let end = value.indexOf(COMMA, at);
      if (end < 0) end = value.len;
      this.directive(value, at, end);
      at = end + 1;
    }
  }

  private directive(value: Bytes, start: i32, end: i32): void {
    while (start < end && isSpace(value.at(start))) start++;
    while (end > start && isSpace(value.at(end - 1))) end--;
    let split = start;
    while (split < end && value.at(split) != EQUALS) split++;
    name.set(value.ptr + <usize>start, split - start);
    if (name.equalsIgnoreCase(NO_CACHE)) this.noCache = true;
    else if (name.equalsIgnoreCase(NO_STORE)) this.noStore = true;
    else if (name.equalsIgnoreCase(ONLY_IF_CACHED)) this.onlyIfCached = true;
    else if (name.equalsIgnoreCase(MAX_AGE)) {
      const age = seconds(value, split + 1, end);
      if (this.maxAge < 0 || age < this.maxAge) this.maxAge = age;
    }
  }
}

/** Delta seconds, in quotes too. What is none counts as 0: nothing is fresh enough. */
function seconds(value: Bytes, start: i32, end: i32): i64 {
  if (end - start > 2 && value.at(start) == QUOTE && value.at(end - 1) == QUOTE) {
    start++;
    end--;
  }
  let result: i64 = 0;
  if (start >= end) return 0;
  for (let i = start; i < end; i++) {
    const digit = value.at(i) - 48;
    if (digit > 9) return 0;
    // RFC 9111, section 1.2.2: a larger number is as good as this.
    result = min<i64>(result * 10 + digit, i32.MAX_VALUE);
  }
  return result;
}

@inline
function isSpace(byte: u8): bool {
  return byte == 0x20 || byte == 0x09;
}
