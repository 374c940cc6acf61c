/**
 * The smallest peak EWMA of the time to the first byte x (in-flight + 1), over weight. Failures count as slow answers (response-times.ts), so failing fast does
 * not attract anybody. An endpoint without data counts as the fastest one that is known, so that it gets its turn: taken for slow, it would never have any.
 */
import { Candidates } from "./candidates";
import { EndpointMask, MAX_ENDPOINTS } from "./endpoint-mask";
import { Endpoints } from "./endpoints";
import { PickList } from "./pick-list";
import { PickPolicy } from "./pick-policy";
import { PickRequest } from "./pick-request";
import { below } from "./random-bits";

@final
export class LeastResponseTime extends PickPolicy {
  private readonly left: EndpointMask = new EndpointMask();
  private readonly costs: StaticArray<f64> = new StaticArray<f64>(MAX_ENDPOINTS);

  pick(request: PickRequest, endpoints: Endpoints, eligible: Candidates, list: PickList): void {
    const left = this.left;
    left.copy(eligible.mask);
    const fastest = endpoints.times.fastest(left, request.now);
    for (let slot = left.next(0); slot >= 0; slot = left.next(slot + 1)) {
      const time = endpoints.times.isKnown(slot) ? endpoints.times.average(slot, request.now) : fastest;
      unchecked((this.costs[slot] = (time * <f64>(eligible.inflight[slot] + 1)) / eligible.power[slot]));
    }
    while (!list.isFull && !left.isEmpty) {
      const slot = this.cheapest(left, request.random);
      list.push(slot);
      left.remove(slot);
    }
  }

  /** Chance decides between equals. */
  private cheapest(among: EndpointMask, random: u64): i32 {
    let best = -1;
    let ties: u64 = 1;
    for (let slot = among.next(0); slot >= 0; slot = among.next(slot + 1)) {
      const cost = unchecked(this.costs[slot]);
      if (best < 0 || cost < unchecked(this.costs[best])) {
        best = slot;
        ties = 1;
      } else if (cost == unchecked(this.costs[best]) && below(random ^ ties, ++ties) == 0) best = slot;
    }
    return best;
  }
}
