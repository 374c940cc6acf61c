/**
 * Bytes that stay where they are as long as they can: a view into the caller's piece, copied into a buffer of fixed size only when the piece
 * ends or more bytes are to stand behind them.
 *
 * Whether they are too large depends on their length alone, not on whether they were copied.
 */
@final
export class BorrowedBytes {
  /** Readable while not `tooLarge`. */
  ptr: usize = 0;
  length: i32 = 0;
  /** There were more than the limit; `length` says nothing then. */
  tooLarge: bool = false;

  private borrowed: bool = false;
  private readonly limit: i32;
  private readonly buffer: usize;

  /** The buffer of `limit` bytes is reserved here. */
  constructor(limit: i32) {
    this.limit = max(limit, 0);
    this.buffer = heap.alloc(this.limit);
    this.ptr = this.buffer;
  }

  clear(): void {
    this.ptr = this.buffer;
    this.length = 0;
    this.tooLarge = false;
    this.borrowed = false;
  }

  /** Shows [from, from + size) instead of what was there; it must stay readable until `keep`. */
  borrow(from: usize, size: i32): void {
    this.ptr = from;
    this.length = size;
    this.borrowed = true;
    this.tooLarge = size > this.limit;
  }

  append(from: usize, size: i32): void {
    this.keep();
    // No sum on the left: it could wrap.
    if (size > this.limit - this.length) this.tooLarge = true;
    if (this.tooLarge) return;
    memory.copy(this.buffer + <usize>this.length, from, size);
    this.length += size;
  }

  /** From here on the caller's bytes may go away. */
  keep(): void {
    if (!this.borrowed) return;
    this.borrowed = false;
    if (this.tooLarge) this.length = 0;
    memory.copy(this.buffer, this.ptr, this.length);
    this.ptr = this.buffer;
  }
}
