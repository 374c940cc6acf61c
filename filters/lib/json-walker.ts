/**
 * Walks a JSON object that arrives in pieces and shows the members a caller is interested in, at any level.
 *
 * A pull parser with a way to say no: `next` returns `Begin` for every value of an entered object or array, and the caller answers by entering it, capturing
 * it, asking for its end, or by nothing at all, which skips it. Cost follows what is wanted: a skipped value is one loop over its bytes (`json-skip`, `text-skip`).
 * State is a few words and a path of at most `MAX_ENTERED` tags; input may be cut at any byte; it never allocates and never throws.
 *
 * What it vouches for: entered objects and arrays are JSON grammar exactly; in skipped ones strings and brackets are matched exactly, so that nothing inside
 * can pass for a wanted key. What it leaves to the upstream: other grammar inside skipped values, the spelling of scalars, UTF-8. Reference: RFC 8259.
 */
import { EnteredPath } from "./entered-path";
import { isScalar, JsonCapture, sameText } from "./json-capture";
import { JsonKind, MAX_KEY } from "./json-scanner";
import { BracketStack, NestedSkip, SkipStatus } from "./json-skip";
import { TextStatus } from "./json-text";
import { TextSkip } from "./text-skip";
import { ROOT, WalkEvent } from "./walk-event";

const enum State {
  Start,
  FirstKey,
  Key,
  InKey,
  Colon,
  FirstElement,
  Value,
  Text,
  Captured,
  Scalar,
  Nested,
  AfterValue,
  End,
  Failed,
}

@final
export class JsonWalker {
  /** Longest document. */
  maxBytes: u32 = 1 << 30;
  /** Offset behind the opening brace: where a member can be put in front of the others. */
  firstMember: u32 = 0;

  /** At `Begin`: tag of the entered value around this one. */
  scope: i32 = ROOT;
  /** At `End`: tag of the value that is over. */
  tag: i32 = -1;
  kind: JsonKind = JsonKind.Absent;
  /** Raw token of the value, quotes included: [start, end), from the start of the document. */
  start: u32 = 0;
  end: u32 = 0;
  /** At `End` of a string that was not captured: its decoded size in UTF-8. Half a surrogate pair counts two. */
  textBytes: u32 = 0;
  /** At `End` of a captured value: how it went. */
  readonly text: JsonCapture = new JsonCapture();

  private state: State = State.Start;
  private failure: WalkEvent = WalkEvent.Invalid;
  private at: usize = 0;
  private limit: usize = 0;
  /** Address that offset 0 of the document would have. */
  private base: usize = 0;
  private cut: bool = false;
  private bom: i32 = 0;
  private readonly brackets: BracketStack = new BracketStack();
  private readonly path: EnteredPath = new EnteredPath();
  private readonly key: usize = heap.alloc(MAX_KEY);
  /** -1 in arrays and for keys that are too long. */
  private keyLength: i32 = -1;
  private readonly skipped: TextSkip = new TextSkip();
  private readonly nested: NestedSkip = new NestedSkip(this.brackets);
  private capturing: bool = false;

  /** Bytes consumed of the whole document so far. */
  get consumed(): u32 {
    return <u32>(this.at - this.base);
  }

  /** Ready for a new document. */
  reset(): void {
    this.state = State.Start;
    this.at = 0;
    this.limit = 0;
    this.base = 0;
    this.cut = false;
    this.bom = 0;
    this.brackets.depth = 0;
    this.path.depth = 0;
    this.firstMember = 0;
  }

  /** Sets bytes [from, from + length), which continue the document, as input of `next`. The input before must be used up. */
  feed(from: usize, length: i32): void {
    const before = this.consumed;
    const left = this.maxBytes - before;
    this.cut = <u32>length > left;
    this.at = from;
    this.limit = from + (this.cut ? <usize>left : <usize>length);
    this.base = from - <usize>before;
  }

  /** Goes on to the next event, or to the end of the input. O(input), no allocation. */
  next(): WalkEvent {
    while (this.at < this.limit) {
      let event = WalkEvent.NeedMore;
      switch (this.state) {
        case State.Text:
          this.at = this.skipped.feed(this.at, this.limit);
          if (this.skipped.closed) event = this.finish();
          break;
        case State.Nested:
          this.at = this.nested.feed(this.at, this.limit);
          if (this.nested.status == SkipStatus.Closed) event = this.finish();
          else if (this.nested.status == SkipStatus.Invalid) event = this.fail(WalkEvent.Invalid);
          else if (this.nested.status == SkipStatus.Limit) event = this.fail(WalkEvent.Limit);
          break;
        case State.InKey:
        case State.Captured:
          event = this.decode();
          break;
        case State.Scalar:
          event = this.scalar();
          break;
        case State.Failed:
          return this.failure;
        default: {
          const byte = load<u8>(this.at);
          if (byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09) this.at++;
          else event = this.structural(byte);
        }
      }
      if (event != WalkEvent.NeedMore) return event;
    }
    if (this.state == State.Failed) return this.failure;
    if (this.cut) return this.fail(WalkEvent.Limit);
    return this.state == State.End ? WalkEvent.Complete : WalkEvent.NeedMore;
  }

  /** Shows the members of the object or array that just began; they have `tag` as `scope`. A scalar has none and is skipped, as is what is too deep. */
  enter(tag: i32): void {
    this.tag = tag;
    if (this.state != State.Nested || !this.path.push(tag, this.start)) return;
    this.state = this.kind == JsonKind.Array ? State.FirstElement : State.FirstKey;
  }

  /** Copies the scalar that just began, a string decoded; at most `capacity` bytes. */
  capture(tag: i32, buffer: usize, capacity: i32): void {
    this.tag = tag;
    this.capturing = true;
    this.text.begin(buffer, capacity);
    if (this.state == State.Text) this.state = State.Captured;
  }

