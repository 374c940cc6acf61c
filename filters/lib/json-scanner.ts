/**
 * Streaming scanner for the top level of a JSON object.
 *
 * Finds the values of a few known top-level keys in a body that arrives in pieces, wherever they stand. It never builds a
 * document: state is a few words, input may be cut at any byte, and it never throws. A full parser would need the whole body as UTF-16 (twice
 * the memory, ten times the time) and ends the VM on bad input.
 *
 * What it vouches for: the top level is JSON grammar exactly; below, strings and brackets are matched exactly, and nothing that begins a comment or another
 * kind of string stands outside of strings (`json-skip`), so that nothing inside a value can pass for a top-level key, not even for a lenient parser. What it
 * leaves to the upstream: the rest of the grammar of nested values, and the spelling of numbers. UTF-8 is the caller's to check (`utf8-check`). So it accepts
 * every valid document (within the limits) and finds there what `JSON.parse` finds.
 *
 * Reference: RFC 8259. Duplicate keys: every value is reported in order, so the last one wins as in `JSON.parse`, and `count` tells.
 */
import { isScalar, JsonCapture } from "./json-capture";
import { BracketStack, NestedSkip, SkipStatus } from "./json-skip";
import { TextStatus } from "./json-text";
import { StringSkip } from "./string-end";

export const enum ScanStatus {
  /** All input consumed, the document is not complete. */
  NeedMore = 0,
  /** A wanted value is complete: see `field`; feed the rest from `consumed` to go on. */
  Found = 1,
  /** Not JSON; `consumed` is the offset of the first wrong byte. Final. */
  Invalid = 2,
  /** Deeper than `MAX_DEPTH`. Final. */
  Limit = 3,
  /** The document is complete; only white space may follow. */
  Complete = 4,
}

export const enum JsonKind {
  Absent = 0,
  String = 1,
  Number = 2,
  Literal = 3,
  Object = 4,
  Array = 5,
}

/** Longer keys cannot be wanted ones. */
export const MAX_KEY: i32 = 64;
/** Longest captured value, decoded bytes. A longer string is found with `truncated` set. */
export const MAX_VALUE: i32 = 256;

/** A wanted top-level key and its latest value. Offsets are bytes from the start of the document. */
@final
export class JsonField {
  kind: JsonKind = JsonKind.Absent;
  /** How many values this key had so far. */
  count: i32 = 0;
  /** Raw token, quotes included: [start, end). */
  start: u32 = 0;
  end: u32 = 0;
  /** Decoded bytes of a string; raw bytes of a number or literal. At most `MAX_VALUE`. */
  readonly value: usize = heap.alloc(MAX_VALUE);
  length: i32 = 0;
  truncated: bool = false;
  /** The value contained an escape for half a surrogate pair; it is captured as U+FFFD. */
  malformed: bool = false;

  constructor(
    readonly key: usize,
    readonly keyLength: i32,
  ) {}

  clear(): void {
    this.kind = JsonKind.Absent;
    this.count = 0;
    this.length = 0;
    this.truncated = false;
    this.malformed = false;
  }
}

const enum State {
  Start,
  FirstKey,
  Key,
  InKey,
  Colon,
  Value,
  InString,
  InScalar,
  Nested,
  SkippedString,
  AfterValue,
  End,
  Failed,
}

@final
export class JsonScanner {
  readonly fields: JsonField[] = [];
  /** Field of the last `Found`. */
  field: JsonField | null = null;
  /** Bytes consumed of the whole document so far. */
  consumed: u32 = 0;
  /** Offset behind the opening brace: where a member can be put in front of the others. */
  firstMember: u32 = 0;
  /** The object has no members (known once it is complete). */
  empty: bool = false;

  private state: State = State.Start;
  private failure: ScanStatus = ScanStatus.Invalid;
  private readonly brackets: BracketStack = new BracketStack();
  private readonly nested: NestedSkip = new NestedSkip(this.brackets);
  private readonly skipped: StringSkip = new StringSkip();
  private readonly keyBytes: usize = heap.alloc(MAX_KEY);
  /** Decodes the current key or wanted scalar. */
  private readonly text: JsonCapture = new JsonCapture();
  /** Wanted field of the current key, or null. */
  private wanted: JsonField | null = null;
  private bom: i32 = 0;

  /** Adds a key to look for; its bytes must outlive the scanner. */
  want(key: usize, length: i32): JsonField {
    const field = new JsonField(key, length);
    this.fields.push(field);
    return field;
  }

  /** Ready for a new document. */
  reset(): void {
    this.state = State.Start;
    this.field = null;
    this.wanted = null;
    this.consumed = 0;
    this.brackets.depth = 0;
    this.bom = 0;
    this.firstMember = 0;
    this.empty = false;
    for (let i = 0; i < this.fields.length; i++) unchecked(this.fields[i]).clear();
  }

