/**
 * The same key goes to the same endpoint, unless that one is over its bound of in-flight requests. Requests without a key are spread by chance.
 *
 * Weights are in the table. Slow start is not, because a table that changes all the time would move keys: it lowers the bound instead.
 */
import { EndpointHash } from "../endpoint-hash";
import { createEndpointHash } from "../hash-method";
import { Candidates } from "./candidates";
import { EndpointMask } from "./endpoint-mask";
import { Endpoints } from "./endpoints";
import { InflightBound } from "./inflight-bound";
import { PickList } from "./pick-list";
import { PickPolicy, leastLoaded } from "./pick-policy";
import { PickRequest } from "./pick-request";
import { Overflow, PoolSettings } from "./pool-settings";
import { mixed } from "./random-bits";

@final
export class ConsistentHash extends PickPolicy {
  readonly hash: EndpointHash;
  private readonly bound: InflightBound;
  private readonly jump: bool;
  private readonly room: EndpointMask = new EndpointMask();
  private readonly left: EndpointMask = new EndpointMask();

  constructor(settings: PoolSettings) {
    super();
    this.hash = createEndpointHash(settings.hashMethod, settings.hashFunction, settings.hashPoints);
    this.bound = new InflightBound(settings.bound, settings.leastInflight);
    this.jump = settings.overflow == Overflow.RandomJump;
  }

  pick(request: PickRequest, endpoints: Endpoints, eligible: Candidates, list: PickList): void {
    const key = request.hasKey ? request.key : mixed(request.random);
    const left = this.left;
    left.copy(eligible.mask);
    this.bound.room(eligible, this.room);
    while (!list.isFull && !left.isEmpty) {
      let slot = this.hash.pickBounded(key, changetype<usize>(left), changetype<usize>(this.room), this.jump);
      if (slot < 0) slot = leastLoaded(eligible, left, request.random);
      list.push(slot);
      left.remove(slot);
    }
  }
}
