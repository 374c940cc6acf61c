import { Candidates } from "./candidates";
import { Endpoints } from "./endpoints";
import { PickList } from "./pick-list";
import { PickPolicy } from "./pick-policy";
import { PickRequest } from "./pick-request";
import { SmoothTurns } from "./smooth-turns";

/** Turns by weight, spread evenly. */
@final
export class SmoothWeighted extends PickPolicy {
  private readonly turns: SmoothTurns = new SmoothTurns();

  pick(request: PickRequest, endpoints: Endpoints, eligible: Candidates, list: PickList): void {
    list.push(this.turns.next(eligible.mask, eligible.power));
    this.fillByLoad(request, eligible, list);
  }

  forget(slot: i32): void {
    this.turns.reset(slot);
  }
}
