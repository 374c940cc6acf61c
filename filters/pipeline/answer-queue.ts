/**
 * What of an answer waits in the filter while it passes slowly.
 *
 * Envoy lets go of all that a filter holds at once, so what is to pass in parts has to be kept here. Nothing can be sent on by itself: parts pass with the next
 * piece that comes.
 */
import { Bytes } from "../sdk";

/** Most bytes of one answer, and of all answers of a VM. */
const MOST_QUEUED: i32 = 64 * 1024;
const MOST_BY_ALL: i32 = 8 * 1024 * 1024;
const FIRST: i32 = 4096;

let queuedByAll: i32 = 0;

@final
export class AnswerQueue {
  private ptr: usize = 0;
  private capacity: i32 = 0;
  private start: i32 = 0;
  private end: i32 = 0;
  private readonly front: Bytes = new Bytes();

  get length(): i32 {
    return this.end - this.start;
  }

  /** Whether so many bytes more have room. */
  fits(length: i32): bool {
    return this.length + length <= MOST_QUEUED && queuedByAll + length <= MOST_BY_ALL;
  }

  /** Only what `fits`. */
  push(bytes: Bytes): void {
    this.reserve(bytes.len);
    memory.copy(this.ptr + <usize>this.end, bytes.ptr, bytes.len);
    this.end += bytes.len;
    queuedByAll += bytes.len;
  }

  /** Takes up to `length` bytes from the front. Valid until the next call. */
  shift(length: i32): Bytes {
    const taken = min(max(length, 0), this.length);
    this.front.set(this.ptr + <usize>this.start, taken);
    this.start += taken;
    queuedByAll -= taken;
    return this.front;
  }

  /** Gives memory back. */
  release(): void {
    queuedByAll -= this.length;
    if (this.ptr != 0) heap.free(this.ptr);
    this.ptr = 0;
    this.capacity = 0;
    this.start = 0;
    this.end = 0;
  }

  private reserve(length: i32): void {
    if (this.end + length <= this.capacity) return;
    const kept = this.length;
    let capacity = max(this.capacity, FIRST);
    while (capacity < kept + length) capacity *= 2;
    const ptr = heap.alloc(capacity);
    memory.copy(ptr, this.ptr + <usize>this.start, kept);
    if (this.ptr != 0) heap.free(this.ptr);
    this.ptr = ptr;
    this.capacity = capacity;
    this.start = 0;
    this.end = kept;
  }
}

const free: AnswerQueue[] = [];

/** Pooled: as many as answers ever passed slowly at once. */
export namespace answerQueues {
  export function take(): AnswerQueue {
    return free.length > 0 ? free.pop() : new AnswerQueue();
  }

  export function release(queue: AnswerQueue): void {
    queue.release();
    free.push(queue);
  }
}
