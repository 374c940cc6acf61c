/**
 * Turns by weight without bursts: every candidate gains its weight, the one with most has its turn and pays what all gained. Weights 5, 1, 1 give a a b a c a a.
 *
 * Source: nginx's smooth weighted round robin. The counter model (c = (c + w) mod sum of w) gives the same shares, in bursts.
 */
import { EndpointMask, MAX_ENDPOINTS } from "./endpoint-mask";

@final
export class SmoothTurns {
  private readonly credits: StaticArray<f64> = new StaticArray<f64>(MAX_ENDPOINTS);

  /** Nobody owes the slot anything. */
  reset(slot: i32): void {
    this.credits[slot] = 0;
  }

  /** Whose turn it is; the lowest slot of equals. -1 for an empty set. Credits of slots outside of `among` rest. O(slots). */
  next(among: EndpointMask, weights: StaticArray<f64>): i32 {
    let best = -1;
    let most: f64 = 0;
    let total: f64 = 0;
    for (let slot = among.next(0); slot >= 0; slot = among.next(slot + 1)) {
      const weight = unchecked(weights[slot]);
      const credit = unchecked(this.credits[slot]) + weight;
      unchecked((this.credits[slot] = credit));
      total += weight;
      if (best >= 0 && credit <= most) continue;
      best = slot;
      most = credit;
    }
    if (best >= 0) unchecked((this.credits[best] = most - total));
    return best;
  }
}
