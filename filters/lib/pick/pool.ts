/**
 * One upstream cluster's endpoints with a policy, seen from one worker: who gets the next request, and what became of the ones before.
 *
 *   pick -> sent -> (served) -> firstByte -> done
 *
 * All state is in the object. Everything is allocated by the constructor, except that tables of consistent hashing grow when endpoints are added.
 */
import { MAX_PREFIX_BLOCKS } from "../block-hashes";
import { BlockNews } from "./block-news";
import { CacheTrust } from "./cache-trust";
import { Candidates } from "./candidates";
import { ConsistentHash } from "./consistent-hash";
import { Endpoints } from "./endpoints";
import { LeastRequest } from "./least-request";
import { LeastResponseTime } from "./least-response-time";
import { LoraAffinity } from "./lora-affinity";
import { PickList } from "./pick-list";
import { PickPolicy } from "./pick-policy";
import { PickRequest } from "./pick-request";
import { Policy, PoolSettings } from "./pool-settings";
import { PrefixAffinity } from "./prefix-affinity";
import { PrefixIndex } from "./prefix-index";
import { Random } from "./random";
import { RoundRobin } from "./round-robin";
import { SmoothWeighted } from "./smooth-weighted";
import { Outcome, Ticket } from "./ticket";
import { TouchTimes } from "./touch-times";

/** Places of blocks that are news, u32 each; for one call. */
const FRESH: usize = heap.alloc(<usize>MAX_PREFIX_BLOCKS * sizeof<u32>());

@final
export class Pool {
  readonly endpoints: Endpoints;
  /** Only with prefix affinity. */
  readonly index: PrefixIndex | null;
  readonly trust: CacheTrust;
  readonly news: BlockNews;
  private readonly touches: TouchTimes = new TouchTimes();
  private readonly policy: PickPolicy;
  private readonly hashing: ConsistentHash | null;
  private readonly lora: LoraAffinity | null;
  private readonly eligible: Candidates = new Candidates();
  private readonly failureMs: f64;
  /** Blocks of each endpoint's cache. */
  private readonly blocks: StaticArray<i32>;
  private readonly usualBlocks: i32;
  private built: bool = false;

  constructor(settings: PoolSettings) {
    const trust = new CacheTrust(settings.capacity);
    let index: PrefixIndex | null = null;
    let hashing: ConsistentHash | null = null;
    let policy: PickPolicy;
    if (settings.policy == Policy.PrefixAffinity) {
      const table = indexOf(settings);
      index = table;
      policy = new PrefixAffinity(settings, table, trust);
    } else if (settings.policy == Policy.ConsistentHash) {
      const keyed = new ConsistentHash(settings);
      hashing = keyed;
      policy = keyed;
    } else policy = plainPolicy(settings.policy);
    this.trust = trust;
    this.index = index;
    this.hashing = hashing;
    this.policy = policy;
    this.endpoints = new Endpoints(settings);
    this.news = new BlockNews(index === null ? 0 : settings.newsCapacity);
    this.lora = settings.loraAffinity ? new LoraAffinity(settings) : null;
    this.failureMs = settings.failureResponseMs;
    this.usualBlocks = settings.blocksPerEndpoint;
    this.blocks = new StaticArray<i32>(settings.capacity);
  }

  /**
   * As `Endpoints.add`: the slot, or -1 when there is none. `name`: what consistent hashing knows the endpoint by, usually "ip:port"; 0: the hash.
   * The first endpoints are known to consistent hashing after `build`.
   */
  add(addressHash: u64, name: usize, length: i32, weight: u32, priority: u8, locality: u16, now: i64): i32 {
    const known = this.endpoints.find(addressHash);
    const before: u32 = known < 0 ? 0 : this.endpoints.weight(known);
    const slot = this.endpoints.add(addressHash, weight, priority, locality, now);
    if (slot < 0) return slot;
    if (known < 0) {
      this.trust.reset(slot);
      this.setBlocks(slot, this.usualBlocks);
    }
    const hashing = this.hashing;
    if (hashing === null || this.endpoints.weight(slot) == before) return slot;
    if (name == 0) {
      if (this.built) hashing.hash.joinHash(slot, addressHash, weight);
      else hashing.hash.putHash(slot, addressHash, weight);
    } else if (this.built) hashing.hash.join(slot, name, length, weight);
    else hashing.hash.put(slot, name, length, weight);
    return slot;
  }

  /** Once, behind the first endpoints. */
  build(): void {
    const hashing = this.hashing;
    if (hashing !== null && !this.built) hashing.hash.build();
    this.built = true;
  }

