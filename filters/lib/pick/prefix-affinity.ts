/**
 * Prefix affinity, bounded: send a prompt where its beginning is cached, unless that endpoint has too much to do.
 *
 *   room      endpoints under their bound of in-flight requests, with at most queueTokens more pending than the least loaded; if nobody is, everybody. Whoever has the beginning of this prompt may have more
 *             or has to have less, by how much of all requests begins like that: `share`
 *   match     blocks from the beginning of the prompt that an endpoint has, times how far its predictions can be trusted
 *   cost      what the request makes of the endpoint's time, over its share: pending + requestTokens x in-flight + price x uncached
 *   price     of a token that is not cached, between 1 and missPrice: by what comes back of that which it replaces (turnover.ts), and by how many endpoints have something to compute (`delay`); and up to
 *             CROWDING more where memory is fuller than elsewhere
 *
 *   1 cold    nobody in room has `threshold` of the prompt, and there is a key: the first in the order of the key that costs at most slackTokens more than the cheapest
 *   2 warm    else the cheapest; the order of the key decides between equals
 *
 * A token costs more than the time to compute it: it takes the place of somebody else's, who may come back, and from then on the same text is in two places. So it is worth to
 * wait, a while for a long beginning and hardly for a short one. With a price of 1 prompts run after each idle moment and caches hold copies; without a limit they queue. Where nothing that is dropped ever comes
 * back, there is nothing to protect: then a place by the key, and room in memory, are worth nothing either, as `slackTokens` and CROWDING have it.
 *
 * Fuller: who has been sent more prompts than others, for its room, evicts them before they come again, as long as they go there. New ones go elsewhere, the price being what
 * they would cost. Among caches that are full, the one whose oldest block is youngest is fullest.
 *
 * Alternates come from the same steps without those already chosen. O(blocks + endpoints).
 */
import { CacheTrust } from "./cache-trust";
import { Candidates } from "./candidates";
import { EndpointMask, MAX_ENDPOINTS } from "./endpoint-mask";
import { Endpoints } from "./endpoints";
import { HotPrefixes } from "./hot-prefixes";
import { InflightBound } from "./inflight-bound";
import { keyScore } from "./key-order";
import { PickList } from "./pick-list";
import { PickPolicy } from "./pick-policy";
import { PickRequest } from "./pick-request";
import { PoolSettings } from "./pool-settings";
import { PrefixIndex } from "./prefix-index";
import { mixed } from "./random-bits";

/** Most that memory adds to the price of a token, and the difference in how full caches are that does. */
const CROWDING: f64 = 1;
const CROWDED: f64 = 0.125;
/** How much fuller than full the cache counts whose oldest block has just been used. */
const TURNOVER: f64 = 0.2;
/** A beginning that is so much of the fair share of each endpoint that has it, and no more, may stay there up to so many times the bound. */
const FITS: f64 = 0.5;
const STRETCH: f64 = 2;
/** Requests in flight that endpoints may always have of a beginning that is more than the fair shares of all who have it. */
const HOT_LEAST: f64 = 8;
/** Part of the longest match that endpoints with about the same beginning have. */
const SAME: f64 = 0.95;

@final
export class PrefixAffinity extends PickPolicy {
  private readonly threshold: f64;
  private readonly slackTokens: f64;
  private readonly queueTokens: f64;
  private readonly requestTokens: f64;
  private readonly missPrice: f64;
  private readonly bound: InflightBound;
  private readonly room: EndpointMask = new EndpointMask();
  /** Blocks by slot, and the same as far as they are trusted. */
  private readonly matches: StaticArray<i32> = new StaticArray<i32>(MAX_ENDPOINTS);
  private readonly trusted: StaticArray<f64> = new StaticArray<f64>(MAX_ENDPOINTS);
  private readonly costs: StaticArray<f64> = new StaticArray<f64>(MAX_ENDPOINTS);
  /** How full the cache is: share of its room, from 1 on by the age of its oldest block. */
  private readonly fills: StaticArray<f64> = new StaticArray<f64>(MAX_ENDPOINTS);
  /** By the order of the key; without one, by chance. Made when two have to be compared, which costs a logarithm for each: `ranked` says that they are there. */
  private ranked: bool = false;
  private readonly scores: StaticArray<f64> = new StaticArray<f64>(MAX_ENDPOINTS);
  /** Pending tokens over the endpoint's share. */
  private readonly queues: StaticArray<f64> = new StaticArray<f64>(MAX_ENDPOINTS);
  private longest: f64 = 0;
  private slack: f64 = 0;
  private readonly hot: HotPrefixes = new HotPrefixes();

