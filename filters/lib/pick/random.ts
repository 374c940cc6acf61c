import { Candidates } from "./candidates";
import { EndpointMask } from "./endpoint-mask";
import { Endpoints } from "./endpoints";
import { PickList } from "./pick-list";
import { PickPolicy } from "./pick-policy";
import { PickRequest } from "./pick-request";
import { fraction, mixed } from "./random-bits";

/** By chance, in proportion to weight; alternates likewise. */
@final
export class Random extends PickPolicy {
  private readonly left: EndpointMask = new EndpointMask();

  pick(request: PickRequest, endpoints: Endpoints, eligible: Candidates, list: PickList): void {
    const left = this.left;
    left.copy(eligible.mask);
    let total = eligible.totalPower;
    let random = request.random;
    while (!list.isFull && !left.isEmpty) {
      const slot = draw(left, eligible.power, total * fraction(random));
      list.push(slot);
      left.remove(slot);
      total -= unchecked(eligible.power[slot]);
      random = mixed(random);
    }
  }
}

/** The slot in whose part of the sum of weights `at` is; the last one when rounding leaves nobody. */
function draw(among: EndpointMask, weights: StaticArray<f64>, at: f64): i32 {
  let last = -1;
  for (let slot = among.next(0); slot >= 0; slot = among.next(slot + 1)) {
    last = slot;
    at -= unchecked(weights[slot]);
    if (at < 0) break;
  }
  return last;
}
