/**
 * Reads token usage out of an answer while it streams by: JSON or SSE, of the OpenAI, Anthropic and compatible APIs.
 *
 * Looks for the bytes `"usage"` followed by `:` and an object, at any depth and any chunk border, and collects the counts in it. That is exact, not
 * a guess: inside a JSON string a quote is escaped, so an answer that talks about "usage" reads `\"usage\"` on the wire and cannot match, and
 * only a key is followed by a colon. Parsing every SSE event as a document would cost several times as much for the same numbers.
 *
 * Each count keeps its last value, which merges Anthropic's `message_start` (input) and `message_delta` (output). O(bytes), no allocation, never throws.
 */

import { sameText } from "./json-capture";

/** Counts beyond this are nonsense; digits behind it are ignored. */
const MAX_COUNT: i64 = 1_000_000_000_000;
/** Longest key worth comparing; all wanted ones are shorter. */
const MAX_KEY: i32 = 32;
/** Deepest nesting inside a usage object; real ones have two levels. */
const MAX_DEPTH: i32 = 8;

/** `"usage"` as it stands in the answer. */
const PATTERN: StaticArray<u8> = [0x22, 0x75, 0x73, 0x61, 0x67, 0x65, 0x22];

const enum State {
  Searching,
  Colon,
  Open,
  Members,
  Key,
  KeyEscape,
  Value,
  Text,
  TextEscape,
  Number,
}

@final
export class UsageReader {
  /** Tokens, -1 while unknown. Input includes or excludes cached tokens as the API counts them. */
  input: i64 = -1;
  output: i64 = -1;
  cached: i64 = -1;
  reasoning: i64 = -1;

  private state: State = State.Searching;
  /** Bytes of `PATTERN` that matched at the end of the last chunk. */
  private matched: i32 = 0;
  private depth: i32 = 0;
  private keyLength: i32 = 0;
  private number: i64 = 0;
  private readonly key: StaticArray<u8> = new StaticArray<u8>(MAX_KEY);

  reset(): void {
    this.input = -1;
    this.output = -1;
    this.cached = -1;
    this.reasoning = -1;
    this.state = State.Searching;
    this.matched = 0;
  }

  /** True when any count was seen. */
  get seen(): bool {
    return this.input >= 0 || this.output >= 0;
  }

  /** Consumes the next `length` bytes of the answer. */
  feed(from: usize, length: i32): void {
    let at = from;
    const end = from + <usize>length;
    while (at < end) {
      if (this.state == State.Searching) {
        at = this.search(at, end);
      } else {
        this.step(load<u8>(at));
        at++;
      }
    }
  }

  /** Continues or starts a match of `PATTERN`; returns the position behind it, or `end`. */
  private search(at: usize, end: usize): usize {
    while (at < end) {
      if (this.matched == 0) {
        at = nextQuotedU(at, end);
        if (at == end) return end;
      }
      const byte = load<u8>(at++);
      if (byte == unchecked(PATTERN[this.matched])) {
        if (++this.matched == PATTERN.length) {
          this.matched = 0;
          this.state = State.Colon;
          return at;
        }
      } else {
        // Only the first byte of the pattern is a quote, apart from the last.
        this.matched = byte == 0x22 ? 1 : 0;
      }
    }
    return at;
  }

  /** One byte behind the key: colon, object, members, and back to searching at its end or at anything unexpected. */
  private step(byte: u8): void {
    const space = byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09;
    switch (this.state) {
      case State.Colon: {
        if (byte == 0x3a) this.state = State.Open;
        else if (!space) this.abandon(byte);
        return;
      }
      case State.Open: {
        if (byte == 0x7b) {
          this.depth = 1;
          this.state = State.Members;
        } else if (!space) this.abandon(byte);
        return;
      }
      case State.Members: {
        if (byte == 0x22) {
          this.keyLength = 0;
          this.state = State.Key;
        } else if (byte == 0x7d) {
          this.close();
        } else if (!space && byte != 0x2c) this.abandon(byte);
        return;
      }
      case State.Key: {
        if (byte == 0x22) this.state = State.Value;
        else if (byte == 0x5c) this.state = State.KeyEscape;
        else if (this.keyLength < MAX_KEY) unchecked((this.key[this.keyLength++] = byte));
        return;
      }
      case State.KeyEscape: {
        // No wanted key has an escape; make it unmatchable.
        this.keyLength = MAX_KEY;
        this.state = State.Key;
        return;
      }
      case State.Value: {
        if (byte - 48 < 10) {
          this.number = byte - 48;
          this.state = State.Number;
        } else if (byte == 0x22) {
          this.state = State.Text;
        } else if (byte == 0x7b) {
          if (++this.depth > MAX_DEPTH) this.state = State.Searching;
          else this.state = State.Members;
        } else if (byte == 0x2c) {
          this.state = State.Members;
        } else if (byte == 0x7d) {
          this.close();
        } else if (byte == 0x5b) {
          this.abandon(byte);
        }
        return;
      }
      case State.Number: {
        if (byte - 48 < 10) {
          if (this.number < MAX_COUNT) this.number = this.number * 10 + (byte - 48);
          return;
        }
        this.store();
        this.state = State.Value;
        if (byte == 0x2c) this.state = State.Members;
        else if (byte == 0x7d) this.close();
        return;
      }
      case State.Text: {
        if (byte == 0x22) this.state = State.Members;
        else if (byte == 0x5c) this.state = State.TextEscape;
        return;
      }
      default: {
        this.state = State.Text;
      }
    }
  }

  private abandon(byte: u8): void {
    this.state = State.Searching;
    this.matched = byte == 0x22 ? 1 : 0;
  }

  private close(): void {
    this.state = --this.depth == 0 ? State.Searching : State.Members;
    this.matched = 0;
  }

  private store(): void {
    if (this.keyIs("prompt_tokens") || this.keyIs("input_tokens")) this.input = this.number;
    else if (this.keyIs("completion_tokens") || this.keyIs("output_tokens")) this.output = this.number;
    else if (this.keyIs("cached_tokens") || this.keyIs("cache_read_input_tokens")) this.cached = this.number;
    else if (this.keyIs("reasoning_tokens")) this.reasoning = this.number;
  }

  private keyIs(name: string): bool {
    return name.length == this.keyLength && sameText(name, changetype<usize>(this.key));
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
