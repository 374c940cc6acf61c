/**
 * Takes the events that only report usage out of a stream of Server-Sent Events, and leaves every other byte as it is.
 *
 * An event runs from its first field to the blank line behind it. As long as it may be one of those, what came of it is held back; most events are known for
 * others after a hundred bytes, and events that are complete never wait. Comments between events pass at once. Line ends are CR, LF or CRLF, pieces may
 * be cut anywhere; what passes does not depend on where.
 *
 * Reference: WHATWG HTML, section 9.2.6 "Interpreting an event stream".
 */
import { lineEnd } from "../lib/line-end";
import { Bytes, ByteWriter } from "../sdk";
import { UsageEvent } from "./usage-event";

/** Most bytes that are held back. An event that needs more to be known ends the filtering of its stream. */
const HELD_LIMIT: i32 = 64 * 1024;
/** Most that all streams of a VM hold back together. */
const HELD_BY_ALL: i32 = 8 * 1024 * 1024;
let heldByAll: i32 = 0;
/** A stream keeps the memory of fewer bytes for its next event. */
const SMALL: i32 = 4096;
/** One for all streams: what passes is written within one callback. */
const passing = new ByteWriter();

const LF: u8 = 0x0a;
const CR: u8 = 0x0d;
const COLON: u8 = 0x3a;
/** Between two lines of data. */
const JOINT: StaticArray<u8> = [LF];
/** Little-endian: the field's name; a byte order mark, which may stand in front of the first. */
const DATA: u32 = 0x61746164;
const MARK: u32 = 0x00bfbbef;

const enum Event {
  /** Between events. */
  None = 0,
  /** It may be one that only reports usage. */
  Open = 1,
  /** It is another. */
  Other = 2,
}

const enum Line {
  Start = 0,
  Name = 1,
  Data = 2,
  Ignored = 3,
}

@final
export class UsageFilter {
  /** What passes of the last piece, if `feed` said that it is not all of it: valid until the next call. */
  readonly out: ByteWriter = passing;
  /** An event was too large: all of the rest passes. */
  gaveUp: bool = false;

  private readonly held: ByteWriter = new ByteWriter();
  private readonly usage: UsageEvent = new UsageEvent();
  private event: Event = Event.None;
  private line: Line = Line.Start;
  private name: u32 = 0;
  private nameLength: i32 = 0;
  /** At the first line of the stream. */
  private atMark: bool = true;
  /** The event has a line of data. */
  private hasData: bool = false;
  /** The piece before ended in a CR, so an LF belongs to it; the event that it ended was taken out. */
  private behindCr: bool = false;
  private removed: bool = false;

  /** In this piece: where the open event begins, up to where it is in `out` or taken out, and whether it passes with a difference. */
  private start: usize = 0;
  private done: usize = 0;
  private differs: bool = false;

  /** Ready for another stream. */
  begin(): void {
    this.release();
    this.gaveUp = false;
    this.event = Event.None;
    this.line = Line.Start;
    this.atMark = true;
    this.behindCr = false;
    this.removed = false;
  }

  /** Gives memory back. */
  release(): void {
    heldByAll -= this.held.len;
    this.held.release();
  }

  /** Something is held back. */
  get holds(): bool {
    return this.held.len > 0;
  }

  /** Reads the next piece of the stream. True when what passes differs from it: then that is in `out`. `last`: nothing follows, so nothing is held. O(length). */
  feed(from: usize, length: i32, last: bool): bool {
    const end = from + <usize>length;
    this.out.reset();
    this.start = from;
    this.done = from;
    this.differs = false;
    if (!this.gaveUp) this.read(from, end);
    if (this.event == Event.Open && !last) this.hold(end);
    else this.pass();
    if (this.differs) this.out.raw(this.done, <i32>(end - this.done));
    return this.differs;
  }

  private read(from: usize, end: usize): void {
    let at = from;
    while (at < end && !this.gaveUp) {
      if (this.line == Line.Start) at = this.beginLine(at, end);
      else if (this.line == Line.Name) at = this.readName(at, end);
      else {
        const stop = lineEnd(at, end);
        if (this.line == Line.Data && this.event == Event.Open) this.judge(at, <i32>(stop - at), at);
        at = stop < end ? this.endLine(stop, end) : end;
      }
    }
  }

