/**
 * The two fields of Server-Sent Events that outlive their event: `id` and `retry`. A new value counts when its line is complete, so it is
 * collected apart from the old one. Values come in pieces cut anywhere; `first` and `whole` mark the first and the last piece.
 *
 * Reference: WHATWG HTML, section 9.2.6.
 */

/** Longest `id` that is kept. */
const MAX_SSE_ID: i32 = 256;
/** Longer waits than 11 days are cut. */
const MAX_RETRY: i64 = 1_000_000_000;

@final
export class SseId {
  /** The last complete `id`; empty when it was too long. */
  ptr: usize = heap.alloc(MAX_SSE_ID);
  length: i32 = 0;
  tooLarge: bool = false;

  private next: usize = heap.alloc(MAX_SSE_ID);
  /** One more than fits means too long. */
  private nextLength: i32 = 0;
  private nextHasNul: bool = false;

  clear(): void {
    this.length = 0;
    this.tooLarge = false;
  }

  /** Bytes [from, from + size) of the value. One with a NUL in it is ignored. */
  take(from: usize, size: i32, first: bool, whole: bool): void {
    if (first) {
      this.nextLength = 0;
      this.nextHasNul = false;
    }
    for (let i = 0; i < size; i++) {
      const byte = load<u8>(from + <usize>i);
      if (byte == 0) this.nextHasNul = true;
      if (this.nextLength < MAX_SSE_ID) store<u8>(this.next + <usize>this.nextLength, byte);
      if (this.nextLength <= MAX_SSE_ID) this.nextLength++;
    }
    if (!whole || this.nextHasNul) return;
    this.tooLarge = this.nextLength > MAX_SSE_ID;
    this.length = this.tooLarge ? 0 : this.nextLength;
    const old = this.ptr;
    this.ptr = this.next;
    this.next = old;
  }
}

@final
export class SseRetry {
  /** Milliseconds, -1 before the first valid one. */
  value: i64 = -1;

  private next: i64 = 0;
  private digits: bool = false;
  private valid: bool = false;

  clear(): void {
    this.value = -1;
  }

  /** Bytes [from, from + size) of the value: digits only, at least one, or it is ignored. */
  take(from: usize, size: i32, first: bool, whole: bool): void {
    if (first) {
      this.next = 0;
      this.digits = false;
      this.valid = true;
    }
    for (let i = 0; i < size; i++) {
      const digit: u8 = load<u8>(from + <usize>i) - 48;
      if (digit < 10) this.next = min<i64>(this.next * 10 + <i64>digit, MAX_RETRY);
      else this.valid = false;
      this.digits = true;
    }
    if (whole && this.valid && this.digits) this.value = this.next;
  }
}
