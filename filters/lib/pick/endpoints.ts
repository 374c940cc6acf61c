/**
 * The endpoints of a pool: who they are, what they are doing, and which of them may have a request. Struct of arrays; nothing is allocated after construction.
 *
 * A slot is an endpoint's index as long as it is in the pool. The next endpoint in the same slot starts from nothing; `generation` changes, so that what the old
 * one still has to end is not counted for the new one.
 */
import { Candidates } from "./candidates";
import { EndpointMask } from "./endpoint-mask";
import { EngineLoads } from "./engine-loads";
import { leastLoaded } from "./pick-policy";
import { PickRequest } from "./pick-request";
import { PoolSettings } from "./pool-settings";
import { PRIORITIES, PriorityLevels } from "./priority-levels";
import { Quarantine } from "./quarantine";
import { mixed } from "./random-bits";
import { ResponseTimes } from "./response-times";

/** Models and adapters that an endpoint can be restricted to. */
const MODELS: i32 = 80;
/** Least share of its weight that an endpoint has while it starts slowly. */
const LEAST_START: f64 = 0.1;

@final
export class Endpoints {
  readonly capacity: i32;
  /** Slots with an endpoint. */
  readonly members: EndpointMask = new EndpointMask();
  readonly quarantine: Quarantine;
  readonly engines: EngineLoads;
  readonly times: ResponseTimes;

  private readonly healthy: EndpointMask = new EndpointMask();
  private readonly draining: EndpointMask = new EndpointMask();
  private readonly degraded: EndpointMask = new EndpointMask();
  private readonly levels: PriorityLevels = new PriorityLevels();
  /** Who of the last `eligible` may have a request, too, at another level than the chosen one. */
  private readonly beyond: EndpointMask = new EndpointMask();
  private readonly addresses: StaticArray<u64>;
  private readonly weights: StaticArray<u32>;
  private readonly priorities: StaticArray<u8>;
  private readonly localities: StaticArray<u16>;
  private readonly generations: StaticArray<u32>;
  private readonly since: StaticArray<i64>;
  private readonly ownInflightOf: StaticArray<i32>;
  private readonly ownPendingOf: StaticArray<i64>;
  private readonly otherInflightOf: StaticArray<i32>;
  private readonly otherPendingOf: StaticArray<i64>;
  /** Most in-flight requests of ours since `turned`, and in the time before, which was at least as long as a snapshot may be old. */
  private readonly peaks: StaticArray<i32>;
  private readonly oldPeaks: StaticArray<i32>;
  private readonly turned: StaticArray<i64>;
  private readonly maxAgeMs: i64;
  private readonly foreign: StaticArray<i32>;
  private readonly models: StaticArray<u64>;
  private readonly modelCounts: StaticArray<u8>;
  private readonly maxInflight: i32;
  private readonly slowStartMs: i64;
  private readonly preferLocality: bool;
  private readonly locality: u16;
  private readonly foreignLoad: bool;

  constructor(settings: PoolSettings) {
    const capacity = settings.capacity;
    this.capacity = capacity;
    this.quarantine = new Quarantine(capacity, settings.quarantineMs, settings.maxQuarantineMs);
    this.engines = new EngineLoads(capacity, settings.maxSnapshotAgeMs);
    this.times = new ResponseTimes(capacity, settings.unknownResponseMs, settings.responseDecayMs);
    this.addresses = new StaticArray<u64>(capacity);
    this.weights = new StaticArray<u32>(capacity);
    this.priorities = new StaticArray<u8>(capacity);
    this.localities = new StaticArray<u16>(capacity);
    this.generations = new StaticArray<u32>(capacity);
    this.since = new StaticArray<i64>(capacity);
    this.ownInflightOf = new StaticArray<i32>(capacity);
    this.ownPendingOf = new StaticArray<i64>(capacity);
    this.otherInflightOf = new StaticArray<i32>(capacity);
    this.otherPendingOf = new StaticArray<i64>(capacity);
    this.peaks = new StaticArray<i32>(capacity);
    this.oldPeaks = new StaticArray<i32>(capacity);
    this.turned = new StaticArray<i64>(capacity);
    this.maxAgeMs = settings.maxSnapshotAgeMs;
    this.foreign = new StaticArray<i32>(capacity);
    this.models = new StaticArray<u64>(capacity * MODELS);
    this.modelCounts = new StaticArray<u8>(capacity);
    this.maxInflight = settings.maxInflight;
    this.slowStartMs = settings.slowStartMs;
    this.preferLocality = settings.preferLocality;
    this.locality = settings.locality;
    this.foreignLoad = settings.foreignLoad;
  }

