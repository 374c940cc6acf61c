/**
 * Rendezvous hashing (highest random weight): the key and each endpoint give a random number, and the best one wins. No table at all: joining
 * and leaving cost nothing, move exactly the keys that must move, and shares follow weights without points. The price is a number for every
 * endpoint in each lookup.
 *
 * Weights: with u uniform in (0, 1), -ln(u) / weight is exponential with rate `weight`, and the least of several such belongs to each in
 * proportion to its rate. 1 - u is never more than -ln(u), so most endpoints are out before the logarithm; where all weights are equal, 1 - u
 * alone has the same order.
 *
 * Papers: Thaler and Ravishankar 1998; Schindelhauer and Schomaker 2005 (the logarithmic method).
 */

import { EndpointHash, NO_SLOT } from "./endpoint-hash";
import { HashFunction, hashBytes, mixBits } from "./hash-function";
import { MAX_SLOTS, MASK_BYTES, maskHas, maskIntersection } from "./slot-mask";

/** Steps of u: 2^52, of which half a step more is still exact. */
const STEP: f64 = 1.0 / 4503599627370496.0;

@final
export class Rendezvous extends EndpointHash {
  private readonly seeds: StaticArray<u64> = new StaticArray<u64>(MAX_SLOTS);
  /** 1 / weight. */
  private readonly rates: StaticArray<f64> = new StaticArray<f64>(MAX_SLOTS);
  /** Of `order`: the best so far, the least first. */
  private readonly costs: StaticArray<f64> = new StaticArray<f64>(MAX_SLOTS);
  /** Whether all live slots have one weight. */
  private equal: bool = true;

  constructor(private readonly fn: HashFunction) {
    super();
  }

  /** O(endpoints). */
  pick(key: u64, accept: usize): i32 {
    let best = NO_SLOT;
    let least: f64 = Infinity;
    for (let word: usize = 0; word < MASK_BYTES; word += 8) {
      let bits = load<u64>(accept + word) & load<u64>(this.live + word);
      while (bits != 0) {
        const slot = <i32>((word << 3) + <usize>ctz<u64>(bits));
        bits &= bits - 1;
        const cost = this.cost(key, slot, least);
        if (cost < least) {
          least = cost;
          best = slot;
        }
      }
    }
    return best;
  }

  /** O(endpoints + those that were among the best x limit). */
  order(key: u64, accept: usize, slots: usize, limit: i32): i32 {
    const wanted = min(limit, maskIntersection(accept, this.live, this.scratch));
    if (wanted <= 0) return 0;
    let found = 0;
    for (let word: usize = 0; word < MASK_BYTES; word += 8) {
      let bits = load<u64>(this.scratch + word);
      while (bits != 0) {
        const slot = <i32>((word << 3) + <usize>ctz<u64>(bits));
        bits &= bits - 1;
        const bound = found < wanted ? Infinity : unchecked(this.costs[wanted - 1]);
        const cost = this.cost(key, slot, bound);
        if (cost >= bound) continue;
        let to = found < wanted ? found++ : wanted - 1;
        for (; to > 0 && unchecked(this.costs[to - 1]) > cost; to--) {
          unchecked((this.costs[to] = this.costs[to - 1]));
          store<u8>(slots + <usize>to, load<u8>(slots + <usize>to - 1));
        }
        unchecked((this.costs[to] = cost));
        store<u8>(slots + <usize>to, slot);
      }
    }
    return found;
  }

  /** The next best is as random as a jump, so there is nothing to jump from. */
  pickBounded(key: u64, accept: usize, room: usize, _jump: bool): i32 {
    const first = this.pick(key, accept);
    if (first < 0 || maskHas(room, first)) return first;
    maskIntersection(accept, room, this.scratch);
    return this.pick(key, this.scratch);
  }

  protected make(): void {
    for (let slot = 0; slot < MAX_SLOTS; slot++) if (maskHas(this.live, slot)) this.seed(slot);
    this.compare();
  }

  protected enter(slot: i32, _again: bool): void {
    this.seed(slot);
    this.compare();
  }

  protected exit(_slot: i32): void {
    this.compare();
  }

  private seed(slot: i32): void {
    unchecked((this.seeds[slot] = hashBytes(this.fn, this.nameOf(slot), this.lengthOf(slot))));
    unchecked((this.rates[slot] = 1.0 / <f64>this.weightOf(slot)));
  }

  private compare(): void {
    let some: f64 = 0;
    this.equal = true;
    for (let slot = 0; slot < MAX_SLOTS; slot++) {
      if (!maskHas(this.live, slot)) continue;
      const rate = unchecked(this.rates[slot]);
      if (some == 0) some = rate;
      else if (rate != some) this.equal = false;
    }
  }

  /** -ln(u) / weight, or what has the same order, or `bound` when it is not less. */
  @inline
  private cost(key: u64, slot: i32, bound: f64): f64 {
    const u = (<f64>(mixBits(key ^ unchecked(this.seeds[slot])) >> 12) + 0.5) * STEP;
    if (this.equal) return 1.0 - u;
    const rate = unchecked(this.rates[slot]);
    return (1.0 - u) * rate >= bound ? bound : -Math.log(u) * rate;
  }
}
