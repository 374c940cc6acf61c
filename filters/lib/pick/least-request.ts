/**
 * Fewest requests in flight. Equal weights: the better one of two at random, because the least loaded of all draws everybody's next request at once when the
 * counts are old. Unequal weights: in turns, each with weight / (in-flight + 1), as Envoy does.
 */
import { Candidates } from "./candidates";
import { EndpointMask, MAX_ENDPOINTS } from "./endpoint-mask";
import { Endpoints } from "./endpoints";
import { PickList } from "./pick-list";
import { PickPolicy } from "./pick-policy";
import { PickRequest } from "./pick-request";
import { below, mixed } from "./random-bits";
import { SmoothTurns } from "./smooth-turns";

@final
export class LeastRequest extends PickPolicy {
  private readonly turns: SmoothTurns = new SmoothTurns();
  private readonly weights: StaticArray<f64> = new StaticArray<f64>(MAX_ENDPOINTS);

  pick(request: PickRequest, endpoints: Endpoints, eligible: Candidates, list: PickList): void {
    list.push(eligible.even ? this.betterOfTwo(request, eligible) : this.inTurn(eligible));
    this.fillByLoad(request, eligible, list);
  }

  forget(slot: i32): void {
    this.turns.reset(slot);
  }

  private betterOfTwo(request: PickRequest, eligible: Candidates): i32 {
    const mask: EndpointMask = eligible.mask;
    const count = <u64>eligible.count;
    const first = below(request.random, count);
    if (count == 1) return mask.at(0);
    const other = (first + 1 + below(mixed(request.random), count - 1)) % count;
    const one = mask.at(<i32>first);
    const two = mask.at(<i32>other);
    return unchecked(eligible.inflight[two]) < unchecked(eligible.inflight[one]) ? two : one;
  }

  private inTurn(eligible: Candidates): i32 {
    for (let slot = eligible.mask.next(0); slot >= 0; slot = eligible.mask.next(slot + 1)) {
      unchecked((this.weights[slot] = eligible.power[slot] / <f64>(eligible.inflight[slot] + 1)));
    }
    return this.turns.next(eligible.mask, this.weights);
  }
}
