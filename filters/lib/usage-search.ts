/**
 * Finds where a usage object of an answer begins: the key `usage`, `usageMetadata` or `usage_metadata`, a colon, a brace, cut into chunks anywhere; in an object of
 * the first two levels.
 *
 * The level matters because an answer can hold objects that a model or a client wrote: the input of a tool (Anthropic), the arguments of a function (Gemini), the
 * schemas of tools (responses). Those lie deeper, so whoever steers them cannot write counts. Lists are no levels: some APIs put `choices` around the usage, and Gemini may
 * put a list around everything.
 *
 * Every byte of every answer passes here. Blocks of 64 bytes without a line break and without a string that begins with `u` are taken as masks; the rest byte by byte.
 * A line break ends a string, for no JSON has one inside, and a blank line ends a document: so a line of an event stream that is no JSON confuses nothing but itself.
 */
import { BLOCK, betweenQuotes, bytesEqual, escapedBytes, Needle, needle } from "./json-block";

/** Objects around a usage object, itself not counted. */
const DEEPEST: i32 = 2;
/** Bytes of the longest key, `usage_metadata`. */
const MAX_NAME: i32 = 14;

const QUOTE: u8 = 0x22;
const BACKSLASH: u8 = 0x5c;
const COLON: u8 = 0x3a;
const OPEN: u8 = 0x7b;
const CLOSE: u8 = 0x7d;
const LINE_FEED: u8 = 0x0a;
const RETURN: u8 = 0x0d;

const enum Place {
  Outside,
  /** In a string that may be the key: `length` bytes of it match. */
  Name,
  /** In another string. */
  Text,
  /** Behind a backslash in it. */
  Escape,
}

/** What has been seen of a usage member. */
const enum Seen {
  Nothing,
  Key,
  Colon,
}

const USAGE: StaticArray<u8> = [0x75, 0x73, 0x61, 0x67, 0x65];
/** "Metadata" and "_metadata", which may follow. */
const CAMEL: StaticArray<u8> = [0x4d, 0x65, 0x74, 0x61, 0x64, 0x61, 0x74, 0x61];
const SNAKE: StaticArray<u8> = [0x5f, 0x6d, 0x65, 0x74, 0x61, 0x64, 0x61, 0x74, 0x61];

@final
export class UsageSearch {
  /** `find` stopped behind the opening brace of a usage object. */
  found: bool = false;

  private place: Place = Place.Outside;
  private seen: Seen = Seen.Nothing;
  /** Bytes of the string that match a name, and whether the name goes on in snake case. */
  private length: i32 = 0;
  private snake: bool = false;
  /** Objects that are open. */
  private depth: i32 = 0;
  /** The byte before, as far as line breaks matter. */
  private last: u8 = 0;

  /** Ready for a new answer. */
  reset(): void {
    this.found = false;
    this.place = Place.Outside;
    this.seen = Seen.Nothing;
    this.depth = 0;
    this.last = 0;
  }

  /** The usage object is over, or has turned out to be none while `open` objects were open in it. `last` is the byte before the next one, 0 if that was its end. */
  resume(open: i32, last: u8): void {
    this.place = Place.Outside;
    this.seen = Seen.Nothing;
    this.depth += open;
    this.last = 0;
    if (last != 0) this.step(last);
  }

  /** Address behind the brace of the next usage object in [at, end), or `end`; `found` tells. Goes on where the last call ended. O(end - at). */
  find(at: usize, end: usize): usize {
    this.found = false;
    while (at < end) {
      if (end - at >= BLOCK && this.seen == Seen.Nothing && this.place != Place.Name && this.skipBlock(at)) {
        at += BLOCK;
        continue;
      }
      // A block that is not simple, up to its end or to a usage object.
      const stop = min(end, at + BLOCK);
      while (at < stop) {
        this.step(load<u8>(at++));
        if (this.found) return at;
      }
    }
    return at;
  }

