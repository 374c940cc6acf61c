/**
 * How far predictions of cached tokens can be believed, by endpoint: a moving average of what was really cached, in parts of what was predicted.
 *
 * The index counts blocks of bytes and knows nothing of what else fills an engine's cache, so it can be wrong for one engine all the time. Between LEAST and 1:
 * blocks are cut elsewhere than tokens are, so up to EXACT of the prediction counts as all of it, and an endpoint that never has what it should have is still
 * asked for a part.
 */

const LEAST: f64 = 0.25;
const EXACT: f64 = 0.9;
/** Share of a new sample. */
const SHARE: f64 = 1.0 / 16;

@final
export class CacheTrust {
  private readonly trusts: StaticArray<f64>;

  constructor(capacity: i32) {
    this.trusts = new StaticArray<f64>(capacity);
    for (let slot = 0; slot < capacity; slot++) this.reset(slot);
  }

  reset(slot: i32): void {
    this.trusts[slot] = 1;
  }

  /** LEAST..1: what a predicted block is worth. */
  @inline
  of(slot: i32): f64 {
    return unchecked(this.trusts[slot]);
  }

  /** Nothing was predicted: nothing is learned. */
  learn(slot: i32, predictedTokens: i32, cachedTokens: i32): void {
    if (predictedTokens <= 0 || cachedTokens < 0) return;
    const part = <f64>cachedTokens / <f64>predictedTokens / EXACT;
    const trust = this.trusts[slot] * (1 - SHARE) + (part > 1 ? 1 : part) * SHARE;
    this.trusts[slot] = trust < LEAST ? LEAST : trust;
  }
}
