/**
 * Recognises an event that says the same as one before, but for values nobody looks at.
 *
 * Nearly all events of a stream differ in the text of a delta and in a number or two. Walking each of them as JSON costs a microsecond; comparing it with the one before,
 * with holes where strings and numbers were that the reader has skipped, costs a tenth of that. What matches has the very tokens of the event before outside of the holes,
 * and in each hole a token of the same kind, so a reader that was left as it was by that event is left as it is by this one. Bytes before the last brace may be padded
 * with spaces, as Anthropic does.
 *
 *   bytes   the data of the event, up to its last brace and the spaces before that
 *   holes   start u16 | end u16 of each, ascending; a string with its quotes, or a number
 */
import { isScalar } from "./json-capture";
import { TextSkip } from "./text-skip";

/** Longest event that is kept, and its holes. */
export const MAX_SHAPE: i32 = 1024;
const MAX_HOLES: i32 = 32;

const QUOTE: u8 = 0x22;
const SPACE: u8 = 0x20;
const CLOSE: u8 = 0x7d;

@final
export class EventShape {
  private known: bool = false;
  private length: i32 = 0;
  private holes: i32 = 0;
  private readonly bytes: usize = heap.alloc(MAX_SHAPE);
  private readonly spans: usize = heap.alloc(4 * MAX_HOLES);
  private readonly text: TextSkip = new TextSkip();

  /** Forgets the event it knows; `hole` and `keep` describe another. */
  clear(): void {
    this.known = false;
    this.holes = 0;
  }

  /** In the event that is described bytes [start, end) are a string or number nobody looks at. In order. */
  hole(start: u32, end: u32): void {
    if (this.holes < MAX_HOLES) {
      const span = this.spans + (<usize>this.holes << 2);
      store<u16>(span, <u16>start);
      store<u16>(span, <u16>end, 2);
    }
    this.holes++;
  }

  /** The event that was described, an object of at most `MAX_SHAPE` bytes. From here on it is known. */
  keep(from: usize, length: i32): void {
    while (length > 0 && load<u8>(from + <usize>length - 1) == SPACE) length--;
    // The brace itself.
    length--;
    while (length > 0 && load<u8>(from + <usize>length - 1) == SPACE) length--;
    this.known = length > 0 && this.holes <= MAX_HOLES;
    if (!this.known) return;
    memory.copy(this.bytes, from, length);
    this.length = length;
  }

  /** Whether the event in [from, from + length) says the same. O(length), and mostly little of it. */
  matches(from: usize, length: i32): bool {
    if (!this.known) return false;
    const end = from + <usize>length;
    let at = from;
    /** Of the known event, so far. */
    let done: usize = 0;
    for (let i = 0; i < this.holes; i++) {
      const span = this.spans + (<usize>i << 2);
      const start = <usize>load<u16>(span);
      const size = start - done;
      if (size >= <usize>(end - at) || !sameBytes(this.bytes + done, at, size)) return false;
      at += size;
      done = <usize>load<u16>(span, 2);
      const first = load<u8>(at++);
      if (load<u8>(this.bytes + start) == QUOTE) {
        if (first != QUOTE) return false;
        this.text.begin();
        at = this.text.feed(at, end);
        if (!this.text.closed) return false;
      } else {
        if (first != 0x2d && first - 48 > 9) return false;
        while (at < end && isScalar(load<u8>(at))) at++;
      }
    }
    const rest = <usize>this.length - done;
    if (rest >= <usize>(end - at) || !sameBytes(this.bytes + done, at, rest)) return false;
    at += rest;
    while (at < end && load<u8>(at) == SPACE) at++;
    if (at == end || load<u8>(at++) != CLOSE) return false;
    while (at < end && load<u8>(at) == SPACE) at++;
    return at == end;
  }
}

/** Whether `size` bytes at both addresses are equal. */
function sameBytes(first: usize, second: usize, size: usize): bool {
  const end = first + size;
  while (first + 16 <= end) {
    if (v128.any_true(v128.xor(v128.load(first), v128.load(second)))) return false;
    first += 16;
    second += 16;
  }
  if (first + 8 <= end) {
    if (load<u64>(first) != load<u64>(second)) return false;
    first += 8;
    second += 8;
  }
  while (first < end) {
    if (load<u8>(first++) != load<u8>(second++)) return false;
  }
  return true;
}
