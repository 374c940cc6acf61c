/**
 * A pool at work: the endpoints of a configuration in a pool of lib/pick, with their addresses and statistics.
 *
 * It lives longer than its configuration: what is known of caches and loads is worth more than the configuration that it was learned under. A new configuration
 * shares the pool of the same name if it picks in the same way, and only says who of it may be picked.
 *
 * Configurations live side by side while listeners drain, and an earlier one may come back without being read again: Envoy has it still. So the pool holds the endpoints of all of them,
 * and works for the one that the last request came by.
 */
import { EndpointMask, MAX_ENDPOINTS } from "../lib/pick/endpoint-mask";
import { PickRequest } from "../lib/pick/pick-request";
import { Pool } from "../lib/pick/pool";
import { PoolSettings } from "../lib/pick/pool-settings";
import { xxhash64 } from "../lib/xxhash64";
import { Bytes, ByteWriter, property, Status } from "../sdk";
import { EndpointConfig, Health, PoolConfig } from "./pool-config";
import { PoolMetrics } from "./picker-metrics";

/** Bytes of canonical prompt in a block of the index. */
export const BLOCK_BYTES: i32 = 256;

/** Bounds of what is learned: one token for 20 bytes, and one for each. */
const LEAST_RATIO: f64 = 0.05;
const MOST_RATIO: f64 = 1;
const LEARNING: f64 = 0.05;

@final
export class PickerPool {
  readonly pool: Pool;
  readonly metrics: PoolMetrics;
  /** "ip:port" by slot. */
  private readonly addresses: StaticArray<Bytes>;
  /** Learned from what engines report. */
  tokensPerByte: f64;
  /** The configuration that it works for. */
  owner: u32 = 0;
  /** By age. */
  private readonly claims: Claim[] = [];

  constructor(
    /** Of its name and how it picks. */
    readonly key: u64,
    name: string,
    readonly settings: PoolSettings,
    tokensPerByte: f64,
  ) {
    this.pool = new Pool(settings);
    this.metrics = new PoolMetrics(name);
    this.addresses = new StaticArray<Bytes>(settings.capacity);
    const none = new Bytes();
    for (let slot = 0; slot < settings.capacity; slot++) this.addresses[slot] = none;
    this.tokensPerByte = tokensPerByte;
  }

  address(slot: i32): Bytes {
    return unchecked(this.addresses[slot]);
  }

  /** A configuration comes. O(endpoints squared). */
  claim(owner: u32, endpoints: EndpointConfig[], localities: LocalityCodes, now: i64): void {
    this.makeRoom(endpoints);
    const claim = new Claim(owner, endpoints, localities);
    this.claims.push(claim);
    this.apply(claim, now);
    this.pool.build();
  }

  /** Works for that configuration from now on. O(endpoints squared). */
  turnTo(owner: u32, now: i64): void {
    for (let i = 0; i < this.claims.length; i++) if (this.claims[i].owner == owner) this.apply(this.claims[i], now);
  }

  /** The configuration is gone, and so are the endpoints that only it had. True: it was the last one. */
  release(owner: u32, now: i64): bool {
    const claims = this.claims;
    for (let i = claims.length - 1; i >= 0; i--) if (claims[i].owner == owner) claims.splice(i, 1);
    const members = this.pool.endpoints.members;
    for (let slot = members.next(0); slot >= 0; slot = members.next(slot + 1)) {
      let wanted = false;
      for (let i = 0; i < claims.length; i++) wanted = wanted || claims[i].members.has(slot);
      if (!wanted) this.pool.remove(slot);
    }
    if (claims.length > 0 && this.owner == owner) this.apply(claims[claims.length - 1], now);
    return claims.length == 0;
  }

  /** Only endpoints of the configuration that the pool works for. */
  restrict(request: PickRequest): void {
    if (this.claims.length < 2) return;
    const members = this.members;
    if (request.hasSubset) request.subset.and(members);
    else request.subset.copy(members);
    request.hasSubset = true;
  }

  /** The endpoints of the configuration that it works for. */
  get members(): EndpointMask {
    for (let i = 0; i < this.claims.length; i++) if (this.claims[i].owner == this.owner) return this.claims[i].members;
    return this.pool.endpoints.members;
  }

  private apply(claim: Claim, now: i64): void {
    const pool = this.pool;
    this.owner = claim.owner;
    this.metrics.forget();
    for (let i = 0; i < claim.endpoints.length; i++) {
      const endpoint = claim.endpoints[i];
      const address = endpoint.address;
      const locality = claim.localities.codeOf(endpoint.locality);
      const slot = pool.add(hashOf(address), address.ptr, address.len, endpoint.weight, <u8>endpoint.priority, locality, now);
      if (slot < 0) continue;
      claim.members.add(slot);
      this.addresses[slot] = address;
      pool.endpoints.setDraining(slot, endpoint.draining);
      pool.endpoints.setDegraded(slot, endpoint.health == Health.Degraded);
      pool.endpoints.setHealthy(slot, endpoint.health != Health.Unhealthy, now);
      pool.endpoints.clearModels(slot);
      for (let m = 0; m < endpoint.models.length; m++) pool.endpoints.addModel(slot, endpoint.models[m]);
      if (endpoint.models.length == 0) continue;
      for (let a = 0; a < endpoint.adapters.length; a++) pool.endpoints.addModel(slot, endpoint.adapters[a]);
    }
  }