  /**
   * Consumes bytes [from, from + length), which continue the document. Stops after each wanted value (`Found`); the caller
   * goes on behind `consumed`. O(length), no allocation.
   */
  feed(from: usize, length: i32): ScanStatus {
    let at = from;
    const end = from + <usize>length;
    const base = from - <usize>this.consumed;
    while (at < end) {
      switch (this.state) {
        case State.Nested: {
          at = this.nested.feed(at, end);
          const status = this.nested.status;
          if (status == SkipStatus.Closed) this.finishValue(<u32>(at - base));
          else if (status != SkipStatus.More) this.fail(status == SkipStatus.Limit ? ScanStatus.Limit : ScanStatus.Invalid);
          break;
        }
        case State.SkippedString: {
          at = this.skipped.feed(at, end);
          if (this.skipped.closed) this.finishValue(<u32>(at - base));
          break;
        }
        case State.InKey:
        case State.InString: {
          at = this.text.string(at, end);
          if (this.text.status == TextStatus.Closed) this.closeText(<u32>(at - base));
          else if (this.text.status == TextStatus.Invalid) this.fail();
          break;
        }
        case State.InScalar: {
          at = this.scalar(at, end);
          if (at < end) this.finishValue(<u32>(at - base));
          break;
        }
        case State.Failed: {
          this.consumed = <u32>(at - base);
          return this.failure;
        }
        default: {
          at = behindSpace(at, end);
          if (at < end && this.structural(load<u8>(at), <u32>(at - base))) at++;
        }
      }
      if (this.field !== null) {
        this.consumed = <u32>(at - base);
        return ScanStatus.Found;
      }
    }
    this.consumed = <u32>(at - base);
    if (this.state == State.Failed) return this.failure;
    return this.state == State.End ? ScanStatus.Complete : ScanStatus.NeedMore;
  }

  /** Forgets the last `Found`, so that the next `feed` looks for more. */
  resume(): void {
    this.field = null;
  }

  /** Outside of strings and nested values: one byte of top-level grammar. True when it is consumed. */
  private structural(byte: u8, offset: u32): bool {
    switch (this.state) {
      case State.Start: {
        if (byte == 0x7b && (this.bom == 0 || this.bom == 3)) {
          this.brackets.push(byte);
          this.firstMember = offset + 1;
          this.state = State.FirstKey;
          return true;
        }
        return this.byteOrderMark(byte, offset);
      }
      case State.FirstKey: {
        if (byte == 0x7d) {
          this.empty = true;
          this.state = State.End;
          return true;
        }
        return this.openKey(byte);
      }
      case State.Key:
        return this.openKey(byte);
      case State.Colon: {
        if (byte != 0x3a) return this.fail();
        this.state = State.Value;
        return true;
      }
      case State.Value:
        return this.openValue(byte, offset);
      case State.AfterValue: {
        if (byte == 0x2c) this.state = State.Key;
        else if (byte == 0x7d) this.state = State.End;
        else return this.fail();
        return true;
      }
      default:
        // Something behind the document.
        return this.fail();
    }
  }

  /** UTF-8 byte order mark: not JSON by the letter, yet sent by some clients and taken by some servers. Only at offset 0. */
  private byteOrderMark(byte: u8, offset: u32): bool {
    const expected: u8 = this.bom == 0 ? 0xef : this.bom == 1 ? 0xbb : 0xbf;
    if (this.bom > 2 || offset != <u32>this.bom || byte != expected) return this.fail();
    this.bom++;
    return true;
  }

  private openKey(byte: u8): bool {
    if (byte != 0x22) return this.fail();
    this.text.begin(this.keyBytes, MAX_KEY);
    this.state = State.InKey;
    return true;
  }

  private openValue(byte: u8, offset: u32): bool {
    const wanted = this.wanted;
    const number = byte == 0x2d || byte - 48 < 10;
    if (wanted !== null) {
      wanted.start = offset;
      wanted.kind =
        byte == 0x22
          ? JsonKind.String
          : byte == 0x7b
            ? JsonKind.Object
            : byte == 0x5b
              ? JsonKind.Array
              : number
                ? JsonKind.Number
                : JsonKind.Literal;
      this.text.begin(wanted.value, MAX_VALUE);
    }
    if (byte == 0x22) {
      this.state = wanted !== null ? State.InString : State.SkippedString;
      this.skipped.begin();
      return true;
    }
    if (byte == 0x7b || byte == 0x5b) {
      this.state = State.Nested;
      this.brackets.push(byte);
      this.nested.begin();
      return true;
    }
    if (number || byte == 0x74 || byte == 0x66 || byte == 0x6e) {
      this.state = State.InScalar;
      return false;
    }
    return this.fail();
  }

  /** Inside a number or literal. Returns the address behind it, or `end`. */
  private scalar(at: usize, end: usize): usize {
    const wanted = this.wanted !== null;
    while (at < end && isScalar(load<u8>(at))) {
      if (wanted) this.text.scalar(load<u8>(at));
      at++;
    }
    return at;
  }

  private finishValue(end: u32): void {
    this.state = State.AfterValue;
    const wanted = this.wanted;
    if (wanted !== null) {
      wanted.length = this.text.length;
      wanted.truncated = this.text.truncated;
      wanted.malformed = this.text.malformed;
      wanted.end = end;
      wanted.count++;
      this.field = wanted;
      this.wanted = null;
    }
  }

  private fail(failure: ScanStatus = ScanStatus.Invalid): bool {
    this.failure = failure;
    this.state = State.Failed;
    return false;
  }

  /** A key or wanted string ended right before `end`. */
  private closeText(end: u32): void {
    if (this.state == State.InKey) {
      this.wanted = this.match();
      this.state = State.Colon;
      return;
    }
    this.finishValue(end);
  }

  private match(): JsonField | null {
    if (this.text.truncated) return null;
    const length = this.text.length;
    const fields = this.fields;
    for (let i = 0; i < fields.length; i++) {
      const field = unchecked(fields[i]);
      if (field.keyLength == length && memory.compare(field.key, this.keyBytes, length) == 0) return field;
    }
    return null;
  }
}

function behindSpace(at: usize, end: usize): usize {
  while (at < end) {
    const byte = load<u8>(at);
    if (byte != 0x20 && byte != 0x0a && byte != 0x0d && byte != 0x09) break;
    at++;
  }
  return at;
}
