/**
 * Prefix affinity, bounded: send a prompt where its beginning is cached, unless that endpoint has too much to do.
 *
 *   room      endpoints under their bound of in-flight requests; if nobody is, everybody
 *   match     blocks from the beginning of the prompt that an endpoint has, times how far its predictions can be trusted
 *   L         what the request would wait for there: pending + its own uncached tokens + requestTokens x in-flight, over the endpoint's share
 *
 *   1 warm    somebody in room has `threshold` of the prompt: of those within `tie` of the best, the smallest L ...
 *             ... if it has at most queueTokens more pending than the least loaded in room
 *   2 key     else the first in the order of the key that has at most slackTokens more pending than the least loaded
 *   3 load    else, when there is no key, the smallest L
 *
 * Alternates come from the same steps without those already chosen. O(blocks + endpoints).
 */
import { CacheTrust } from "./cache-trust";
import { Candidates } from "./candidates";
import { EndpointMask, MAX_ENDPOINTS } from "./endpoint-mask";
import { Endpoints } from "./endpoints";
import { InflightBound } from "./inflight-bound";
import { keyScore } from "./key-order";
import { PickList } from "./pick-list";
import { PickPolicy } from "./pick-policy";
import { PickRequest } from "./pick-request";
import { PoolSettings } from "./pool-settings";
import { PrefixIndex } from "./prefix-index";
import { mixed } from "./random-bits";

@final
export class PrefixAffinity extends PickPolicy {
  private readonly threshold: f64;
  private readonly tie: f64;
  private readonly slackTokens: f64;
  private readonly queueTokens: f64;
  private readonly requestTokens: f64;
  private readonly bound: InflightBound;
  private readonly room: EndpointMask = new EndpointMask();
  /** Blocks by slot, and the same as far as they are trusted. */
  private readonly matches: StaticArray<i32> = new StaticArray<i32>(MAX_ENDPOINTS);
  private readonly trusted: StaticArray<f64> = new StaticArray<f64>(MAX_ENDPOINTS);
  private readonly costs: StaticArray<f64> = new StaticArray<f64>(MAX_ENDPOINTS);
  /** By the order of the key; without one, by chance. */
  private readonly scores: StaticArray<f64> = new StaticArray<f64>(MAX_ENDPOINTS);
  /** Pending tokens over the endpoint's share. */
  private readonly queues: StaticArray<f64> = new StaticArray<f64>(MAX_ENDPOINTS);

  constructor(
    settings: PoolSettings,
    private readonly index: PrefixIndex,
    private readonly trust: CacheTrust,
  ) {
    super();
    this.threshold = settings.threshold;
    this.tie = settings.tie;
    this.slackTokens = settings.slackTokens;
    this.queueTokens = settings.queueTokens;
    this.requestTokens = settings.requestTokens;
    this.bound = new InflightBound(settings.bound, settings.leastInflight);
  }

  pick(request: PickRequest, endpoints: Endpoints, eligible: Candidates, list: PickList): void {
    list.bestMatch = this.index.match(request.chain, request.blocks, eligible.mask, this.matches);
    this.weigh(request, endpoints, eligible);
    this.bound.room(eligible, this.room);
    while (!list.isFull && list.count < eligible.count) {
      if (this.room.isEmpty) this.room.copy(eligible.mask);
      const slot = this.choose(request);
      list.push(slot);
      this.room.remove(slot);
    }
    const first = list.slot(0);
    list.matched = unchecked(this.matches[first]);
    list.uncached = <i32>this.uncached(request, first);
  }

  private weigh(request: PickRequest, endpoints: Endpoints, eligible: Candidates): void {
    const key = request.hasKey ? request.key : mixed(request.random);
    for (let slot = eligible.mask.next(0); slot >= 0; slot = eligible.mask.next(slot + 1)) {
      const share = eligible.share(slot);
      const queue = unchecked(eligible.pending[slot]) / share;
      unchecked((this.trusted[slot] = <f64>this.matches[slot] * this.trust.of(slot)));
      unchecked((this.queues[slot] = queue));
      unchecked((this.scores[slot] = keyScore(key, endpoints, slot)));
      const running = this.requestTokens * <f64>unchecked(eligible.inflight[slot]);
      unchecked((this.costs[slot] = queue + (this.uncached(request, slot) + running) / share));
    }
  }

  private uncached(request: PickRequest, slot: i32): f64 {
    const tokens = <f64>request.tokens - unchecked(this.trusted[slot]) * request.blockTokens;
    return tokens < 0 ? 0 : tokens;
  }

  /** The best of `room`, which has somebody. */
  private choose(request: PickRequest): i32 {
    let shortest = Infinity;
    let best: f64 = 0;
    for (let slot = this.room.next(0); slot >= 0; slot = this.room.next(slot + 1)) {
      shortest = min(shortest, unchecked(this.queues[slot]));
      best = max(best, unchecked(this.trusted[slot]));
    }
    const blocks = <f64>request.blocks;
    if (best > 0 && best >= this.threshold * blocks) {
      const warm = this.cheapest(best - this.tie * blocks);
      if (unchecked(this.queues[warm]) - shortest <= this.queueTokens) return warm;
    }
    const kept = request.hasKey ? this.preferred(shortest + this.slackTokens) : -1;
    return kept >= 0 ? kept : this.cheapest(0);
  }

  /** Smallest cost among those with `least` trusted blocks; the score decides between equals. */
  private cheapest(least: f64): i32 {
    let found = -1;
    for (let slot = this.room.next(0); slot >= 0; slot = this.room.next(slot + 1)) {
      if (unchecked(this.trusted[slot]) < least) continue;
      if (found < 0 || this.cheaper(slot, found)) found = slot;
    }
    return found;
  }

  @inline
  private cheaper(slot: i32, other: i32): bool {
    const less = unchecked(this.costs[slot]) - unchecked(this.costs[other]);
    return less < 0 || (less == 0 && unchecked(this.scores[slot]) > unchecked(this.scores[other]));
  }

  /** First in the order of the key with at most `most` pending, or -1. */
  private preferred(most: f64): i32 {
    let found = -1;
    for (let slot = this.room.next(0); slot >= 0; slot = this.room.next(slot + 1)) {
      if (unchecked(this.queues[slot]) > most) continue;
      if (found < 0 || unchecked(this.scores[slot]) > unchecked(this.scores[found])) found = slot;
    }
    return found;
  }
}
