import { Candidates } from "./candidates";
import { Endpoints } from "./endpoints";
import { PickList } from "./pick-list";
import { PickPolicy } from "./pick-policy";
import { PickRequest } from "./pick-request";
import { SmoothTurns } from "./smooth-turns";

/** One after the other, in the order of their slots; alternates are the next ones. With unequal weights: turns by weight, as Envoy does. */
@final
export class RoundRobin extends PickPolicy {
  private cursor: i32 = 0;
  private readonly turns: SmoothTurns = new SmoothTurns();

  pick(request: PickRequest, endpoints: Endpoints, eligible: Candidates, list: PickList): void {
    let slot: i32;
    if (eligible.even) {
      slot = eligible.mask.next(this.cursor);
      if (slot < 0) slot = eligible.mask.next(0);
    } else slot = this.turns.next(eligible.mask, eligible.power);
    this.cursor = slot + 1;
    const count = eligible.count;
    for (let i = 0; i < count && !list.isFull; i++) {
      list.push(slot);
      slot = eligible.mask.next(slot + 1);
      if (slot < 0) slot = eligible.mask.next(0);
    }
  }

  forget(slot: i32): void {
    this.turns.reset(slot);
  }
}
