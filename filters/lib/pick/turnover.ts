/**
 * What it costs in the long run to compute a token that is cached elsewhere. It takes the place of a block that has not been used for long. When that one is asked for again, it has to be computed too, and takes
 * the place of another one: with a chance of `p` that a block comes back, 1 + p + p^2 + ... = 1 / (1 - p) in all.
 *
 * How many come back is seen before they go: of the blocks that come into the older half of a full cache, some are used again and the rest are dropped. In a cache that is never full nothing is known
 * of that, and until some of it is the price is the highest: copies fill caches.
 */

/** Blocks that count as much as all that has been seen while nothing has. */
const PRIOR: f64 = 1024;
/** Blocks that make older ones count half. */
const WINDOW: f64 = 16_384;

@final
export class Turnover {
  private back: f64 = 0;
  private gone: f64 = 0;

  /** Blocks of the older half that were used again. */
  @inline
  used(blocks: i32): void {
    this.back += <f64>blocks;
    this.fade();
  }

  /** One was dropped for another. */
  @inline
  dropped(): void {
    this.gone += 1;
    this.fade();
  }

  /** 1 for text that never comes back, up to `most`. */
  @inline
  price(most: f64): f64 {
    return min(most, (this.back + this.gone + PRIOR) / (this.gone + PRIOR / most));
  }

  @inline
  private fade(): void {
    if (this.back + this.gone < WINDOW) return;
    this.back /= 2;
    this.gone /= 2;
  }
}