  /** Puts an endpoint into the lowest free slot, or changes the one that is there; -1 when all slots are taken. `addressHash`: xxhash64 of "ip:port", seed 0. */
  add(addressHash: u64, weight: u32, priority: u8, locality: u16, now: i64): i32 {
    let slot = this.find(addressHash);
    if (slot < 0) {
      slot = this.free();
      if (slot < 0) return -1;
      this.reset(slot, now);
      this.members.add(slot);
      this.healthy.add(slot);
      this.addresses[slot] = addressHash;
    }
    this.weights[slot] = weight == 0 ? 1 : weight;
    this.priorities[slot] = min<u8>(priority, <u8>(PRIORITIES - 1));
    this.localities[slot] = locality;
    return slot;
  }

  remove(slot: i32): void {
    this.members.remove(slot);
    this.generations[slot]++;
  }

  /** Slot of an endpoint, or -1. O(capacity). */
  find(addressHash: u64): i32 {
    for (let slot = this.members.next(0); slot >= 0; slot = this.members.next(slot + 1)) {
      if (unchecked(this.addresses[slot]) == addressHash) return slot;
    }
    return -1;
  }

  addressHash(slot: i32): u64 {
    return this.addresses[slot];
  }

  weight(slot: i32): u32 {
    return this.weights[slot];
  }

  generation(slot: i32): u32 {
    return this.generations[slot];
  }

  /** What health checks or the control plane say. An endpoint that comes back starts slowly. */
  setHealthy(slot: i32, healthy: bool, now: i64): void {
    if (healthy && !this.healthy.has(slot)) this.startSlowly(slot, now);
    if (healthy) this.healthy.add(slot);
    else this.healthy.remove(slot);
  }

  setDraining(slot: i32, draining: bool): void {
    if (draining) this.draining.add(slot);
    else this.draining.remove(slot);
  }

  /** It works, but should get only what healthy ones cannot take. */
  setDegraded(slot: i32, degraded: bool): void {
    if (degraded) this.degraded.add(slot);
    else this.degraded.remove(slot);
  }

  /** The endpoint serves any model again. */
  clearModels(slot: i32): void {
    this.modelCounts[slot] = 0;
  }

  /** The endpoint serves only models (or adapters) that are added: hashes of their names. False: there is no room for more. */
  addModel(slot: i32, model: u64): bool {
    const count = <i32>this.modelCounts[slot];
    if (count == MODELS) return false;
    this.models[slot * MODELS + count] = model;
    this.modelCounts[slot] = <u8>(count + 1);
    return true;
  }

  ownInflight(slot: i32): i32 {
    return this.ownInflightOf[slot];
  }

  ownPending(slot: i32): i64 {
    return this.ownPendingOf[slot];
  }

  /** Of all workers, without other gateways. */
  inflight(slot: i32): i32 {
    return unchecked(this.ownInflightOf[slot]) + unchecked(this.otherInflightOf[slot]);
  }

  pending(slot: i32): i64 {
    return unchecked(this.ownPendingOf[slot]) + unchecked(this.otherPendingOf[slot]);
  }

  addOwn(slot: i32, inflight: i32, pending: i64): void {
    this.ownInflightOf[slot] += inflight;
    this.ownPendingOf[slot] += pending;
    this.notePeak(slot);
  }