  /** Forgets all about the endpoint. Tickets of its requests may be used on; they change nothing. */
  remove(slot: i32): void {
    if (!this.endpoints.members.has(slot)) return;
    this.endpoints.remove(slot);
    const index = this.index;
    if (index !== null) index.clear(slot);
    this.news.forget(slot);
    this.policy.forget(slot);
    const hashing = this.hashing;
    if (hashing === null) return;
    if (this.built) hashing.hash.leave(slot);
    else hashing.hash.drop(slot);
  }

  /** Chooses; false and an empty list: nobody may have the request. */
  pick(request: PickRequest, list: PickList): bool {
    list.clear();
    const eligible = this.eligible;
    this.endpoints.eligible(request, eligible);
    if (eligible.count == 0) return false;
    list.desperate = eligible.desperate;
    const lora = this.lora;
    if (lora !== null && request.adapter != 0) {
      lora.restrict(request.adapter, this.endpoints.engines, request.now, eligible);
    }
    list.uncached = request.tokens;
    const index = this.index;
    if (index !== null) index.now = <u32>request.now;
    this.policy.pick(request, this.endpoints, eligible, list);
    if (list.desperate) return true;
    this.dropUnproven(list);
    this.addSpare(request, eligible, list);
    return true;
  }

  /** The request that was just picked for goes to the first of the list. A ticket that is still open is given up first. */
  sent(request: PickRequest, list: PickList, ticket: Ticket): void {
    this.done(ticket, request.now, Outcome.Abandoned);
    const slot = list.slot(0);
    ticket.open = true;
    ticket.answered = false;
    ticket.sentAt = request.now;
    ticket.pending = list.uncached;
    ticket.predicted = <i32>(<f64>list.matched * request.blockTokens);
    this.enter(slot, ticket);
    this.note(slot, request.chain, request.blocks, request.now);
  }

  /** Another endpoint than the ticket's has it: a retry, or Envoy's own choice. `chain` of 0 blocks when it is not known any more. */
  served(ticket: Ticket, slot: i32, chain: usize, blocks: i32, now: i64): void {
    if (!ticket.open || (ticket.slot == slot && this.holds(ticket))) return;
    this.leave(ticket);
    ticket.sentAt = now;
    ticket.predicted = 0;
    this.enter(slot, ticket);
    this.note(slot, chain, blocks, now);
  }

  /** The first byte of an answer that is no failure. */
  firstByte(ticket: Ticket, now: i64): void {
    if (!ticket.open || ticket.answered) return;
    ticket.answered = true;
    if (this.holds(ticket)) {
      const slot = ticket.slot;
      this.endpoints.addOwn(slot, 0, -(<i64>ticket.pending));
      this.endpoints.times.observe(slot, <f64>(now - ticket.sentAt), now);
      if (this.endpoints.quarantine.answer(slot, ticket.episode)) this.endpoints.startSlowly(slot, now);
    }
    ticket.pending = 0;
  }

  /** The stream is over; a success that nobody announced by `firstByte` began just now. A second call changes nothing. */
  done(ticket: Ticket, now: i64, outcome: Outcome): void {
    if (!ticket.open) return;
    if (outcome == Outcome.Success) this.firstByte(ticket, now);
    ticket.open = false;
    if (!this.holds(ticket)) return;
    this.leave(ticket);
    const slot = ticket.slot;
    if (outcome == Outcome.Failure) {
      const ms = <f64>(now - ticket.sentAt);
      this.endpoints.times.observe(slot, ms > this.failureMs ? ms : this.failureMs, now);
      this.endpoints.quarantine.fail(slot, ticket.episode, now);
    } else if (outcome == Outcome.Success) {
      if (this.endpoints.quarantine.succeed(slot, ticket.episode)) this.endpoints.startSlowly(slot, now);
    }
  }

  /** The endpoint has the chain in its cache, of this request or its answer. Counts as used just now. */
  cached(ticket: Ticket, chain: usize, blocks: i32): void {
    if (this.holds(ticket)) this.note(ticket.slot, chain, blocks, ticket.sentAt);
  }

  /** An answer takes room for `blocks` that nobody will ask for by this ticket's chain. */
  fill(ticket: Ticket, blocks: i32): void {
    const index = this.index;
    if (index !== null && this.holds(ticket)) index.fill(ticket.slot, blocks);
  }

