/**
 * Finds the field `model` of a multipart/form-data body while it streams by: transcriptions, image edits and the like send it beside a file.
 *
 * One pass, constant memory, resumable at any byte, no allocation, never throws. Files are hopped over (`PartDelimiter`). It accepts what form encoders write; where
 * parsers disagree (see there and in `PartHeader`) the body is invalid, because a field that only one of two sees would be a way around the routes.
 *
 * References: RFC 7578, RFC 2046 section 5.1.
 */
import { HeaderParameters, sameWord } from "./header-parameters";
import { MAX_VALUE, ScanStatus } from "./json-scanner";
import { MAX_BOUNDARY, PartDelimiter } from "./part-delimiter";
import { PartField, PartHeader, PartStatus } from "./part-header";
import { Flag } from "./request-field";
import { Utf8Check } from "./utf8-check";

const CR: u8 = 0x0d;
const LF: u8 = 0x0a;
const DASH: u8 = 0x2d;

/** Room for `false` and one byte more. */
const MAX_FLAG: i32 = 6;

const enum State {
  /** Before the first delimiter. */
  Preamble,
  /** Behind `--boundary`: the rest of its line. */
  Delimiter,
  Padding,
  DelimiterLf,
  /** Behind `--boundary-`. */
  Closing,
  Header,
  Content,
  /** Behind `--boundary--`, on its line. */
  Closed,
  Epilogue,
  Failed,
}

@final
export class MultipartModel {
  /** Fields named `model`. More than one can be read in more than one way: callers refuse them. */
  count: i32 = 0;
  /** The raw value in the body, of the last one: [start, end). What stands there can be replaced by any bytes without line breaks. */
  start: u32 = 0;
  end: u32 = 0;
  /** The value: `length` bytes, at most `MAX_VALUE`. Nothing in it is encoded. */
  readonly value: usize = heap.alloc(MAX_VALUE);
  length: i32 = 0;
  /** The value is longer than `MAX_VALUE` bytes; the rest is not in `value`. */
  truncated: bool = false;
  /** The value is not UTF-8. */
  malformed: bool = false;
  /** Last field named `stream`; an answer in pieces is asked for. */
  stream: Flag = Flag.Absent;
  /** Bytes consumed of the whole body so far. */
  consumed: u32 = 0;

  private state: State = State.Failed;
  private contentStart: u32 = 0;
  private captured: i32 = 0;
  private readonly flag: usize = heap.alloc(MAX_FLAG);
  private readonly utf8: Utf8Check = new Utf8Check();
  private readonly delimiter: PartDelimiter = new PartDelimiter();
  private readonly header: PartHeader = new PartHeader();
  private readonly parameters: HeaderParameters = new HeaderParameters();

  /**
   * Ready for a new body. False when its Content-Type, `length` bytes at `contentType`, is not multipart/form-data with one boundary of 1 to 70 characters of RFC 2046;
   * such a body is `Invalid`.
   */
  begin(contentType: usize, length: i32): bool {
    this.count = 0;
    this.start = 0;
    this.end = 0;
    this.length = 0;
    this.truncated = false;
    this.malformed = false;
    this.stream = Flag.Absent;
    this.consumed = 0;
    this.state = this.findBoundary(contentType, length) ? State.Preamble : State.Failed;
    return this.state != State.Failed;
  }

  /**
   * Consumes the next `length` bytes. `Complete` behind the closing delimiter, after which only an epilogue may follow; `Invalid` is final. O(length); what a file costs is
   * said in `PartDelimiter`.
   */
  feed(from: usize, length: i32): ScanStatus {
    let at = from;
    const end = from + <usize>length;
    while (at < end && this.state != State.Failed) {
      switch (this.state) {
        case State.Preamble:
        case State.Content:
        case State.Epilogue: {
          const stop = this.delimiter.find(at, end);
          if (this.state == State.Content) this.capture(at, <i32>(stop - at));
          at = stop;
          if (this.delimiter.found) this.endContent(this.consumed + <u32>(at - from));
          break;
        }
        case State.Header: {
          const status = this.header.push(load<u8>(at++));
          if (status == PartStatus.Invalid) this.state = State.Failed;
          else if (status == PartStatus.Complete) this.beginContent(this.consumed + <u32>(at - from));
          break;
        }
        default:
          this.state = this.afterDelimiter(load<u8>(at++));
      }
    }
    this.consumed += <u32>(at - from);
    if (this.state == State.Failed) return ScanStatus.Invalid;
    return this.state == State.Closed || this.state == State.Epilogue ? ScanStatus.Complete : ScanStatus.NeedMore;
  }