  /** Sums of all other workers. */
  setOthers(slot: i32, inflight: i32, pending: i64): void {
    this.otherInflightOf[slot] = inflight < 0 ? 0 : inflight;
    this.otherPendingOf[slot] = pending < 0 ? 0 : pending;
    this.notePeak(slot);
  }

  /** As `EngineLoads.set`. Requests there that are more than we had at any time that it may speak of come from other gateways, and count as load while the snapshot is fresh. */
  setSnapshot(slot: i32, at: i64, waiting: i32, running: i32, kvPermille: i32, maxAdapters: i32): void {
    this.engines.set(slot, at, waiting, running, kvPermille, maxAdapters);
    this.noteForeign(slot, at, waiting + running);
  }

  /** As `setSnapshot`, by what an answer said: the adapters stay as they were. */
  updateSnapshot(slot: i32, at: i64, waiting: i32, running: i32, kvPermille: i32): void {
    this.engines.update(slot, at, waiting, running, kvPermille);
    this.noteForeign(slot, at, waiting + running);
  }

  private noteForeign(slot: i32, at: i64, requests: i32): void {
    const ours = max(this.peaks[slot], this.oldPeaks[slot]);
    const excess = requests - ours;
    this.foreign[slot] = this.foreignLoad && excess > 0 ? excess : 0;
    if (at - this.turned[slot] < this.maxAgeMs) return;
    this.turned[slot] = at;
    this.oldPeaks[slot] = this.peaks[slot];
    this.peaks[slot] = this.inflight(slot);
  }

  /** The endpoint has its weight only after a while. */
  startSlowly(slot: i32, now: i64): void {
    this.since[slot] = now;
  }

  /** Weight, less while the endpoint starts slowly. */
  power(slot: i32, now: i64): f64 {
    const weight = <f64>unchecked(this.weights[slot]);
    if (this.slowStartMs == 0) return weight;
    const part = <f64>(now - unchecked(this.since[slot])) / <f64>this.slowStartMs;
    return part >= 1 ? weight : part < LEAST_START ? weight * LEAST_START : weight * part;
  }

  /**
   * Finds who may have the request. Members of the subset that serve its model make up the priority levels; of those that are healthy, do not drain and are not quarantined, one level is chosen
   * (`PriorityLevels`; requests with a key by their key, as Envoy does, so that they stay where they are). Of that level whoever has room, and of those our own locality, if we prefer it and it has any.
   * Has nobody of it room: the first level with room. Nobody but quarantined ones: then those, because a guess should not make an outage. O(capacity).
   */
  eligible(request: PickRequest, into: Candidates): void {
    into.desperate = false;
    this.select(request, into, false);
    if (into.mask.isEmpty) {
      this.select(request, into, true);
      into.desperate = !into.mask.isEmpty;
    }
    into.sum();
  }

  /** The least loaded endpoint of the first other level with room than that of the last `eligible`, or -1: where a retry goes when the whole level has a problem. O(candidates). */
  spare(from: Candidates, random: u64): i32 {
    const beyond = this.beyond;
    if (beyond.isEmpty || !this.firstLevel(beyond)) return -1;
    for (let slot = beyond.next(0); slot >= 0; slot = beyond.next(slot + 1)) {
      if (!this.atLevel(slot) || this.quarantine.onProbation(slot)) beyond.remove(slot);
    }
    return leastLoaded(from, beyond, random);
  }

