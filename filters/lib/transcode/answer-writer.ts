/**
 * Writes an answer in its other form: JSON without white space outside of strings, so that every value fits into a line of a stream.
 *
 * One buffer, which grows up to a bound; what does not fit sets `failed`, and so does a value that cannot be written.
 */
import { JsonText, TextStatus } from "../json-text";
import { behindSpace, behindString, behindValue } from "./json-value";
import { Kind, NO_PIECE, Node, NONE } from "./merge-node";

/** The buffer keeps so much between answers. */
const RETAINED: i32 = 65536;

@final
export class AnswerWriter {
  ptr: usize = 0;
  length: i32 = 0;
  failed: bool = false;

  private capacity: i32 = 0;
  private limit: i32 = 0;
  private readonly text: JsonText = new JsonText();

  /** Ready for an answer of at most `limit` bytes. */
  begin(limit: i32): void {
    if (this.capacity > RETAINED) this.release();
    this.length = 0;
    this.limit = limit;
    this.failed = false;
  }

  release(): void {
    if (this.ptr != 0) heap.free(this.ptr);
    this.ptr = 0;
    this.capacity = 0;
    this.length = 0;
  }

  fail(): void {
    this.failed = true;
  }

  ascii(text: string): AnswerWriter {
    if (!this.reserve(text.length)) return this;
    for (let i = 0; i < text.length; i++) this.put(<u8>load<u16>(changetype<usize>(text) + (<usize>i << 1)));
    return this;
  }

  number(value: i64): AnswerWriter {
    if (value >= 10) this.number(value / 10);
    if (this.reserve(1)) this.put(48 + <u8>(value % 10));
    return this;
  }

  /** Bytes as they are. */
  raw(from: usize, to: usize): AnswerWriter {
    const size = <i32>(to - from);
    if (!this.reserve(size)) return this;
    memory.copy(this.ptr + <usize>this.length, from, size);
    this.length += size;
    return this;
  }

  /** JSON, white space outside of strings left out. May stand in the buffer behind what is written. */
  json(from: usize, to: usize): AnswerWriter {
    while (from < to) {
      let next = from;
      while (next < to && load<u8>(next) > 0x20) next = load<u8>(next) == 0x22 ? behindString(next, to) : next + 1;
      this.raw(from, next);
      from = behindSpace(next, to);
    }
    return this;
  }

  /** A piece of JSON as the inside of a string. */
  escaped(from: usize, to: usize): AnswerWriter {
    while (from < to) {
      let next = from;
      while (next < to && isPlain(load<u8>(next))) next++;
      this.raw(from, next);
      if (next < to) {
        const byte = load<u8>(next);
        if (byte == 0x22) this.ascii('\\"');
        else if (byte == 0x5c) this.ascii("\\\\");
        // What is left stands between tokens.
      }
      from = next + 1;
    }
    return this;
  }

  /** A value of any kind. */
  value(node: Node): AnswerWriter {
    switch (node.kind) {
      case Kind.Raw:
        return this.json(node.from, node.to);
      case Kind.Text:
        return this.ascii('"').pieces(node).ascii('"');
      case Kind.List:
        return this.ascii("[").pieces(node).ascii("]");
      case Kind.Object:
        return this.ascii("{").members(node, "", "").ascii("}");
      case Kind.Items: {
        this.ascii("[");
        for (let child = node.child; child !== NONE; child = child.next) {
          if (child !== node.child) this.ascii(",");
          this.value(child);
        }
        return this.ascii("]");
      }
      default:
        return this.ascii("null");
    }
  }

  /** The name of a member, and the colon. */
  name(node: Node): AnswerWriter {
    return this.ascii('"')
      .raw(node.key, node.key + <usize>node.keyLength)
      .ascii('":');
  }

  /** Members among `names`, or all when it is empty, but those among `without`, with commas between them. */
  members(node: Node, names: string, without: string): AnswerWriter {
    let first = true;
    for (let child = node.child; child !== NONE; child = child.next) {
      if (child.among(without) || (names.length != 0 && !child.among(names))) continue;
      if (!first) this.ascii(",");
      first = false;
      this.name(child).value(child);
    }
    return this;
  }

  /** Such members, each behind a comma. */
  more(node: Node, names: string, without: string): AnswerWriter {
    for (let child = node.child; child !== NONE; child = child.next) {
      if (child.among(without) || (names.length != 0 && !child.among(names))) continue;
      this.ascii(",").name(child).value(child);
    }
    return this;
  }

  /** An object as it was before there was any output: of its members those among `emptied` are empty, those among `nulled` null. */
  skeleton(node: Node, emptied: string, nulled: string): AnswerWriter {
    this.ascii("{");
    for (let child = node.child; child !== NONE; child = child.next) {
      if (child !== node.child) this.ascii(",");
      this.name(child);
      if (child.among(nulled)) this.ascii("null");
      else if (!child.among(emptied)) this.value(child);
      else this.emptied(child, emptied, nulled);
    }
    return this.ascii("}");
  }

  private emptied(node: Node, emptied: string, nulled: string): void {
    const raw = node.kind == Kind.Raw;
    if (node.kind == Kind.Null) this.ascii("null");
    else if (node.kind == Kind.Object) this.skeleton(node, emptied, nulled);
    else if (node.is("status")) this.ascii('"in_progress"');
    else if (node.kind == Kind.Text || node.begins(0x22)) this.ascii('""');
    else if (!raw || node.begins(0x5b)) this.ascii("[]");
    else this.ascii(node.begins(0x7b) ? "{}" : "0");
  }

  /** Pieces of a string, or those of an array with commas between them. */
  pieces(node: Node): AnswerWriter {
    for (let piece = node.piece; piece !== NO_PIECE; piece = piece.next) {
      if (node.kind == Kind.Text) {
        this.raw(piece.from, piece.to);
      } else {
        if (piece !== node.piece) this.ascii(",");
        this.json(piece.from, piece.to);
      }
    }
    return this;
  }

  /** The object that the pieces of a string spell. */
  decoded(node: Node): AnswerWriter {
    const start = this.length;
    this.pieces(node);
    if (this.failed) return this;
    const text = this.text;
    const at = this.ptr + <usize>start;
    const size = this.length - start;
    // Never longer than it was, so it can stay where it is.
    text.begin(at, size);
    let status = TextStatus.More;
    for (let i = 0; i < size && status == TextStatus.More; i++) status = text.push(load<u8>(at + <usize>i));
    if (status == TextStatus.More) status = text.push(0x22);
    this.length = start;
    const end = at + <usize>text.length;
    if (status != TextStatus.Closed || text.malformed || text.length < 2 || load<u8>(at) != 0x7b || behindValue(at, end) != end) {
      this.fail();
      return this;
    }
    return this.json(at, end);
  }

  @inline
  private put(byte: u8): void {
    store<u8>(this.ptr + <usize>this.length, byte);
    this.length++;
  }

  private reserve(extra: i32): bool {
    if (this.failed || extra > this.limit - this.length) {
      this.failed = true;
      return false;
    }
    const needed = this.length + extra;
    if (needed <= this.capacity) return true;
    const capacity = min(max(max(1024, this.capacity * 2), needed), max(this.limit, 1024));
    this.ptr = this.ptr == 0 ? heap.alloc(capacity) : heap.realloc(this.ptr, capacity);
    this.capacity = capacity;
    return true;
  }
}

/** Stands for itself inside of a string. */
function isPlain(byte: u8): bool {
  return byte >= 0x20 && byte != 0x22 && byte != 0x5c;
}
