/**
 * What the workers of an Envoy tell each other about the pools of a configuration, and what engines tell one of them: all on ticks, nothing on the way of a request but
 * the first one after a pause.
 */
import { MAX_ENDPOINTS } from "../lib/pick/endpoint-mask";
import { Pool } from "../lib/pick/pool";
import { xxhash64 } from "../lib/xxhash64";
import { Bytes, ByteWriter } from "../sdk";
import { LoadBoard, LoadSink } from "../state/load-board";
import { EndpointLoad, LoadSnapshot, SnapshotSink } from "../state/load-snapshot";
import { GossipSink, PrefixGossip } from "../state/prefix-gossip";
import { WorkerSlots } from "../state/worker-slots";
import { StageHost } from "../pipeline/stage";
import { FeedConfig } from "./config";
import { BLOCK_BYTES, PickerPool } from "./picker-pool";
import { PoolEvent } from "./picker-metrics";

/** Segments of others that are read on one tick. */
const SEGMENTS: i32 = 32;
/** ms without a pool until a configuration gives its number back. */
const REST: i64 = 1000;
/** Milliseconds for which what the others were told is new enough. */
const TOLD: i64 = 5;
const FEED_SERVICE = Bytes.literal("tokenmesh.loads.v1.EndpointLoads");
const FEED_METHOD = Bytes.literal("Fetch");
/** FetchRequest.pool: field 1, length-delimited. */
const POOL_FIELD: u8 = 0x0a;

const request = new ByteWriter();

@final
export class PickerLoads {
  private readonly slots: WorkerSlots;
  private readonly board: LoadBoard;
  private readonly gossip: PrefixGossip;
  private readonly others: Others;
  private readonly learned: Learned;
  private readonly feeds: Feed[] = [];
  /** Segments of the gossip whose loss was reported. */
  private lost: u64 = 0;
  private left: bool = false;
  private toldAt: i64 = 0;
  /** ms, when a pool was last ours. */
  private ownedAt: i64 = 0;

  constructor(
    private readonly pools: PickerPool[],
    private readonly owner: u32,
    private readonly feed: FeedConfig | null,
    /** Names of the pools. */
    names: Bytes[],
    /** Hash of what is this plugin's alone: others in the VM may have pools of the same names. */
    scope: u64,
  ) {
    const slots = new WorkerSlots(scope);
    const board = new LoadBoard(slots);
    this.slots = slots;
    this.board = board;
    this.gossip = new PrefixGossip(slots, board);
    this.others = new Others(pools, owner);
    this.learned = new Learned(pools, owner);
    for (let i = 0; i < pools.length; i++) {
      const hash = xxhash64(names[i].ptr, names[i].len, scope);
      board.addPool(hash);
      if (feed !== null) this.feeds.push(new Feed(pools[i], names[i], feed, hash));
    }
  }

  /** A request of a pool came. A hostcall for each other worker with traffic, unless that was just done. */
  onRequest(now: i64): void {
    if (this.left) return;
    this.slots.traffic(now);
    this.board.refresh(now, this.others);
  }

  /** A request went somewhere: the others are told, unless that was just done. One hostcall. */
  onSend(now: i64): void {
    const age = now - this.toldAt;
    if (this.left || this.slots.others == 0 || (age >= 0 && age < TOLD)) return;
    this.tell();
    this.publish(now);
  }

  /** Tells and hears. True while it has to go on soon. */
  turn(now: i64, host: StageHost): bool {
    if (this.left) return false;
    if (this.owns()) this.ownedAt = now;
    else if (now - this.ownedAt >= REST) {
      this.rest(now);
      return false;
    }
    this.slots.tick(now);
    let busy = this.tell();
    this.gossip.flush(now);
    this.publish(now);
    this.board.read(now, this.others);
    if (this.gossip.read(this.learned, SEGMENTS)) busy = true;
    if (!this.gossip.isEmpty) busy = true;
    if (this.gossip.lostSegments > this.lost && this.pools.length > 0) this.pools[0].metrics.happened(PoolEvent.GossipLost, <i64>(this.gossip.lostSegments - this.lost));
    this.lost = this.gossip.lostSegments;
    for (let i = 0; i < this.feeds.length; i++) {
      const feed = this.feeds[i];
      if (this.board.isElected(i, now)) {
        feed.ask(now, host);
        busy = true;
      }
      feed.read(now);
    }
    return busy;
  }