  private select(request: PickRequest, into: Candidates, desperate: bool): void {
    const mask = into.mask;
    const levels = this.levels;
    mask.copy(this.members);
    if (request.hasSubset) mask.and(request.subset);
    levels.begin();
    for (let slot = mask.next(0); slot >= 0; slot = mask.next(slot + 1)) {
      if (!this.serves(slot, request.model)) {
        mask.remove(slot);
        continue;
      }
      const usable = this.healthy.has(slot) && !this.draining.has(slot) && (desperate || this.quarantine.admits(slot, request.now));
      levels.add(<i32>unchecked(this.priorities[slot]), usable, this.degraded.has(slot));
      const load = this.inflight(slot) + (this.engines.fresh(slot, request.now) ? unchecked(this.foreign[slot]) : 0);
      if (!usable || (this.maxInflight > 0 && load >= this.maxInflight)) {
        mask.remove(slot);
        continue;
      }
      unchecked((into.inflight[slot] = load));
      unchecked((into.pending[slot] = <f64>this.pending(slot)));
      unchecked((into.power[slot] = this.power(slot, request.now)));
    }
    this.beyond.clear();
    if (!levels.choose(mixed(request.hasKey ? request.key : request.random))) return;
    if (!this.hasLevel(mask) && !this.firstLevel(mask)) return;
    this.keepLevel(mask);
  }

  /** Puts those of other levels into `beyond`, and out of `mask` as well as, if there are near ones, those that are far. */
  private keepLevel(mask: EndpointMask): void {
    let near = false;
    for (let slot = mask.next(0); slot >= 0; slot = mask.next(slot + 1)) {
      if (!this.atLevel(slot)) {
        mask.remove(slot);
        this.beyond.add(slot);
      } else if (unchecked(this.localities[slot]) == this.locality) near = this.preferLocality;
    }
    if (!near) return;
    for (let slot = mask.next(0); slot >= 0; slot = mask.next(slot + 1)) {
      if (unchecked(this.localities[slot]) != this.locality) mask.remove(slot);
    }
  }

  @inline
  private atLevel(slot: i32): bool {
    return <i32>unchecked(this.priorities[slot]) == this.levels.priority && this.degraded.has(slot) == this.levels.degraded;
  }

  /** Somebody of the mask is at the chosen level. */
  private hasLevel(mask: EndpointMask): bool {
    for (let slot = mask.next(0); slot >= 0; slot = mask.next(slot + 1)) if (this.atLevel(slot)) return true;
    return false;
  }

  /** Chooses the first level that somebody of the mask is at: healthy ones by priority, then degraded ones. False for an empty mask. */
  private firstLevel(mask: EndpointMask): bool {
    const levels = this.levels;
    let found = false;
    for (let slot = mask.next(0); slot >= 0; slot = mask.next(slot + 1)) {
      const priority = <i32>unchecked(this.priorities[slot]);
      const degraded = this.degraded.has(slot);
      if (found && (degraded == levels.degraded ? priority >= levels.priority : degraded)) continue;
      levels.priority = priority;
      levels.degraded = degraded;
      found = true;
    }
    return found;
  }

  private serves(slot: i32, model: u64): bool {
    const count = <i32>unchecked(this.modelCounts[slot]);
    if (count == 0 || model == 0) return true;
    for (let i = slot * MODELS; i < slot * MODELS + count; i++) if (unchecked(this.models[i]) == model) return true;
    return false;
  }

  private notePeak(slot: i32): void {
    const inflight = this.inflight(slot);
    if (inflight > this.peaks[slot]) this.peaks[slot] = inflight;
  }

  private free(): i32 {
    for (let slot = 0; slot < this.capacity; slot++) if (!this.members.has(slot)) return slot;
    return -1;
  }

  private reset(slot: i32, now: i64): void {
    this.draining.remove(slot);
    this.degraded.remove(slot);
    this.quarantine.reset(slot);
    this.engines.forget(slot);
    this.times.reset(slot);
    this.startSlowly(slot, now);
    this.ownInflightOf[slot] = 0;
    this.ownPendingOf[slot] = 0;
    this.otherInflightOf[slot] = 0;
    this.otherPendingOf[slot] = 0;
    this.peaks[slot] = 0;
    this.oldPeaks[slot] = 0;
    this.turned[slot] = now;
    this.modelCounts[slot] = 0;
  }
}
