/**
 * Takes a stream of Server-Sent Events apart where it lies, for a judge: pieces of data, ends of events, and whatever does not belong into a stream of an LLM API.
 *
 * `EventLines` passes by what it does not know, as clients do. Here a line that is no field is a sign that something else was written into the stream, such as the
 * error page of a proxy, and so are two `data` lines in one event: no LLM API writes them. State is a few words. Reference: WHATWG HTML, section 9.2.6.
 */
import { lineEnd } from "./line-end";

export const enum LinePart {
  /** All input consumed. */
  NeedMore = 0,
  /** [`ptr`, `ptr + length`) is more data of the open event. */
  Data = 1,
  /** A blank line behind at least one field: see `hasData`, `named`, `failed`. */
  End = 2,
}

const LF: u8 = 0x0a;
const CR: u8 = 0x0d;
const COLON: u8 = 0x3a;
/** Little-endian. */
const DATA: u64 = 0x61746164;
const EVENT: u64 = 0x746e657665;
const RETRY: u64 = 0x7972746572;
const ID: u64 = 0x6469;
const MARK: u64 = 0xbfbbef;
/** Length of the longest of them. */
const MAX_NAME: i32 = 5;
const ERROR: StaticArray<u8> = [0x65, 0x72, 0x72, 0x6f, 0x72];

const enum Line {
  Start,
  Name,
  /** Behind the colon, where one space may stand. */
  Space,
  Value,
}

const enum Field {
  Ignored,
  Data,
  Event,
}

@final
export class AnswerLines {
  ptr: usize = 0;
  length: i32 = 0;
  /** It is the whole line of data: the first of the event, and its last, unless another line is `foreign`. */
  whole: bool = false;
  /** Of the event: there was a `data` field; an `event` field; the last of those says `error`. */
  hasData: bool = false;
  named: bool = false;
  /** Of the whole stream so far: something that does not belong there. */
  foreign: bool = false;

  private at: usize = 0;
  private end: usize = 0;
  private line: Line = Line.Start;
  private field: Field = Field.Ignored;
  private name: u64 = 0;
  private nameLength: i32 = 0;
  /** Bytes of `error` so far, -1 when it is something else. */
  private matched: i32 = -1;
  /** Nothing of the value has come. */
  private fresh: bool = true;
  private open: bool = false;
  private ended: bool = false;
  private atMark: bool = true;
  private behindCr: bool = false;

  /** Ready for another stream. */
  reset(): void {
    this.foreign = false;
    this.line = Line.Start;
    this.behindCr = false;
    this.atMark = true;
    this.forget();
  }

  get failed(): bool {
    return this.matched == ERROR.length;
  }

  /** The stream may end here: no line and no event is open. */
  get idle(): bool {
    return this.line == Line.Start && (this.ended || !this.open);
  }

  /** Sets [from, from + length), which continues the stream, as input of `next`. The input before must be used up. */
  feed(from: usize, length: i32): void {
    this.at = from;
    this.end = from + <usize>length;
  }

  /** Goes on to the next part. O(input), no allocation. */
  next(): LinePart {
    if (this.ended) this.forget();
    while (this.at < this.end) {
      switch (this.line) {
        case Line.Start: {
          if (this.startLine()) return LinePart.End;
          break;
        }
        case Line.Name: {
          this.readName();
          break;
        }
        case Line.Space: {
          if (load<u8>(this.at) == 0x20) this.at++;
          this.line = Line.Value;
          break;
        }
        default: {
          const from = this.at;
          const stop = lineEnd(from, this.end);
          this.at = stop;
          if (stop < this.end) this.endLine();
          if (this.field == Field.Data && stop > from) {
            this.ptr = from;
            this.length = <i32>(stop - from);
            this.whole = this.fresh && stop < this.end;
            this.fresh = false;
            return LinePart.Data;
          }
          if (this.field == Field.Event) this.match(from, stop);
        }
      }
    }
    return LinePart.NeedMore;
  }

  private forget(): void {
    this.ended = false;
    this.open = false;
    this.hasData = false;
    this.named = false;
    this.matched = -1;
  }

  /** True when an event ends here. */
  private startLine(): bool {
    const byte = load<u8>(this.at);
    if (this.behindCr) {
      this.behindCr = false;
      if (byte == LF) {
        this.at++;
        return false;
      }
    }
    if (byte == LF || byte == CR) {
      this.endLine();
      this.ended = this.open;
      return this.ended;
    }
    if (this.at + 5 <= this.end && load<u32>(this.at) == <u32>DATA && load<u8>(this.at, 4) == COLON) {
      this.at += 5;
      this.name = DATA;
      this.nameLength = 4;
      this.openField();
      this.line = Line.Space;
    } else {
      this.name = 0;
      this.nameLength = 0;
      this.line = Line.Name;
    }
    return false;
  }

  private readName(): void {
    const byte = load<u8>(this.at);
    if (byte == COLON || byte == LF || byte == CR) {
      this.openField();
      this.line = Line.Value;
      if (byte == COLON) {
        this.at++;
        this.line = Line.Space;
      }
    } else if (this.nameLength == MAX_NAME) {
      this.foreign = true;
      this.field = Field.Ignored;
      this.line = Line.Value;
    } else {
      this.name |= (<u64>byte) << (<u64>this.nameLength * 8);
      this.nameLength++;
      this.at++;
      if (this.atMark && this.nameLength == 3 && this.name == MARK) {
        // The mark belongs to no line.
        this.atMark = false;
        this.line = Line.Start;
      }
    }
  }

  /** The field's name is complete. */
  private openField(): void {
    this.field = Field.Ignored;
    this.fresh = true;
    if (this.nameLength == 0) return;
    this.open = true;
    if (this.nameLength == 4 && this.name == DATA) {
      if (this.hasData) this.foreign = true;
      this.hasData = true;
      this.field = Field.Data;
    } else if (this.nameLength == 5 && this.name == EVENT) {
      this.named = true;
      this.matched = 0;
      this.field = Field.Event;
    } else if (!(this.nameLength == 2 && this.name == ID) && !(this.nameLength == 5 && this.name == RETRY)) {
      this.foreign = true;
    }
  }

  private match(at: usize, stop: usize): void {
    while (at < stop && this.matched >= 0) {
      const next = this.matched;
      this.matched = next < ERROR.length && load<u8>(at) == unchecked(ERROR[next]) ? next + 1 : -1;
      at++;
    }
  }

  /** Consumes the line end at `at`. */
  private endLine(): void {
    this.line = Line.Start;
    this.atMark = false;
    const byte = load<u8>(this.at++);
    if (byte != CR) return;
    if (this.at == this.end) this.behindCr = true;
    else if (load<u8>(this.at) == LF) this.at++;
  }
}