  private beginLine(at: usize, end: usize): usize {
    const byte = load<u8>(at);
    if (this.behindCr) {
      this.behindCr = false;
      if (byte == LF) {
        if (this.removed) this.cut(at, at + 1);
        return at + 1;
      }
    }
    this.removed = false;
    if (byte == LF || byte == CR) return this.endEvent(at, end);
    if (this.event == Event.None && byte == COLON) {
      this.line = Line.Ignored;
      return at;
    }
    if (this.event == Event.None) {
      this.event = Event.Open;
      this.start = at;
      this.hasData = false;
      this.usage.begin();
    }
    this.line = this.event == Event.Open ? Line.Name : Line.Ignored;
    this.name = 0;
    this.nameLength = 0;
    return at;
  }

  private readName(at: usize, end: usize): usize {
    const byte = load<u8>(at);
    if (byte == LF || byte == CR) {
      this.line = Line.Ignored;
    } else if (byte == COLON) {
      this.line = this.nameLength == 4 && this.name == DATA ? Line.Data : Line.Ignored;
      at++;
      if (this.line == Line.Data && this.hasData) this.judge(changetype<usize>(JOINT), 1, at);
      if (this.line == Line.Data) this.hasData = true;
    } else if (this.nameLength == 4) {
      this.line = Line.Ignored;
    } else {
      this.name |= (<u32>byte) << (<u32>this.nameLength * 8);
      this.nameLength++;
      if (this.atMark && this.nameLength == 3 && this.name == MARK) {
        this.name = 0;
        this.nameLength = 0;
        this.atMark = false;
      }
      at++;
    }
    return at;
  }

  /** More data of the open event, which is at `at` in this piece. */
  private judge(from: usize, length: i32, at: usize): void {
    const needed = this.usage.feed(from, length);
    if (!this.usage.other) return;
    this.event = Event.Other;
    // What is known too late in one piece would have been given up in two.
    if (this.size(from == at ? at + <usize>needed : at) > HELD_LIMIT) this.giveUp();
    else this.pass();
  }

  private giveUp(): void {
    this.gaveUp = true;
    this.event = Event.None;
    this.pass();
  }

  /** Bytes of the open event up to `at`. */
  private size(at: usize): i32 {
    return this.held.len + <i32>(at - this.start);
  }

  /** A blank line. */
  private endEvent(at: usize, end: usize): usize {
    const size = this.size(at);
    const next = this.endLine(at, end);
    if (this.event == Event.Open) {
      if (size > HELD_LIMIT) {
        this.giveUp();
      } else if (this.usage.found) {
        this.cut(this.start, next);
        this.drop();
        this.removed = true;
      } else {
        this.pass();
      }
    }
    this.event = Event.None;
    return next;
  }

  private endLine(at: usize, end: usize): usize {
    this.line = Line.Start;
    this.atMark = false;
    if (load<u8>(at) == LF) return at + 1;
    if (at + 1 < end) return load<u8>(at + 1) == LF ? at + 2 : at + 1;
    this.behindCr = true;
    return end;
  }

  /** What was held back passes, in front of this piece. */
  private pass(): void {
    if (this.held.len == 0) return;
    this.out.bytes(this.held.view());
    this.drop();
    this.differs = true;
  }

  /** Nothing is held back any more. */
  private drop(): void {
    if (this.held.len > SMALL) {
      this.release();
      return;
    }
    heldByAll -= this.held.len;
    this.held.reset();
  }

  private cut(from: usize, to: usize): void {
    this.out.raw(this.done, <i32>(from - this.done));
    this.done = to;
    this.differs = true;
  }

  /** Keeps what this piece has of the open event. */
  private hold(end: usize): void {
    const more = <i32>(end - this.start);
    if (this.size(end) > HELD_LIMIT || heldByAll + more > HELD_BY_ALL) {
      this.giveUp();
    } else if (more > 0) {
      heldByAll += more;
      this.held.raw(this.start, more);
      this.cut(this.start, end);
    }
  }
}

const free: UsageFilter[] = [];

/** Pooled and never freed: as many as streams were ever filtered at once. */
export namespace usageFilters {
  export function take(): UsageFilter {
    const filter = free.length > 0 ? free.pop() : new UsageFilter();
    filter.begin();
    return filter;
  }

  export function release(filter: UsageFilter): void {
    filter.release();
    free.push(filter);
  }
}