  constructor(
    settings: PoolSettings,
    private readonly index: PrefixIndex,
    private readonly trust: CacheTrust,
  ) {
    super();
    this.threshold = settings.threshold;
    this.slackTokens = settings.slackTokens;
    this.queueTokens = settings.queueTokens;
    this.requestTokens = settings.requestTokens;
    this.missPrice = settings.missPrice;
    this.bound = new InflightBound(settings.bound, settings.leastInflight);
  }

  pick(request: PickRequest, endpoints: Endpoints, eligible: Candidates, list: PickList): void {
    list.bestMatch = this.index.match(request.chain, request.blocks, eligible.mask, this.matches);
    this.weigh(request, eligible, this.fill(eligible));
    this.ranked = false;
    this.bound.room(eligible, this.room);
    this.share(request, eligible, list.bestMatch);
    this.leaveQueues(eligible);
    while (!list.isFull && list.count < eligible.count) {
      if (this.room.isEmpty) this.others(eligible, list);
      const slot = this.choose(request, endpoints, eligible);
      list.push(slot);
      this.room.remove(slot);
    }
    const first = list.slot(0);
    list.matched = unchecked(this.matches[first]);
    list.uncached = <i32>this.uncached(request, first);
  }

  /** How full the caches are; the least of it. */
  private fill(eligible: Candidates): f64 {
    const index = this.index;
    let least = Infinity;
    let eldest: u32 = 0;
    for (let slot = eligible.mask.next(0); slot >= 0; slot = eligible.mask.next(slot + 1)) {
      const fill = index.fullness(slot);
      unchecked((this.fills[slot] = fill));
      least = min(least, fill);
      if (fill >= 1) eldest = max(eldest, index.age(slot));
    }
    return eldest == 0 ? least : this.compareAges(eligible, <f64>eldest);
  }

  private compareAges(eligible: Candidates, eldest: f64): f64 {
    let least = Infinity;
    for (let slot = eligible.mask.next(0); slot >= 0; slot = eligible.mask.next(slot + 1)) {
      let fill = unchecked(this.fills[slot]);
      if (fill >= 1) fill = 1 + TURNOVER * (1 - <f64>this.index.age(slot) / eldest);
      unchecked((this.fills[slot] = fill));
      least = min(least, fill);
    }
    return least;
  }

  /**
   * Changes who has room by how much of all requests begins as this one does. A copy helps where that is too much for those who have it: then they have to be under the bound, whatever `leastInflight` is.
   * If it is far less, it is others at the same endpoint that are too much, and those can go elsewhere for less, the new ones among them: then it may stay, up to STRETCH times the bound.
   */
  private share(request: PickRequest, eligible: Candidates, best: i32): void {
    if (best == 0 || <f64>best < this.threshold * <f64>request.blocks) return this.hot.other();
    const parts = this.hot.note(load<u64>(request.chain + (<usize>(best - 1) << 3))) * <f64>eligible.count;
    if (parts < 0) return;
    const least = <i32>(SAME * <f64>best);
    let holders = 0;
    for (let slot = eligible.mask.next(0); slot >= 0; slot = eligible.mask.next(slot + 1)) {
      if (unchecked(this.matches[slot]) >= least) holders++;
    }
    if (parts > <f64>holders) this.spread(eligible, least);
    else if (parts <= FITS * <f64>holders) this.stay(eligible, least);
  }

  private spread(eligible: Candidates, least: i32): void {
    for (let slot = this.room.next(0); slot >= 0; slot = this.room.next(slot + 1)) {
      if (unchecked(this.matches[slot]) < least) continue;
      if (<f64>unchecked(eligible.inflight[slot]) >= max(HOT_LEAST, this.bound.fair(eligible, slot))) this.room.remove(slot);
    }
  }

  private stay(eligible: Candidates, least: i32): void {
    for (let slot = eligible.mask.next(0); slot >= 0; slot = eligible.mask.next(slot + 1)) {
      if (unchecked(this.matches[slot]) < least) continue;
      if (<f64>unchecked(eligible.inflight[slot]) < STRETCH * this.bound.fair(eligible, slot)) this.room.add(slot);
    }
  }

