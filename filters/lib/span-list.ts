/**
 * Where the messages of a request lie: the first and the last few of any number, in constant memory.
 *
 * The first ones carry the prefix that caches share, the last ones the question; what lies between is only counted.
 */

import { Role } from "./message-role";

/** Raw bytes [start, end) of the document. */
@final
export class Span {
  start: u32 = 0;
  end: u32 = 0;
  role: Role = Role.Absent;
  /** UTF-8 bytes of the text in it. */
  textBytes: u32 = 0;
}

@final
export class SpanList {
  /** Spans added; `get` knows the first and the last `kept` of them. */
  count: u32 = 0;
  private readonly head: Span[] = [];
  private readonly tail: Span[] = [];

  constructor(readonly kept: u32) {
    for (let i: u32 = 0; i < kept; i++) {
      this.head.push(new Span());
      this.tail.push(new Span());
    }
  }

  clear(): void {
    this.count = 0;
  }

  add(start: u32, end: u32, role: Role, textBytes: u32): void {
    if (this.count < this.kept) fill(unchecked(this.head[this.count]), start, end, role, textBytes);
    else fill(unchecked(this.tail[this.count % this.kept]), start, end, role, textBytes);
    this.count++;
  }

  /** Span `index` of all that were added, or null when it was not kept. Borrowed until the next `add`. */
  get(index: u32): Span | null {
    if (index >= this.count) return null;
    if (index < this.kept) return unchecked(this.head[index]);
    return this.count - index <= this.kept ? unchecked(this.tail[index % this.kept]) : null;
  }
}

function fill(span: Span, start: u32, end: u32, role: Role, textBytes: u32): void {
  span.start = start;
  span.end = end;
  span.role = role;
  span.textBytes = textBytes;
}