  /** Takes 64 bytes at once. False when they have to be looked at one by one; then nothing has changed. */
  private skipBlock(at: usize): bool {
    if ((bytesEqual(at, i8x16.splat(LINE_FEED)) | bytesEqual(at, i8x16.splat(RETURN))) != 0) return false;
    const slashes = bytesEqual(at, needle(Needle.Backslash));
    const escaped = escapedBytes(slashes, this.place == Place.Escape ? 1 : 0);
    const quotes = bytesEqual(at, needle(Needle.Quote)) & ~escaped;
    // From each quote to the one behind it; the other way round when the block begins in a string.
    const strings = betweenQuotes(quotes) ^ (this.place == Place.Outside ? 0 : u64.MAX_VALUE);
    const letters = (bytesEqual(at, needle(Needle.SmallU)) >> 1) | (1 << 63);
    // A quote that opens a string is inside of it, by these masks.
    if ((quotes & strings & letters) != 0) return false;
    const open = bytesEqual(at, i8x16.splat(OPEN)) & ~strings;
    const close = bytesEqual(at, i8x16.splat(CLOSE)) & ~strings;
    const closed = <i32>popcnt(close);
    // No JSON: byte by byte they mean something else.
    if ((slashes & ~strings) != 0 || closed > this.depth) return false;
    this.depth += <i32>popcnt(open) - closed;
    if (strings >> 63 == 0) this.place = Place.Outside;
    else this.place = trailingEscape(at, escaped) ? Place.Escape : Place.Text;
    this.last = 0;
    return true;
  }

  private step(byte: u8): void {
    if (byte == LINE_FEED || byte == RETURN) {
      this.breakLine(byte);
      return;
    }
    this.last = byte;
    switch (this.place) {
      case Place.Outside: {
        this.outside(byte);
        return;
      }
      case Place.Name: {
        this.inName(byte);
        return;
      }
      case Place.Text: {
        if (byte == QUOTE) this.place = Place.Outside;
        else if (byte == BACKSLASH) this.place = Place.Escape;
        return;
      }
      default:
        this.place = Place.Text;
    }
  }

  private outside(byte: u8): void {
    if (byte == QUOTE) {
      this.place = Place.Name;
      this.length = 0;
      this.seen = Seen.Nothing;
    } else if (byte == OPEN) {
      this.found = this.seen == Seen.Colon && this.depth <= DEEPEST;
      this.seen = Seen.Nothing;
      // One that is found is the reader's, from the brace to its end.
      if (!this.found) this.depth++;
    } else if (byte == CLOSE) {
      if (this.depth > 0) this.depth--;
      this.seen = Seen.Nothing;
    } else if (byte == COLON && this.seen == Seen.Key) {
      this.seen = Seen.Colon;
    } else if (byte != 0x20 && byte != 0x09) {
      this.seen = Seen.Nothing;
    }
  }

  private inName(byte: u8): void {
    if (byte == QUOTE) {
      this.place = Place.Outside;
      if (this.isName()) this.seen = Seen.Key;
    } else if (byte == BACKSLASH) {
      this.place = Place.Escape;
    } else if (!this.takes(byte)) {
      this.place = Place.Text;
    }
  }

  private takes(byte: u8): bool {
    const at = this.length++;
    if (at < USAGE.length) return byte == unchecked(USAGE[at]);
    if (at >= MAX_NAME) return false;
    const rest = at - USAGE.length;
    if (rest == 0) this.snake = byte == unchecked(SNAKE[0]);
    if (this.snake) return rest < SNAKE.length && byte == unchecked(SNAKE[rest]);
    return rest < CAMEL.length && byte == unchecked(CAMEL[rest]);
  }

  private isName(): bool {
    const rest = this.length - USAGE.length;
    return rest == 0 || rest == (this.snake ? SNAKE.length : CAMEL.length);
  }

  private breakLine(byte: u8): void {
    // The second byte of CRLF belongs to the first.
    const blank = this.last == LINE_FEED || (this.last == RETURN && byte == RETURN);
    if (blank) {
      this.depth = 0;
      this.seen = Seen.Nothing;
    }
    if (this.place != Place.Outside) {
      this.place = Place.Outside;
      this.seen = Seen.Nothing;
    }
    this.last = byte;
  }
}

/** Whether the last byte of the block is a backslash that escapes what follows. */
@inline
function trailingEscape(at: usize, escaped: u64): bool {
  return load<u8>(at, 63) == BACKSLASH && escaped >> 63 == 0;
}
