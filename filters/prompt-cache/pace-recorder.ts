/**
 * When the pieces of a stream came, for who gets it again in its own time: ms since the first one, and where in the body each piece ends.
 *
 * Pieces that come within a step of each other are one. The step is small to begin with, and grows where there are more pieces than have room, so that a stream of any length
 * takes one segment of the pool that recordings come from.
 */
import { SEGMENT_BYTES, SEGMENT_ROOM, SegmentPool } from "../lib/answer-segments";
import { putVarint } from "../lib/protobuf-wire";
import { Bytes, ByteWriter } from "../sdk";

/** In a segment: at ms u32, end u32. */
const MARK_BYTES: i32 = 8;
/** Fewer than the service takes, and as many as have room. */
export const MOST_MARKS: i32 = 1_000;
const FIRST_STEP: u32 = 5;
/** ms between two pieces, at most. */
const LONGEST_GAP: u32 = 60_000;
/** Of a stream, in ms: two weeks and some. */
const LONGEST: i64 = 1 << 31;

const text = new ByteWriter();
const digits = memory.data(16);

@final
export class PaceRecorder {
  count: i32 = 0;
  private pool: SegmentPool | null = null;
  private segment: usize = 0;
  private firstAt: i64 = 0;
  private step: u32 = FIRST_STEP;

  /** Ready for a stream. False when there is no memory for it. */
  begin(pool: SegmentPool): bool {
    this.release();
    this.segment = pool.take();
    if (this.segment == 0) return false;
    this.pool = pool;
    return true;
  }

  /** The body goes to `end` by now. `now`: ms. O(1) but for one in some hundred. */
  note(now: i64, end: i32): void {
    if (this.segment == 0) return;
    if (this.count == 0) this.firstAt = now;
    const at = <u32>min(max<i64>(now - this.firstAt, 0), LONGEST);
    if (this.extends(this.count, at)) {
      store<u32>(this.mark(this.count - 1), end, 4);
      return;
    }
    while (this.count == MOST_MARKS) this.coarsen();
    const mark = this.mark(this.count++);
    store<u32>(mark, at);
    store<u32>(mark, end, 4);
  }

  /** Pairs of varints, ms since the piece before and bytes; empty when nothing was recorded. Valid until the next one is written. O(marks). */
  write(): Bytes {
    text.reset();
    let at: u32 = 0;
    let end: u32 = 0;
    for (let i = 0; i < this.count; i++) {
      const mark = this.mark(i);
      number(min(load<u32>(mark) - at, LONGEST_GAP));
      number(load<u32>(mark, 4) - end);
      at = load<u32>(mark);
      end = load<u32>(mark, 4);
    }
    return text.view();
  }

  /** Gives its memory back. Harmless a second time. */
  release(): void {
    const pool = this.pool;
    if (pool !== null && this.segment != 0) pool.give(this.segment, this.segment, 1);
    this.pool = null;
    this.segment = 0;
    this.count = 0;
    this.step = FIRST_STEP;
  }

  /** What came at `at` belongs to the last of `count` marks. Clocks go back at times: what seems to come before it does, too. */
  private extends(count: i32, at: u32): bool {
    return count > 0 && at < load<u32>(this.mark(count - 1)) + this.step;
  }

  /** Puts pieces together that are within twice the step of each other. */
  private coarsen(): void {
    this.step <<= 1;
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      const from = this.mark(i);
      if (this.extends(kept, load<u32>(from))) store<u32>(this.mark(kept - 1), load<u32>(from, 4), 4);
      else memory.copy(this.mark(kept++), from, MARK_BYTES);
    }
    this.count = kept;
  }

  private mark(index: i32): usize {
    return this.segment + <usize>(SEGMENT_BYTES - SEGMENT_ROOM + index * MARK_BYTES);
  }
}

function number(value: u32): void {
  text.raw(digits, <i32>(putVarint(digits, value) - digits));
}