  /** One byte of a delimiter's line, behind the boundary. Anything else would be a delimiter for some parsers and content for others. */
  private afterDelimiter(byte: u8): State {
    const space = byte == 0x20 || byte == 0x09;
    switch (this.state) {
      case State.Delimiter:
      case State.Padding:
        if (byte == DASH && this.state == State.Delimiter) return State.Closing;
        if (space) return State.Padding;
        return byte == CR ? State.DelimiterLf : State.Failed;
      case State.DelimiterLf:
        this.header.begin();
        return byte == LF ? State.Header : State.Failed;
      case State.Closing:
        return byte == DASH ? State.Closed : State.Failed;
      default:
        if (space) return State.Closed;
        this.delimiter.restart();
        return byte == CR || byte == LF ? State.Epilogue : State.Failed;
    }
  }

  private beginContent(offset: u32): void {
    this.state = State.Content;
    this.contentStart = offset;
    this.captured = 0;
    this.delimiter.restart();
  }

  /** The delimiter that ends before `offset` was found. */
  private endContent(offset: u32): void {
    const state = this.state;
    this.state = this.delimiter.clean && state != State.Epilogue ? State.Delimiter : State.Failed;
    if (state != State.Content || this.state == State.Failed) return;
    // The line break before a delimiter belongs to it.
    const end = offset - <u32>this.delimiter.length - 2;
    const length = end - this.contentStart;
    if (this.header.field == PartField.Model) {
      this.count++;
      this.start = this.contentStart;
      this.end = end;
      this.truncated = length > <u32>MAX_VALUE;
      this.length = this.truncated ? MAX_VALUE : <i32>length;
      this.utf8.reset();
      this.utf8.feed(this.value, this.length);
      this.malformed = !this.truncated && !this.utf8.complete;
    } else if (this.header.field == PartField.Stream) {
      this.stream = flagOf(this.flag, <i32>min(length, <u32>MAX_FLAG));
    }
  }

  /** Keeps the beginning of a wanted value. What belongs to the delimiter behind it may come along; `endContent` knows where the value ends. */
  private capture(from: usize, size: i32): void {
    const model = this.header.field == PartField.Model;
    if (!model && this.header.field != PartField.Stream) return;
    const room = (model ? MAX_VALUE : MAX_FLAG) - this.captured;
    const taken = min(room, size);
    memory.copy((model ? this.value : this.flag) + <usize>this.captured, from, taken);
    this.captured += taken;
  }

  private findBoundary(contentType: usize, length: i32): bool {
    const parameters = this.parameters;
    parameters.open(contentType, length);
    if (!parameters.wordIs("multipart/form-data")) return false;
    let boundaries = 0;
    while (parameters.next()) {
      if (parameters.wordIs("boundary")) {
        boundaries++;
        if (!isBoundary(parameters.value, parameters.length)) return false;
        this.delimiter.begin(parameters.value, parameters.length);
      } else if (parameters.wordStartsWith("boundary*")) {
        return false;
      }
    }
    return boundaries == 1 && !parameters.failed;
  }
}

/** `true` and `false` in any case, as the form encoders of dynamic languages write them. */
function flagOf(text: usize, length: i32): Flag {
  if (sameWord(text, length, "true")) return Flag.True;
  return sameWord(text, length, "false") ? Flag.False : Flag.Other;
}

/** Characters of RFC 2046; a blank may not be the last. */
function isBoundary(text: usize, length: i32): bool {
  if (length == 0 || length > MAX_BOUNDARY || load<u8>(text + <usize>length - 1) == 0x20) return false;
  for (let i = 0; i < length; i++) {
    const byte = load<u8>(text + <usize>i);
    if (byte - 48 < 10 || (byte | 0x20) - 97 < 26) continue;
    // ' ( ) + _ , - . / : = ? and the blank
    const known =
      (byte >= 0x27 && byte <= 0x2f && byte != 0x2a) || byte == 0x3a || byte == 0x3d || byte == 0x3f || byte == 0x5f || byte == 0x20;
    if (!known) return false;
  }
  return true;
}
