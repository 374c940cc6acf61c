/**
 * Takes a stream of Server-Sent Events apart where it lies: pieces of data, and the places between events, cut anywhere.
 *
 * `SseScanner` hands out whole events and so has to keep their data. Who reads the data as it comes, and wants to know where a stream can be ended, needs no
 * memory: state is a few words. Reference: WHATWG HTML, section 9.2.6 "Interpreting an event stream".
 */
import { lineEnd } from "./line-end";

export const enum EventPart {
  /** All input consumed. */
  NeedMore = 0,
  /** [`ptr`, `ptr + length`) is more data of the open event; `fresh` when it is the first of it. */
  Data = 1,
  /** No event is open up to `at`. `whole`: one with data has just ended there. Comments are no events. */
  Between = 2,
}

const LF: u8 = 0x0a;
const CR: u8 = 0x0d;
const COLON: u8 = 0x3a;
/** Between two lines of data. */
const JOINT: StaticArray<u8> = [LF];
/** Little-endian: the field's name; a byte order mark, which may stand in front of the first. */
const DATA: u32 = 0x61746164;
const MARK: u32 = 0x00bfbbef;

const enum Line {
  Start,
  Name,
  /** Behind the colon of data, where one space may stand. */
  Space,
  Data,
  Ignored,
}

@final
export class EventLines {
  /** Of the input: what comes next. */
  at: usize = 0;
  ptr: usize = 0;
  length: i32 = 0;
  fresh: bool = false;
  whole: bool = false;

  private end: usize = 0;
  private line: Line = Line.Start;
  private name: u32 = 0;
  private nameLength: i32 = 0;
  private atMark: bool = true;
  /** The input before ended in a CR, so an LF belongs to it. */
  private behindCr: bool = false;
  /** A field of the event has begun; there was data in it. */
  private open: bool = false;
  private hasData: bool = false;
  /** The next piece of data is the first of its line. */
  private joint: bool = false;

  /** Ready for another stream. */
  reset(): void {
    this.line = Line.Start;
    this.atMark = true;
    this.open = false;
    this.hasData = false;
    this.joint = false;
    this.behindCr = false;
    this.at = 0;
    this.end = 0;
  }

  /** Sets [from, from + length), which continues the stream, as input of `next`. The input before must be used up. */
  feed(from: usize, length: i32): void {
    this.at = from;
    this.end = from + <usize>length;
  }

  /** Goes on to the next part. O(input), no allocation. */
  next(): EventPart {
    while (this.at < this.end) {
      let part = EventPart.NeedMore;
      switch (this.line) {
        case Line.Start:
          part = this.beginLine();
          break;
        case Line.Name:
          part = this.readName();
          break;
        case Line.Space:
          if (load<u8>(this.at) == 0x20) this.at++;
          this.line = Line.Data;
          break;
        case Line.Data:
          part = this.readData();
          break;
        default: {
          const stop = lineEnd(this.at, this.end);
          this.at = stop;
          if (stop < this.end) part = this.endLine();
        }
      }
      if (part != EventPart.NeedMore) return part;
    }
    return EventPart.NeedMore;
  }

  private beginLine(): EventPart {
    const byte = load<u8>(this.at);
    if (this.behindCr) {
      this.behindCr = false;
      if (byte == LF) {
        this.at++;
        return this.open ? EventPart.NeedMore : this.between(false);
      }
    }
    if (byte == LF || byte == CR) {
      const whole = this.hasData;
      this.open = false;
      this.hasData = false;
      this.endLine();
      return this.between(whole);
    }
    this.name = 0;
    this.nameLength = 0;
    this.line = byte == COLON ? Line.Ignored : Line.Name;
    if (byte != COLON) this.open = true;
    return EventPart.NeedMore;
  }

  private readName(): EventPart {
    const byte = load<u8>(this.at);
    if (byte == LF || byte == CR) {
      this.line = Line.Ignored;
    } else if (byte == COLON) {
      const data = this.name == DATA;
      this.line = data ? Line.Space : Line.Ignored;
      this.joint = data;
      this.at++;
    } else if (this.nameLength == 4) {
      this.line = Line.Ignored;
    } else {
      this.name |= (<u32>byte) << (<u32>this.nameLength * 8);
      this.nameLength++;
      this.at++;
      if (this.atMark && this.nameLength == 3 && this.name == MARK) {
        // The mark belongs to no line.
        this.line = Line.Start;
        this.open = false;
        this.atMark = false;
        return this.between(false);
      }
    }
    return EventPart.NeedMore;
  }

  private readData(): EventPart {
    if (this.joint && this.hasData) {
      this.joint = false;
      return this.give(changetype<usize>(JOINT), 1);
    }
    this.joint = false;
    const from = this.at;
    const stop = lineEnd(from, this.end);
    this.at = stop;
    if (stop > from) return this.give(from, <i32>(stop - from));
    return this.endLine();
  }

  private give(ptr: usize, length: i32): EventPart {
    this.ptr = ptr;
    this.length = length;
    this.fresh = !this.hasData;
    this.hasData = true;
    return EventPart.Data;
  }

  private between(whole: bool): EventPart {
    this.whole = whole;
    return EventPart.Between;
  }

  /** Consumes the line end at `at`. Behind a comment there may be no event open. */
  private endLine(): EventPart {
    this.line = Line.Start;
    this.atMark = false;
    const byte = load<u8>(this.at++);
    if (byte == CR) {
      if (this.at == this.end) this.behindCr = true;
      else if (load<u8>(this.at) == LF) this.at++;
    }
    return this.open ? EventPart.NeedMore : this.between(false);
  }
}
