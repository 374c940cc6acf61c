/**
 * Which beginnings of prompts many requests have in common: how many of the last requests have the same cached beginning, by its last block. Other workers have their own
 * counts of their own requests; these are drawn by chance from all, so shares are alike.
 *
 * In each place the block that most requests have keeps it: another one takes off what it has (Misra and Gries, Finding Repeated Elements, 1982), so frequent ones cannot be driven out by rare ones.
 */

/** A power of two. */
const PLACES: i32 = 256;
/** Requests that make older ones count half. */
const WINDOW: i32 = 256;
/** Requests of which a share says nothing yet. */
const FEW: i32 = 32;

@final
export class HotPrefixes {
  private readonly hashes: StaticArray<u64> = new StaticArray<u64>(PLACES);
  private readonly counts: StaticArray<u16> = new StaticArray<u16>(PLACES);
  private total: i32 = 0;

  /** A request whose cached beginning ends with the block: the share of requests that have the same one, 0..1; negative when too few came to know. O(1); each 128 requests O(PLACES). */
  note(lastBlock: u64): f64 {
    if (++this.total >= WINDOW) this.fade();
    const place = <i32>((lastBlock * 0x9e3779b97f4a7c15) >> 56);
    const count = unchecked(this.counts[place]);
    if (unchecked(this.hashes[place]) == lastBlock) unchecked((this.counts[place] = count + 1));
    else if (count == 0) {
      unchecked((this.hashes[place] = lastBlock));
      unchecked((this.counts[place] = 1));
    } else {
      unchecked((this.counts[place] = count - 1));
      return 0;
    }
    return this.total < FEW ? -1 : <f64>unchecked(this.counts[place]) / <f64>this.total;
  }

  /** A request without a cached beginning. */
  @inline
  other(): void {
    if (++this.total >= WINDOW) this.fade();
  }

  private fade(): void {
    this.total >>= 1;
    for (let place = 0; place < PLACES; place++) unchecked((this.counts[place] >>= 1));
  }
}