  private weigh(request: PickRequest, eligible: Candidates, emptiest: f64): void {
    const most = this.missPrice;
    const memory = this.index.turnover.price(most);
    const worth = min(most, memory * delay(eligible));
    const keeps = most > 1 ? (memory - 1) / (most - 1) : 0;
    const crowding = CROWDING * keeps;
    this.slack = this.slackTokens * keeps;
    let longest: f64 = 0;
    for (let slot = eligible.mask.next(0); slot >= 0; slot = eligible.mask.next(slot + 1)) {
      const share = eligible.share(slot);
      const queue = unchecked(eligible.pending[slot]) / share;
      longest = max(longest, queue);
      unchecked((this.trusted[slot] = <f64>this.matches[slot] * this.trust.of(slot)));
      unchecked((this.queues[slot] = queue));
      const running = this.requestTokens * <f64>unchecked(eligible.inflight[slot]);
      const crowd = min(1.0, (unchecked(this.fills[slot]) - emptiest) * (1 / CROWDED));
      const price = worth + crowding * crowd;
      unchecked((this.costs[slot] = queue + (running + price * this.uncached(request, slot)) / share));
    }
    this.longest = longest;
  }

  private uncached(request: PickRequest, slot: i32): f64 {
    const tokens = <f64>request.tokens - unchecked(this.trusted[slot]) * request.blockTokens;
    return tokens < 0 ? 0 : tokens;
  }

  /** Those who have queueTokens more to compute than somebody else have no room. */
  private leaveQueues(eligible: Candidates): void {
    const room = this.room;
    if (room.isEmpty) room.copy(eligible.mask);
    if (this.longest <= this.queueTokens) return;
    let shortest = Infinity;
    for (let slot = room.next(0); slot >= 0; slot = room.next(slot + 1)) shortest = min(shortest, unchecked(this.queues[slot]));
    for (let slot = room.next(0); slot >= 0; slot = room.next(slot + 1)) {
      if (unchecked(this.queues[slot]) - shortest > this.queueTokens) room.remove(slot);
    }
  }

  /** Those who had no room, for the end of the list. */
  private others(eligible: Candidates, list: PickList): void {
    this.room.copy(eligible.mask);
    for (let i = 0; i < list.count; i++) this.room.remove(list.slot(i));
  }

  /** The best of `room`, which has somebody. */
  private choose(request: PickRequest, endpoints: Endpoints, eligible: Candidates): i32 {
    let found = -1;
    let cheapest = Infinity;
    let best: f64 = 0;
    for (let slot = this.room.next(0); slot >= 0; slot = this.room.next(slot + 1)) {
      const cost = unchecked(this.costs[slot]);
      best = max(best, unchecked(this.trusted[slot]));
      if (cost > cheapest) continue;
      if (cost < cheapest || this.prefers(slot, found, request, endpoints, eligible)) found = slot;
      cheapest = cost;
    }
    const isCold = best == 0 || best < this.threshold * <f64>request.blocks;
    if (!isCold || !request.hasKey) return found;
    for (let slot = this.room.next(0); slot >= 0; slot = this.room.next(slot + 1)) {
      if (unchecked(this.costs[slot]) > cheapest + this.slack) continue;
      if (this.prefers(slot, found, request, endpoints, eligible)) found = slot;
    }
    return found;
  }

  /** The key comes to `slot` before the other one. */
  @inline
  private prefers(slot: i32, other: i32, request: PickRequest, endpoints: Endpoints, eligible: Candidates): bool {
    if (slot == other) return false;
    if (!this.ranked) this.rank(request, endpoints, eligible);
    return unchecked(this.scores[slot]) > unchecked(this.scores[other]);
  }

  private rank(request: PickRequest, endpoints: Endpoints, eligible: Candidates): void {
    const key = request.hasKey ? request.key : mixed(request.random);
    for (let slot = eligible.mask.next(0); slot >= 0; slot = eligible.mask.next(slot + 1)) {
      unchecked((this.scores[slot] = keyScore(key, endpoints, slot)));
    }
    this.ranked = true;
  }
}

/**
 * How long work makes others wait, those who come while it is done, and those who come while these wait, in multiples of its own time: 1 / (1 - busy share), as for any queue. An endpoint is busy that has
 * tokens pending; one more that is idle makes it finite.
 */
function delay(eligible: Candidates): f64 {
  let idle = 1;
  for (let slot = eligible.mask.next(0); slot >= 0; slot = eligible.mask.next(slot + 1)) {
    if (unchecked(eligible.pending[slot]) <= 0) idle++;
  }
  return <f64>(eligible.count + 1) / <f64>idle;
}