  /** Writes the gauges, in one of the workers. */
  show(now: i64): void {
    if (this.left) return;
    for (let i = 0; i < this.pools.length; i++) {
      const picker = this.pools[i];
      if (picker.owner != this.owner) continue;
      if (!this.board.isElected(i, now)) {
        picker.metrics.forget();
        continue;
      }
      const endpoints = picker.pool.endpoints;
      let inflight: i64 = 0;
      let available: i64 = 0;
      for (let slot = endpoints.members.next(0); slot >= 0; slot = endpoints.members.next(slot + 1)) {
        inflight += endpoints.inflight(slot);
        if (picker.members.has(slot) && endpoints.quarantine.admits(slot, now)) available++;
      }
      picker.metrics.show(inflight, available);
    }
  }

  /** The answer of a feed. False when it is none. */
  onCallAnswer(callId: u32, message: Bytes | null, now: i64): bool {
    if (this.left) return false;
    for (let i = 0; i < this.feeds.length; i++) if (this.feeds[i].take(callId, message, now)) return true;
    return false;
  }

  /** Gives its number back; the next request takes another. */
  private rest(now: i64): void {
    if (this.slots.index < 0) return;
    this.board.begin();
    this.board.publish(now);
    this.slots.leave();
  }

  /** The configuration is gone. */
  leave(now: i64): void {
    if (this.left) return;
    this.left = true;
    this.rest(now);
    this.gossip.release();
    this.board.release();
    for (let i = 0; i < this.feeds.length; i++) this.feeds[i].release();
  }

  /** Another configuration may have all pools; this one's requests are counted there, too. */
  private owns(): bool {
    for (let i = 0; i < this.pools.length; i++) if (this.pools[i].owner == this.owner) return true;
    return false;
  }

  private publish(now: i64): void {
    this.toldAt = now;
    this.board.publish(now);
  }

  /** What we have, and what is new in our caches. True while there is something. */
  private tell(): bool {
    const board = this.board;
    let busy = false;
    board.begin();
    for (let i = 0; i < this.pools.length; i++) {
      const picker = this.pools[i];
      // Another configuration speaks for it.
      if (picker.owner != this.owner) continue;
      const endpoints = picker.pool.endpoints;
      for (let slot = endpoints.members.next(0); slot >= 0; slot = endpoints.members.next(slot + 1)) {
        const inflight = endpoints.ownInflight(slot);
        const pending = endpoints.ownPending(slot);
        if (inflight == 0 && pending == 0) continue;
        busy = true;
        board.put(i, endpoints.addressHash(slot), <u32>max(inflight, 0), <u32>min<i64>(max<i64>(pending, 0), u32.MAX_VALUE));
      }
      this.tellNews(i, picker.pool);
    }
    return busy;
  }

  private tellNews(index: i32, pool: Pool): void {
    const news = pool.news;
    for (let i = 0; i < news.count; i++) this.gossip.note(index, pool.endpoints.addressHash(news.slot(i)), news.hash(i));
    news.take(news.count);
  }
}

/** Sums what the other workers have in flight. */
@final
class Others extends LoadSink {
  private readonly inflight: StaticArray<i32>;
  private readonly pending: StaticArray<i64>;

  constructor(
    private readonly pools: PickerPool[],
    private readonly owner: u32,
  ) {
    super();
    this.inflight = new StaticArray<i32>(pools.length * MAX_ENDPOINTS);
    this.pending = new StaticArray<i64>(pools.length * MAX_ENDPOINTS);
  }

  begin(): void {
    memory.fill(changetype<usize>(this.inflight), 0, <usize>this.inflight.length << 2);
    memory.fill(changetype<usize>(this.pending), 0, <usize>this.pending.length << 3);
  }

  add(pool: i32, endpoint: u64, inflight: u32, pending: u32): void {
    if (pool >= this.pools.length) return;
    const slot = unchecked(this.pools[pool]).pool.endpoints.find(endpoint);
    if (slot < 0) return;
    const at = pool * MAX_ENDPOINTS + slot;
    unchecked((this.inflight[at] += <i32>min<u32>(inflight, 1 << 20)));
    unchecked((this.pending[at] += <i64>pending));
  }

