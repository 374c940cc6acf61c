/**
 * Answers of the slab that this worker has read more than once, in its own memory: the set that says where an answer lies says by its stamp whether it still is the same one, so another hit need not get it.
 * A get asks the VM for memory and copies twice: with 1 KB it takes a Wasm filter about 1 µs, with 60 KB several.
 *
 *   ring     the last BYTES of answers, as they are in shared data (answer-storage.ts); the next one takes the place of the oldest
 *   table    where the answer to a key begins, counted from the first byte that was ever written
 *
 * Nothing here gets old: an answer that is replaced has another stamp, and whether one may be served is asked anew each time.
 */

/** Of memory, taken when the first answer is kept. */
const BYTES: u64 = 1024 * 1024;
/** Longest answer that is kept, so that a few do not drive out all others. */
const MOST_BYTES: u32 = 128 * 1024;
/** Places of the table. A power of two. */
const PLACES: u64 = 256;

@final
export class AnswerCopies {
  private ring: StaticArray<u8> | null = null;
  /** Bytes that were ever written. */
  private written: u64 = 0;
  /** By place, of the answer that was read last: its key, its stamp, its bytes, and where it begins in the ring, plus 1; 0 while it is not there. */
  private readonly lows: StaticArray<u64> = new StaticArray<u64>(<i32>PLACES);
  private readonly highs: StaticArray<u64> = new StaticArray<u64>(<i32>PLACES);
  private readonly stamps: StaticArray<u32> = new StaticArray<u32>(<i32>PLACES);
  private readonly sizes: StaticArray<u32> = new StaticArray<u32>(<i32>PLACES);
  private readonly begins: StaticArray<u64> = new StaticArray<u64>(<i32>PLACES);

  /** Where the answer of so many bytes lies that has this key and stamp, for as long as none is added; 0: nowhere. O(1). */
  find(low: u64, high: u64, stamp: u32, bytes: u32): usize {
    const place = <i32>(low & (PLACES - 1));
    const begin = unchecked(this.begins[place]);
    const ring = this.ring;
    if (begin == 0 || ring === null || begin - 1 + BYTES < this.written || !this.isOf(place, low, high, stamp, bytes)) return 0;
    return changetype<usize>(ring) + <usize>((begin - 1) % BYTES);
  }

  /**
   * The answer was read from shared data, `bytes` of them at `at`. Keeps it if it was the last one to be read at its place before: most answers are not asked for again soon. One that has given way to
   * others begins anew, so that more answers than there is room for are not copied with every hit. O(bytes).
   */
  add(low: u64, high: u64, stamp: u32, at: usize, bytes: u32): void {
    const place = <i32>(low & (PLACES - 1));
    const again = unchecked(this.begins[place]) == 0 && this.isOf(place, low, high, stamp, bytes);
    unchecked((this.lows[place] = low));
    unchecked((this.highs[place] = high));
    unchecked((this.stamps[place] = stamp));
    unchecked((this.sizes[place] = bytes));
    unchecked((this.begins[place] = again && bytes <= MOST_BYTES ? this.write(at, bytes) + 1 : 0));
  }

  private isOf(place: i32, low: u64, high: u64, stamp: u32, bytes: u32): bool {
    const sameKey = unchecked(this.lows[place]) == low && unchecked(this.highs[place]) == high;
    return sameKey && unchecked(this.stamps[place]) == stamp && unchecked(this.sizes[place]) == bytes;
  }

  private write(at: usize, bytes: u32): u64 {
    let ring = this.ring;
    if (ring === null) {
      ring = new StaticArray<u8>(<i32>BYTES);
      this.ring = ring;
    }
    let begin = this.written;
    const size = <u64>((bytes + 7) & ~7);
    // An answer lies in one piece.
    if ((begin % BYTES) + size > BYTES) begin += BYTES - (begin % BYTES);
    this.written = begin + size;
    memory.copy(changetype<usize>(ring) + <usize>(begin % BYTES), at, bytes);
    return begin;
  }
}
