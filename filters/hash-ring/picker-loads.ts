/**
 * What the workers of an Envoy tell each other about the pools of a configuration, and what engines tell one of them: on ticks, and with
 * a request where what was told or heard is older than some milliseconds.
 */
import { Pool } from "../lib/pick/pool";
import { xxhash64 } from "../lib/xxhash64";
import { Bytes } from "../sdk";
import { LoadBoard } from "../state/load-board";
import { Pace } from "../state/pace";
import { PrefixGossip } from "../state/prefix-gossip";
import { WorkerSlots } from "../state/worker-slots";
import { StageHost } from "../pipeline/stage";
import { FeedConfig } from "./config";
import { LoadsFeed } from "./loads-feed";
import { LearnedBlocks, OtherLoads } from "./other-workers";
import { PickerPool } from "./picker-pool";
import { PoolEvent } from "./picker-metrics";

/** Segments of others that are read on one tick. */
const SEGMENTS: i32 = 32;
/** ms without a pool until a configuration gives its number back. */
const REST: i64 = 1000;
/** Milliseconds between requests that the others are told of when many come, and how many of them they are told of in a row before. */
const PERIOD: i64 = 5;
const MOST: i64 = 8;

@final
export class PickerLoads {
  private readonly slots: WorkerSlots;
  private readonly board: LoadBoard;
  private readonly gossip: PrefixGossip;
  private readonly others: OtherLoads;
  private readonly learned: LearnedBlocks;
  private readonly feeds: LoadsFeed[] = [];
  /** Segments of the gossip whose loss was reported. */
  private lost: u64 = 0;
  private left: bool = false;
  private readonly pace: Pace = new Pace(PERIOD, MOST);
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
    this.others = new OtherLoads(pools, owner);
    this.learned = new LearnedBlocks(pools, owner);
    for (let i = 0; i < pools.length; i++) {
      const hash = xxhash64(names[i].ptr, names[i].len, scope);
      board.addPool(hash);
      if (feed !== null) this.feeds.push(new LoadsFeed(pools[i], names[i], feed, hash));
    }
  }

  /** A request of a pool came. A hostcall for each other worker with traffic, unless that was just done or very many come. */
  onRequest(now: i64): void {
    if (this.left) return;
    this.slots.traffic(now);
    this.board.refresh(now, this.others);
  }

  /** A request went somewhere: the others are told, unless very many come. One hostcall. */
  onSend(now: i64): void {
    if (this.left || this.slots.others == 0 || !this.pace.take(now)) return;
    this.tell(now);
    this.board.publish(now);
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
    let busy = this.tell(now);
    this.gossip.flush(now);
    this.board.publish(now);
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

  /** What we have, and what is new in our caches. True while there is something. */
  private tell(now: i64): bool {
    const board = this.board;
    let busy = false;
    board.begin();
    for (let i = 0; i < this.pools.length; i++) {
      const picker = this.pools[i];
      // Another configuration speaks for it.
      if (picker.owner != this.owner) continue;
      const endpoints = picker.pool.endpoints;
      for (let slot = endpoints.members.next(0); slot >= 0; slot = endpoints.members.next(slot + 1)) {
        const until = endpoints.quarantine.endOf(slot);
        if (until > now) board.quarantine(i, endpoints.addressHash(slot), until, endpoints.quarantine.failures(slot));
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
