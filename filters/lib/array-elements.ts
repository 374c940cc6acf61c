/**
 * Takes a JSON array that arrives in pieces apart where it lies: pieces of its objects, and the places between them. Gemini streams like this without `alt=sse`.
 *
 * Brackets and strings are matched exactly, what is between the objects is taken as it comes. Resumable between any two bytes, no allocation, never throws.
 */
import { EventPart } from "./event-lines";
import { BracketStack, NestedSkip, SkipStatus } from "./json-skip";

/** What the client has seen last, outside of objects. */
export const enum ArrayPlace {
  /** Nothing yet but white space. */
  Start,
  /** The opening bracket. */
  Opened,
  Object,
  Comma,
  /** The closing bracket. */
  Closed,
}

@final
export class ArrayElements {
  /** As in `EventLines`. */
  at: usize = 0;
  ptr: usize = 0;
  length: i32 = 0;
  fresh: bool = false;
  whole: bool = false;
  place: ArrayPlace = ArrayPlace.Start;

  private end: usize = 0;
  private inside: bool = false;
  private ended: bool = false;
  /** Not an array of objects: nothing is ever between. */
  private invalid: bool = false;
  private readonly brackets: BracketStack = new BracketStack();
  private readonly skip: NestedSkip = new NestedSkip(this.brackets);

  /** Ready for another stream. */
  reset(): void {
    this.place = ArrayPlace.Start;
    this.inside = false;
    this.ended = false;
    this.invalid = false;
    this.at = 0;
    this.end = 0;
  }

  /** Sets [from, from + length), which continues the array, as input of `next`. The input before must be used up. */
  feed(from: usize, length: i32): void {
    this.at = from;
    this.end = from + <usize>length;
  }

  /** Goes on to the next part. O(input). */
  next(): EventPart {
    if (this.ended) {
      this.ended = false;
      this.place = ArrayPlace.Object;
      return this.between(true);
    }
    if (this.invalid) this.at = this.end;
    if (this.at >= this.end) return EventPart.NeedMore;
    if (this.inside) return this.object(this.at, this.at);
    const byte = load<u8>(this.at);
    const from = this.at++;
    if (byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09) return this.between(false);
    const place = this.place;
    if (byte == 0x7b && (place == ArrayPlace.Opened || place == ArrayPlace.Comma)) {
      this.brackets.depth = 0;
      this.brackets.push(byte);
      this.skip.begin();
      this.inside = true;
      return this.object(from, this.at);
    }
    if (byte == 0x5b && place == ArrayPlace.Start) this.place = ArrayPlace.Opened;
    else if (byte == 0x2c && place == ArrayPlace.Object) this.place = ArrayPlace.Comma;
    else if (byte == 0x5d && (place == ArrayPlace.Object || place == ArrayPlace.Opened)) this.place = ArrayPlace.Closed;
    else this.invalid = true;
    return this.between(false);
  }

  /** The open object from `from` on, of which the bytes up to `at` have been looked at. */
  private object(from: usize, at: usize): EventPart {
    const stop = this.skip.feed(at, this.end);
    const status = this.skip.status;
    if (status == SkipStatus.Invalid || status == SkipStatus.Limit) this.invalid = true;
    this.ended = status == SkipStatus.Closed;
    if (this.ended) this.inside = false;
    this.at = this.invalid ? this.end : stop;
    this.ptr = from;
    this.length = <i32>(this.at - from);
    this.fresh = from < at;
    return EventPart.Data;
  }

  private between(whole: bool): EventPart {
    if (this.invalid) {
      this.at = this.end;
      return EventPart.NeedMore;
    }
    this.whole = whole;
    return EventPart.Between;
  }
}
