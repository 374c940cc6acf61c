import { Candidates } from "./candidates";
import { EndpointMask } from "./endpoint-mask";
import { Endpoints } from "./endpoints";
import { PickList } from "./pick-list";
import { PickRequest } from "./pick-request";
import { below } from "./random-bits";

/** One way to choose among the endpoints that may have a request. State that a policy keeps belongs to one pool. */
export abstract class PickPolicy {
  private readonly rest: EndpointMask = new EndpointMask();

  /**
   * Fills the empty list, best first. `eligible` has at least one endpoint. Nothing is counted yet: the request may not be sent after all.
   */
  abstract pick(request: PickRequest, endpoints: Endpoints, eligible: Candidates, list: PickList): void;

  /** The endpoint of the slot is gone. */
  forget(slot: i32): void {}

  /** Alternates of policies that have no order of their own: the least loaded ones. O(candidates). */
  protected fillByLoad(request: PickRequest, eligible: Candidates, list: PickList): void {
    const rest = this.rest;
    rest.copy(eligible.mask);
    while (!list.isFull && !rest.isEmpty) {
      const slot = leastLoaded(eligible, rest, request.random);
      list.push(slot);
      rest.remove(slot);
    }
  }
}

/** Fewest requests for its power among `among`, or -1; `random` decides between equals. O(candidates). */
export function leastLoaded(eligible: Candidates, among: EndpointMask, random: u64): i32 {
  let best = -1;
  let least: f64 = 0;
  let ties: u64 = 1;
  for (let slot = among.next(0); slot >= 0; slot = among.next(slot + 1)) {
    const load = <f64>(unchecked(eligible.inflight[slot]) + 1) / unchecked(eligible.power[slot]);
    if (best >= 0 && load > least) continue;
    if (best < 0 || load < least) {
      best = slot;
      least = load;
      ties = 1;
    } else if (below(random ^ ties, ++ties) == 0) best = slot;
  }
  return best;
}
