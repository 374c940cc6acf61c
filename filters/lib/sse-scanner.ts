/**
 * Streaming scanner for Server-Sent Events: hands out one event at a time from bytes that arrive in pieces, cut anywhere.
 *
 * The common event of an LLM stream, one `data` line that lies wholly in the current piece, is a view into that piece: nothing is copied. What crosses the
 * border of a piece or has several `data` lines is put together in a buffer of fixed size. Lines nobody needs (comments, unknown fields) are never
 * stored, so they may be of any length. Which events are found, and which are too large, does not depend on where the pieces are cut.
 *
 * Reference: WHATWG HTML, section 9.2.6 "Interpreting an event stream", with two differences: text stays bytes (UTF-8 is not decoded, so wrong
 * UTF-8 is handed out as it came), and sizes are bounded (an event above a bound is skipped and reported as `TooLarge`).
 */
import { BorrowedBytes } from "./borrowed-bytes";
import { lineEnd } from "./line-end";
import { SseId, SseRetry } from "./sse-fields";

export const enum SseStatus {
  /** All input consumed, no further event is complete. */
  NeedMore = 0,
  /** An event is complete: see `dataPtr` and the like; feed the rest from `consumed` to go on. */
  Event = 1,
  /** An event ended whose data, `event` or `id` is above its bound; its data is not there. Go on as with `Event`. */
  TooLarge = 2,
}

/** Longest `event` field. */
const MAX_SSE_TYPE: i32 = 256;
/** Most bytes of data in an event, unless the constructor says otherwise. */
const SSE_DATA_LIMIT: i32 = 65536;

const LF: u8 = 0x0a;
const CR: u8 = 0x0d;
const COLON: u8 = 0x3a;

/** Between two lines of data. */
const JOINT: StaticArray<u8> = [LF];

/** Field names, little-endian. */
const DATA: u32 = 0x61746164;
const EVENT: u64 = 0x746e657665;
const RETRY: u64 = 0x7972746572;
const ID: u64 = 0x6469;
/** Length of the longest of them. */
const MAX_NAME: i32 = 5;
/** `[DONE]`, little-endian: the first four bytes, the other two. */
const DONE_HEAD: u32 = 0x4e4f445b;
const DONE_TAIL: u16 = 0x5d45;

const enum Field {
  Ignored,
  Data,
  Event,
  Id,
  Retry,
}

const enum State {
  /** At the first byte of the stream, or inside its byte order mark. */
  Start,
  /** At the first byte of a line. */
  Line,
  /** Inside a field's name. */
  Name,
  /** Behind the colon, where one space may stand. */
  Space,
  Value,
}

@final
export class SseScanner {
  /** The last `id` and `retry` of the stream so far; they stay until others come. */
  readonly id: SseId = new SseId();
  readonly retry: SseRetry = new SseRetry();
  /** Bytes consumed of the whole stream so far. */
  consumed: u64 = 0;

  private readonly data: BorrowedBytes;
  private readonly type: BorrowedBytes = new BorrowedBytes(MAX_SSE_TYPE);
  private hasData: bool = false;
  /** `data` and `type` show an event that the next `feed` forgets. */
  private dispatched: bool = false;

  private state: State = State.Start;
  /** Bytes of the byte order mark, or of the field's name, so far. */
  private matched: i32 = 0;
  private name: u64 = 0;
  private field: Field = Field.Ignored;
  /** Next comes the first piece of the value. */
  private first: bool = false;
  /** The piece before ended in a CR, so an LF belongs to it. */
  private behindCr: bool = false;

  /** `limit`: most bytes of data in an event; they are reserved here. */
  constructor(limit: i32 = SSE_DATA_LIMIT) {
    this.data = new BorrowedBytes(limit);
  }

  /** Data of the event, lines joined by LF. Valid until the next `feed`, and no longer than the piece that was fed. */
  get dataPtr(): usize {
    return this.data.ptr;
  }

  get dataLength(): i32 {
    return this.data.length;
  }

  /** Its `event` field; length 0 means "message". Valid as long as the data. */
  get eventPtr(): usize {
    return this.type.ptr;
  }

  get eventLength(): i32 {
    return this.type.length;
  }

  /** Ready for a new stream. */
  reset(): void {
    this.clear();
    this.id.clear();
    this.retry.clear();
    this.state = State.Start;
    this.matched = 0;
    this.behindCr = false;
    this.consumed = 0;
  }

  /** The event is the `[DONE]` that ends a stream of OpenAI's. Its beginning decides, as in the official clients: no JSON begins like this. */
  isDone(): bool {
    return this.dataLength >= 6 && load<u32>(this.dataPtr) == DONE_HEAD && load<u16>(this.dataPtr, 4) == DONE_TAIL;
  }