  /** Asks for the end of the value that just began, without looking into it. */
  skip(tag: i32): void {
    this.tag = tag;
  }

  /** Whether the current value is the member with this name, which is ASCII. */
  keyIs(name: string): bool {
    return this.keyLength == name.length && sameText(name, this.key);
  }

  /** Decoded name of the current member, `nameLength` bytes; -1 in arrays, and when it is longer than `MAX_KEY`. Until the next event. */
  get name(): usize {
    return this.key;
  }

  get nameLength(): i32 {
    return this.keyLength;
  }

  /** Outside of strings, scalars and skipped values: one byte of grammar. */
  private structural(byte: u8): WalkEvent {
    switch (this.state) {
      case State.Start: {
        if (byte != 0x7b || (this.bom != 0 && this.bom != 3)) return this.byteOrderMark(byte);
        this.at++;
        this.firstMember = this.consumed;
        this.brackets.push(byte);
        this.kind = JsonKind.Object;
        this.state = State.Nested;
        this.enter(ROOT);
        return WalkEvent.NeedMore;
      }
      case State.FirstKey:
        return byte == 0x7d ? this.close(byte) : this.openKey(byte);
      case State.Key:
        return this.openKey(byte);
      case State.Colon: {
        if (byte != 0x3a) return this.fail(WalkEvent.Invalid);
        this.at++;
        this.state = State.Value;
        return WalkEvent.NeedMore;
      }
      case State.FirstElement:
        return byte == 0x5d ? this.close(byte) : this.openValue(byte);
      case State.Value:
        return this.openValue(byte);
      case State.AfterValue: {
        if (byte == 0x7d || byte == 0x5d) return this.close(byte);
        if (byte != 0x2c) return this.fail(WalkEvent.Invalid);
        this.at++;
        this.state = this.brackets.array ? State.Value : State.Key;
        return WalkEvent.NeedMore;
      }
      default:
        // Something behind the document.
        return this.fail(WalkEvent.Invalid);
    }
  }

  /** UTF-8 byte order mark: not JSON by the letter, yet sent by some clients and taken by some servers. Only at offset 0. */
  private byteOrderMark(byte: u8): WalkEvent {
    const expected: u8 = this.bom == 0 ? 0xef : this.bom == 1 ? 0xbb : 0xbf;
    if (this.bom > 2 || this.consumed != <u32>this.bom || byte != expected) return this.fail(WalkEvent.Invalid);
    this.bom++;
    this.at++;
    return WalkEvent.NeedMore;
  }

  private openKey(byte: u8): WalkEvent {
    if (byte != 0x22) return this.fail(WalkEvent.Invalid);
    this.at++;
    this.text.begin(this.key, MAX_KEY);
    this.state = State.InKey;
    return WalkEvent.NeedMore;
  }

  private openValue(byte: u8): WalkEvent {
    this.start = this.consumed;
    this.scope = this.path.tag;
    this.tag = -1;
    this.capturing = false;
    if (this.brackets.array) this.keyLength = -1;
    if (byte == 0x22) {
      this.kind = JsonKind.String;
      this.state = State.Text;
      this.skipped.begin();
      this.at++;
    } else if (byte == 0x7b || byte == 0x5b) {
      if (!this.brackets.push(byte)) return this.fail(WalkEvent.Limit);
      this.kind = byte == 0x5b ? JsonKind.Array : JsonKind.Object;
      this.state = State.Nested;
      this.nested.begin();
      this.at++;
    } else if (byte == 0x2d || byte - 48 < 10) {
      this.kind = JsonKind.Number;
      this.state = State.Scalar;
    } else if (byte == 0x74 || byte == 0x66 || byte == 0x6e) {
      this.kind = JsonKind.Literal;
      this.state = State.Scalar;
    } else {
      return this.fail(WalkEvent.Invalid);
    }
    return WalkEvent.Begin;
  }

  /** The bracket that ends the innermost entered value. */
  private close(bracket: u8): WalkEvent {
    if (!this.brackets.pop(bracket)) return this.fail(WalkEvent.Invalid);
    this.at++;
    this.kind = bracket == 0x5d ? JsonKind.Array : JsonKind.Object;
    this.tag = this.path.tag;
    this.start = this.path.start;
    this.path.depth--;
    if (this.path.depth > 0) return this.finish();
    this.state = State.End;
    return WalkEvent.NeedMore;
  }

  /** The current value ends right before `at`. */
  private finish(): WalkEvent {
    this.end = this.consumed;
    if (this.kind == JsonKind.String) this.textBytes = this.end - this.start - 2 - this.skipped.excess;
    this.state = State.AfterValue;
    return this.tag >= 0 ? WalkEvent.End : WalkEvent.NeedMore;
  }

  /** Inside a number or literal. */
  private scalar(): WalkEvent {
    while (this.at < this.limit) {
      const byte = load<u8>(this.at);
      if (!isScalar(byte)) return this.finish();
      if (this.capturing) this.text.scalar(byte);
      this.at++;
    }
    return WalkEvent.NeedMore;
  }

  /** Inside a key or a captured string. */
  private decode(): WalkEvent {
    const text = this.text;
    this.at = text.string(this.at, this.limit);
    if (text.status == TextStatus.More) return WalkEvent.NeedMore;
    if (text.status == TextStatus.Invalid) return this.fail(WalkEvent.Invalid);
    if (this.state == State.Captured) return this.finish();
    this.keyLength = text.truncated ? -1 : text.length;
    this.state = State.Colon;
    return WalkEvent.NeedMore;
  }

  private fail(event: WalkEvent): WalkEvent {
    this.failure = event;
    this.state = State.Failed;
    return event;
  }
}
