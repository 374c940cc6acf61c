/**
 * Bounded load: an endpoint may have `bound` times its fair share of the requests in flight, this one included, and `least` in any case. Without that least a pool
 * with little to do would bound everybody at one or two requests, and no key would ever stay where it belongs.
 *
 * Source: Mirrokni, Thorup, Zadimoghaddam, Consistent Hashing with Bounded Loads (arXiv 1608.01350); shares by weight as in Envoy's hash_balance_factor.
 */
import { Candidates } from "./candidates";
import { EndpointMask } from "./endpoint-mask";

@final
export class InflightBound {
  constructor(
    private readonly bound: f64,
    private readonly least: i32,
  ) {}

  /** Requests that the endpoint may have. */
  @inline
  limit(eligible: Candidates, slot: i32): i32 {
    const limit = <i32>Math.ceil(this.fair(eligible, slot));
    return limit < this.least ? this.least : limit;
  }

  /** `bound` times its fair share, whatever the least is. */
  @inline
  fair(eligible: Candidates, slot: i32): f64 {
    const share = unchecked(eligible.power[slot]) / eligible.totalPower;
    return this.bound * <f64>(eligible.totalInflight + 1) * share;
  }

  /** The candidates that have less than they may. False: nobody has. O(candidates). */
  room(eligible: Candidates, into: EndpointMask): bool {
    into.clear();
    for (let slot = eligible.mask.next(0); slot >= 0; slot = eligible.mask.next(slot + 1)) {
      if (unchecked(eligible.inflight[slot]) < this.limit(eligible, slot)) into.add(slot);
    }
    return !into.isEmpty;
  }
}
