/**
 * Which prompts were used again lately, so that other workers hear of it from time to time: an endpoint's cache drops what was used longest ago, and a worker that never
 * hears of a conversation's next turns would take it for old.
 *
 * A table of fixed places; two prompts in one place only make one of them told more often. A prompt goes by its last block.
 */

/** Places; a power of two. */
const PLACES: i32 = 1024;
/** Milliseconds between two times that a prompt is told. */
const AGAIN: i64 = 2000;

@final
export class TouchTimes {
  private readonly hashes: StaticArray<u64> = new StaticArray<u64>(PLACES);
  private readonly times: StaticArray<i64> = new StaticArray<i64>(PLACES);

  /** It is time to tell of the prompt at that endpoint; the next time comes later. O(1). */
  isDue(slot: i32, lastBlock: u64, now: i64): bool {
    const hash = lastBlock ^ <u64>(slot + 1);
    const place = <i32>((hash * 0x9e3779b97f4a7c15) >> 54);
    if (unchecked(this.hashes[place]) == hash && now - unchecked(this.times[place]) < AGAIN) return false;
    unchecked((this.hashes[place] = hash));
    unchecked((this.times[place] = now));
    return true;
  }
}