  /** The engine says how many tokens of the prompt were cached; predicted ones in the same unit. */
  correct(ticket: Ticket, predictedTokens: i32, cachedTokens: i32): void {
    if (!this.holds(ticket)) return;
    this.trust.learn(ticket.slot, predictedTokens, cachedTokens);
    this.limitIndex(ticket.slot);
  }

  /** `count` hashes at `hashes`: what another worker found out about the endpoint, in the order of its news. */
  learn(slot: i32, hashes: usize, count: i32): void {
    const index = this.index;
    if (index === null || !this.endpoints.members.has(slot)) return;
    for (let i = 0; i < count; i++) index.insert(slot, load<u64>(hashes + (<usize>i << 3)));
  }

  /** Blocks that the endpoint's cache has room for. */
  setBlocks(slot: i32, blocks: i32): void {
    this.blocks[slot] = blocks;
    this.limitIndex(slot);
  }

  /** Mean of what the members say, 1 and more: nobody should come now who can wait. Those nobody knows about count as 1, and so does an empty pool. */
  saturation(now: i64, waiting: f64, kvPermille: f64): f64 {
    const members = this.endpoints.members;
    let sum: f64 = 0;
    for (let slot = members.next(0); slot >= 0; slot = members.next(slot + 1)) {
      sum += this.endpoints.engines.saturation(slot, now, waiting, kvPermille);
    }
    return members.isEmpty ? 1 : sum / <f64>members.count;
  }

  /** The endpoint is still the one that the request was sent to. */
  private holds(ticket: Ticket): bool {
    return ticket.slot >= 0 && this.endpoints.generation(ticket.slot) == ticket.generation;
  }

  private enter(slot: i32, ticket: Ticket): void {
    const quarantine = this.endpoints.quarantine;
    ticket.slot = slot;
    ticket.generation = this.endpoints.generation(slot);
    ticket.episode = quarantine.episode(slot);
    ticket.probe = quarantine.enter(slot);
    this.endpoints.addOwn(slot, 1, ticket.pending);
  }

  private leave(ticket: Ticket): void {
    if (!this.holds(ticket)) return;
    this.endpoints.addOwn(ticket.slot, -1, -(<i64>ticket.pending));
    if (ticket.probe) this.endpoints.quarantine.leave(ticket.slot, ticket.episode);
    ticket.probe = false;
  }

  /** From the tail to the head: the head is the last to be dropped. */
  private note(slot: i32, chain: usize, blocks: i32, now: i64): void {
    const index = this.index;
    if (index === null) return;
    const last = min(min(blocks, index.limit(slot)), MAX_PREFIX_BLOCKS) - 1;
    if (last < 0) return;
    const news = this.news;
    // News of what others know already: that it was used again.
    const touched = this.touches.isDue(slot, load<u64>(chain + (<usize>last << 3)), now);
    const fresh = index.insertChain(slot, chain, last + 1, FRESH);
    if (touched) for (let i = last; i >= 0; i--) news.push(slot, load<u64>(chain + (<usize>i << 3)));
    else for (let i = 0; i < fresh; i++) news.push(slot, load<u64>(chain + (<usize>load<u32>(FRESH + (<usize>i << 2)) << 3)));
  }

  private limitIndex(slot: i32): void {
    const index = this.index;
    if (index !== null) index.setLimit(slot, <i32>(<f64>this.blocks[slot] * this.trust.of(slot)));
  }

  /** The last of the list, so that a retry leaves a level that is failing as a whole. */
  private addSpare(request: PickRequest, eligible: Candidates, list: PickList): void {
    const spare = this.endpoints.spare(eligible, request.random);
    if (spare < 0) return;
    if (list.isFull) list.drop(list.count - 1);
    list.push(spare);
  }

  /** A retry should not go where nobody knows whether anything works. */
  private dropUnproven(list: PickList): void {
    for (let i = list.count - 1; i > 0; i--) {
      if (this.endpoints.quarantine.onProbation(list.slot(i))) list.drop(i);
    }
  }
}

function indexOf(settings: PoolSettings): PrefixIndex {
  const pairs = min(<i64>settings.capacity * <i64>settings.blocksPerEndpoint, <i64>settings.maxIndexPairs);
  return new PrefixIndex(settings.capacity, <i32>pairs, settings.blocksPerEndpoint);
}

function plainPolicy(policy: Policy): PickPolicy {
  if (policy == Policy.RoundRobin) return new RoundRobin();
  if (policy == Policy.Random) return new Random();
  if (policy == Policy.LeastResponseTime) return new LeastResponseTime();
  if (policy == Policy.WeightedRoundRobin) return new SmoothWeighted();
  return new LeastRequest();
}