  /** Without room for all, those go that the new configuration does not have. */
  private makeRoom(endpoints: EndpointConfig[]): void {
    const known = this.pool.endpoints;
    let count = known.members.count;
    for (let i = 0; i < endpoints.length; i++) if (known.find(hashOf(endpoints[i].address)) < 0) count++;
    if (count <= this.settings.capacity) return;
    for (let slot = known.members.next(0); slot >= 0; slot = known.members.next(slot + 1)) {
      if (names(endpoints, known.addressHash(slot))) continue;
      this.pool.remove(slot);
      for (let i = 0; i < this.claims.length; i++) this.claims[i].members.remove(slot);
    }
  }

  /** An engine reported that the prompt of `bytes` was so many tokens. */
  learn(bytes: u32, tokens: i64): void {
    if (bytes < 512 || tokens <= 0) return;
    const ratio = min(MOST_RATIO, max(LEAST_RATIO, <f64>tokens / <f64>bytes));
    this.tokensPerByte += (ratio - this.tokensPerByte) * LEARNING;
  }
}

/** Slot numbers of a pool's endpoints go by this. */
export function hashOf(address: Bytes): u64 {
  return xxhash64(address.ptr, address.len, 0);
}

function names(endpoints: EndpointConfig[], hash: u64): bool {
  for (let i = 0; i < endpoints.length; i++) if (hashOf(endpoints[i].address) == hash) return true;
  return false;
}

/** A configuration's part in a pool. */
@final
class Claim {
  readonly members: EndpointMask = new EndpointMask();

  constructor(
    readonly owner: u32,
    readonly endpoints: EndpointConfig[],
    readonly localities: LocalityCodes,
  ) {}
}

/** Small numbers for localities; 0 is the unknown one. */
@final
export class LocalityCodes {
  private readonly known: Bytes[] = [];

  codeOf(locality: Bytes): u16 {
    if (locality.len == 0) return 0;
    for (let i = 0; i < this.known.length; i++) if (this.known[i].equals(locality)) return <u16>(i + 1);
    return <u16>this.known.push(locality);
  }
}

/** Memory that the indexes of one configuration may take together, in each worker: while it is replaced, those of two. */
const INDEX_BYTES: i32 = 16 * 1024 * 1024;
/** Of one block at one endpoint, in pools of up to 64 and of more. */
const PAIR_BYTES: i32 = 51;
const LARGE_PAIR_BYTES: i32 = 87;

const text = new ByteWriter();
const value = new Bytes();

/** Those that a configuration has. */
const kept: PickerPool[] = [];
let owners: u32 = 0;

export namespace pickerPools {
  /** A number for a configuration. */
  export function nextOwner(): u32 {
    return ++owners;
  }

  /** The configuration is gone: its pools, too, unless another one shares them. */
  export function release(owner: u32, now: i64): void {
    for (let i = kept.length - 1; i >= 0; i--) if (kept[i].release(owner, now)) kept.splice(i, 1);
  }

  /** The pool of that configuration, one of `pools`, as it was or new. */
  export function take(config: PoolConfig, pools: i32, scope: u64, own: Bytes, tokensPerByte: f64, owner: u32, now: i64): PickerPool {
    const settings = config.settings;
    settings.capacity = roomFor(config.endpoints.length);
    settings.maxIndexPairs = INDEX_BYTES / pools / (settings.capacity > 64 ? LARGE_PAIR_BYTES : PAIR_BYTES);
    const localities = new LocalityCodes();
    settings.locality = localities.codeOf(own);
    const key = xxhash64(config.name.ptr, config.name.len, scope ^ config.shape ^ <u64>settings.capacity);
    let pool: PickerPool | null = null;
    for (let i = 0; i < kept.length; i++) if (kept[i].key == key) pool = kept[i];
    if (pool === null) {
      pool = new PickerPool(key, config.name.toString(), settings, tokensPerByte);
      kept.push(pool);
    }
    pool.claim(owner, config.endpoints, localities, now);
    return pool;
  }
}

/** A quarter more than there are, so that endpoints can come without everything starting anew. */
function roomFor(endpoints: i32): i32 {
  return min(MAX_ENDPOINTS, (endpoints + (endpoints >> 2) + 8) & ~7);
}

/** "region/zone" of this Envoy; empty when it does not say. */
export function ownLocality(): Bytes {
  text.reset();
  if (property.get(Bytes.literal("node\0locality\0region"), value) == Status.Ok) text.bytes(value);
  if (property.get(Bytes.literal("node\0locality\0zone"), value) != Status.Ok || value.len == 0) return text.view().copy();
  return text.byte(0x2f).bytes(value).view().copy();
}