  /**
   * Consumes bytes [from, from + length), which continue the stream. Stops behind each event; the caller goes on behind
   * `consumed`. When the piece ends between the CR and the LF of a blank line, the event is handed out at the CR and the LF is consumed with the next piece.
   * O(length), no allocation.
   */
  feed(from: usize, length: i32): SseStatus {
    if (this.dispatched) this.clear();
    let at = from;
    const end = from + <usize>length;
    while (at < end) {
      switch (this.state) {
        case State.Value: {
          const stop = lineEnd(at, end);
          this.take(at, <i32>(stop - at), stop < end);
          at = stop < end ? this.endLine(stop, end) : end;
          break;
        }
        case State.Line: {
          const byte = load<u8>(at);
          if (this.behindCr) {
            this.behindCr = false;
            if (byte == LF) {
              at++;
              break;
            }
          }
          if (byte == LF || byte == CR) {
            at = this.endLine(at, end);
            const status = this.dispatch();
            if (status != SseStatus.NeedMore) {
              this.consumed += <u64>(at - from);
              return status;
            }
          } else if (at + 5 <= end && load<u32>(at) == DATA && load<u8>(at, 4) == COLON) {
            this.open(Field.Data, State.Space);
            at += 5;
          } else {
            this.matched = 0;
            this.name = 0;
            this.state = State.Name;
          }
          break;
        }
        case State.Name: {
          const byte = load<u8>(at);
          if (byte == LF || byte == CR) {
            this.open(this.fieldOfName(), State.Value);
          } else if (byte == COLON) {
            this.open(this.fieldOfName(), State.Space);
            at++;
          } else if (this.matched == MAX_NAME) {
            this.open(Field.Ignored, State.Value);
          } else {
            this.name |= (<u64>byte) << (<u64>this.matched * 8);
            this.matched++;
            at++;
          }
          break;
        }
        case State.Space: {
          if (load<u8>(at) == 0x20) at++;
          this.state = State.Value;
          break;
        }
        case State.Start: {
          const expected: u8 = this.matched == 0 ? 0xef : this.matched == 1 ? 0xbb : 0xbf;
          if (load<u8>(at) == expected) {
            at++;
            this.matched++;
            if (this.matched == 3) this.state = State.Line;
          } else if (this.matched == 0) {
            this.state = State.Line;
          } else {
            // Half a mark is the beginning of an unknown field.
            this.open(Field.Ignored, State.Value);
          }
          break;
        }
      }
    }
    this.consumed += <u64>(at - from);
    this.data.keep();
    this.type.keep();
    return SseStatus.NeedMore;
  }

  private clear(): void {
    this.data.clear();
    this.type.clear();
    this.id.tooLarge = false;
    this.hasData = false;
    this.dispatched = false;
  }

  /** A blank line. Without a `data` line there is no event. */
  private dispatch(): SseStatus {
    if (!this.hasData) {
      this.clear();
      return SseStatus.NeedMore;
    }
    this.dispatched = true;
    if (!this.data.tooLarge && !this.type.tooLarge && !this.id.tooLarge) return SseStatus.Event;
    this.data.clear();
    if (this.type.tooLarge) this.type.clear();
    return SseStatus.TooLarge;
  }

  /** Consumes the line end at `at`. */
  private endLine(at: usize, end: usize): usize {
    this.state = State.Line;
    if (load<u8>(at++) == LF) return at;
    if (at < end) return load<u8>(at) == LF ? at + 1 : at;
    this.behindCr = true;
    return at;
  }

  private fieldOfName(): Field {
    if (this.matched == 4) return this.name == DATA ? Field.Data : Field.Ignored;
    if (this.matched == 5) return this.name == EVENT ? Field.Event : this.name == RETRY ? Field.Retry : Field.Ignored;
    return this.matched == 2 && this.name == ID ? Field.Id : Field.Ignored;
  }

  private open(field: Field, state: State): void {
    this.field = field;
    this.state = state;
    this.first = true;
  }

  /** A piece of the current value; `whole`: its line ends here. */
  private take(from: usize, size: i32, whole: bool): void {
    const first = this.first;
    this.first = false;
    if (this.field == Field.Data) {
      if (!first) {
        this.data.append(from, size);
      } else if (this.hasData) {
        this.data.append(changetype<usize>(JOINT), 1);
        this.data.append(from, size);
      } else {
        this.hasData = true;
        this.data.borrow(from, size);
      }
    } else if (this.field == Field.Event) {
      if (first) this.type.borrow(from, size);
      else this.type.append(from, size);
    } else if (this.field == Field.Id) {
      this.id.take(from, size, first, whole);
    } else if (this.field == Field.Retry) {
      this.retry.take(from, size, first, whole);
    }
  }
}
