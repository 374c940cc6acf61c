/**
 * Keeps answers while they pass, until it is known whether they are worth storing: chains of segments out of one bounded pool.
 *
 * How long an answer gets is not known before, and one block that grows would be copied again and again and leave holes of every size. Segments are all of one size and go from
 * one answer to the next, whatever configurations they belong to, so memory stays flat once the most answers at a time have been kept.
 *
 *   segment   next segment u32 | bytes, 8188 of them
 */

/** Memory of a segment, and what it holds of an answer. */
export const SEGMENT_BYTES: i32 = 8192;
export const SEGMENT_ROOM: i32 = SEGMENT_BYTES - 4;

/** Most memory of segments in a VM, whatever configurations ask for: half of what a VM may have. Whoever takes more ends it. */
const MOST_SEGMENT_BYTES: u64 = 32 * 1024 * 1024;

let usedByAll: u64 = 0;
/** Segments that no recording has, chained. */
let unused: usize = 0;

/** The share of one configuration. */
@final
export class SegmentPool {
  /** Memory of segments in recordings. */
  usedBytes: u64 = 0;

  private closed: bool = false;

  /** `maxBytes`: most memory of segments. It may change; recordings that are there stay. */
  constructor(public maxBytes: u64) {}

  /** A segment that is the last of its chain; 0 when there is none. O(1). */
  take(): usize {
    if (this.closed || this.usedBytes + SEGMENT_BYTES > this.maxBytes || usedByAll + SEGMENT_BYTES > MOST_SEGMENT_BYTES) return 0;
    this.usedBytes += SEGMENT_BYTES;
    usedByAll += SEGMENT_BYTES;
    let segment = unused;
    if (segment == 0) segment = heap.alloc(SEGMENT_BYTES);
    else unused = load<usize>(segment);
    store<usize>(segment, 0);
    return segment;
  }

  /** Takes back `count` segments, chained from `first` to `last`. O(1). */
  give(first: usize, last: usize, count: u32): void {
    const bytes = <u64>count * SEGMENT_BYTES;
    this.usedBytes -= bytes;
    usedByAll -= bytes;
    store<usize>(last, unused);
    unused = first;
  }

  /** For a configuration that is gone: nothing more can be taken. Recordings that are there stay. */
  close(): void {
    this.closed = true;
  }
}

/** One answer. Read it with `rewind` and `next`, or `copyTo`. */
@final
export class Recording {
  /** Bytes that were appended. */
  length: i32 = 0;
  /** There were more than it may hold, or the pool was used up: nothing of it is left. Final. */
  overflowed: bool = false;
  /** Bytes [`piece`, `piece + pieceLength`) after `next`; until `release`. */
  piece: usize = 0;
  pieceLength: i32 = 0;

  private pool: SegmentPool | null = null;
  private most: i32 = 0;
  private first: usize = 0;
  private last: usize = 0;
  private count: u32 = 0;
  /** Bytes free in the last segment. */
  private room: i32 = 0;
  private coming: usize = 0;
  private left: i32 = 0;

  /** Ready for an answer of at most `most` bytes. */
  begin(pool: SegmentPool, most: i32): void {
    this.release();
    this.pool = pool;
    this.most = most;
    this.overflowed = false;
  }

  /** Keeps bytes [from, from + length) behind those before. False when they, or some before them, did not fit. O(length). */
  append(from: usize, length: i32): bool {
    if (this.overflowed) return false;
    if (length <= 0) return true;
    // No sum on the left: it could wrap.
    if (length > this.most - this.length) return this.overflow();
    while (length > 0) {
      if (this.room == 0 && !this.grow()) return this.overflow();
      const size = min(length, this.room);
      memory.copy(this.last + <usize>(SEGMENT_BYTES - this.room), from, size);
      this.room -= size;
      this.length += size;
      from += size;
      length -= size;
    }
    return true;
  }

  /** Before the first piece. */
  rewind(): void {
    this.coming = this.first;
    this.left = this.length;
  }

  /** Goes on to the next piece, of at most `SEGMENT_ROOM` bytes. False behind the last one. */
  next(): bool {
    if (this.left == 0) return false;
    this.piece = this.coming + (SEGMENT_BYTES - SEGMENT_ROOM);
    this.pieceLength = min(this.left, SEGMENT_ROOM);
    this.left -= this.pieceLength;
    this.coming = load<usize>(this.coming);
    return true;
  }

  /** Copies all `length` bytes to `to`. */
  copyTo(to: usize): void {
    this.rewind();
    while (this.next()) {
      memory.copy(to, this.piece, this.pieceLength);
      to += this.pieceLength;
    }
  }

  /** Gives its memory back; `overflowed` stays. Harmless a second time. O(1). */
  release(): void {
    const pool = this.pool;
    if (pool !== null && this.first != 0) pool.give(this.first, this.last, this.count);
    this.pool = null;
    this.most = 0;
    this.length = 0;
    this.first = 0;
    this.last = 0;
    this.count = 0;
    this.room = 0;
    this.left = 0;
  }

  private overflow(): bool {
    this.release();
    this.overflowed = true;
    return false;
  }

  private grow(): bool {
    const pool = this.pool;
    const segment = pool === null ? 0 : pool.take();
    if (segment == 0) return false;
    if (this.last != 0) store<usize>(this.last, segment);
    else this.first = segment;
    this.last = segment;
    this.count++;
    this.room = SEGMENT_ROOM;
    return true;
  }
}

const free: Recording[] = [];

/** Pooled: as many as answers were ever kept at once. */
export namespace recordings {
  export function take(pool: SegmentPool, most: i32): Recording {
    const recording = free.length > 0 ? free.pop() : new Recording();
    recording.begin(pool, most);
    return recording;
  }

  export function release(recording: Recording): void {
    recording.release();
    free.push(recording);
  }
}