  /** Each worker finds out by itself: one failed request, which is tried again elsewhere. */
  quarantined(pool: i32, endpoint: u64, untilMs: i64, failures: u32): void {}

  end(): void {
    for (let i = 0; i < this.pools.length; i++) {
      const picker = unchecked(this.pools[i]);
      if (picker.owner != this.owner) continue;
      const endpoints = picker.pool.endpoints;
      for (let slot = endpoints.members.next(0); slot >= 0; slot = endpoints.members.next(slot + 1)) {
        const at = i * MAX_ENDPOINTS + slot;
        endpoints.setOthers(slot, unchecked(this.inflight[at]), unchecked(this.pending[at]));
      }
    }
  }
}

/** Blocks that other workers sent somewhere. */
@final
class Learned extends GossipSink {
  constructor(
    private readonly pools: PickerPool[],
    private readonly owner: u32,
  ) {
    super();
  }

  learn(pool: i32, endpoint: u64, hashes: usize, count: i32): void {
    if (pool >= this.pools.length) return;
    const picker = unchecked(this.pools[pool]);
    if (picker.owner != this.owner) return;
    const slot = picker.pool.endpoints.find(endpoint);
    if (slot >= 0) picker.pool.learn(slot, hashes, count);
  }
}

/** Loads of a pool's engines, asked for by one worker, read by all. */
@final
class Feed extends SnapshotSink {
  private readonly snapshot: LoadSnapshot;
  private callId: u32 = 0;
  private dueAt: i64 = 0;

  constructor(
    private readonly picker: PickerPool,
    private readonly name: Bytes,
    private readonly config: FeedConfig,
    hash: u64,
  ) {
    super();
    this.snapshot = new LoadSnapshot(hash);
  }

  /** Asks, if it is time and nobody is being asked. */
  ask(now: i64, host: StageHost): void {
    if (this.callId != 0 || now < this.dueAt) return;
    this.dueAt = now + <i64>this.config.intervalMs;
    // The length fits one byte: names of pools have at most 64.
    const message = request.reset().byte(POOL_FIELD).byte(<u8>this.name.len).bytes(this.name).view();
    this.callId = host.startCall(this.config.cluster, FEED_SERVICE, FEED_METHOD, message, this.config.maxAgeMs);
    if (this.callId == 0) this.picker.metrics.happened(PoolEvent.FeedFailed, 1);
  }

  take(callId: u32, message: Bytes | null, now: i64): bool {
    if (callId == 0 || callId != this.callId) return false;
    this.callId = 0;
    if (message === null || !this.snapshot.encode(message, now)) this.picker.metrics.happened(PoolEvent.FeedFailed, 1);
    return true;
  }

  read(now: i64): void {
    this.snapshot.read(now, this);
  }

  release(): void {
    this.snapshot.release();
  }

  begin(at: i64): void {}

  endpoint(load: EndpointLoad): void {
    const pool = this.picker.pool;
    const endpoints = pool.endpoints;
    const slot = endpoints.find(load.endpoint);
    if (slot < 0) return;
    if (load.unknown) {
      endpoints.engines.forget(slot);
      return;
    }
    endpoints.setSnapshot(slot, load.at, clamp(load.waiting), clamp(load.running), clamp(load.kvPermille), clamp(load.maxAdapters));
    const adapters = load.activeAdapters + load.waitingAdapters;
    for (let i = 0; i < adapters; i++) endpoints.engines.addAdapter(slot, load.adapter(i), i < load.activeAdapters);
    if (load.blocks == 0 || load.blockTokens == 0) return;
    const tokens = <f64>load.blocks * <f64>load.blockTokens;
    pool.setBlocks(slot, <i32>min<f64>(tokens / (<f64>BLOCK_BYTES * this.picker.tokensPerByte), <f64>i32.MAX_VALUE));
  }

  end(): void {}
}

function clamp(value: u32): i32 {
  return <i32>min<u32>(value, i32.MAX_VALUE);
}
