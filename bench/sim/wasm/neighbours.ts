/**
 * What a worker tells the others of its Envoy and hears from them: the shared state of the filters as it is, and when they use it, as filters/hash-ring/picker-loads.ts has it.
 */
import { MAX_ENDPOINTS, Pool } from "../../../filters/lib/pick";
import { LoadBoard, LoadSink } from "../../../filters/state/load-board";
import { Pace } from "../../../filters/state/pace";
import { GossipSink, PrefixGossip } from "../../../filters/state/prefix-gossip";
import { WorkerSlots } from "../../../filters/state/worker-slots";

/** Segments of others that are read at once. */
const SEGMENTS: i32 = 32;
/** ms between requests that the others are told of when many come, and how many in a row before. */
const PERIOD: i64 = 5;
const MOST: i64 = 8;

@final
export class Neighbours {
  private readonly slots: WorkerSlots;
  private readonly board: LoadBoard;
  private readonly gossip: PrefixGossip;
  private readonly loads: OtherLoads;
  private readonly blocks: OtherBlocks;
  private readonly pace: Pace = new Pace(PERIOD, MOST);

  constructor(private readonly pool: Pool) {
    const slots = new WorkerSlots(1);
    const board = new LoadBoard(slots);
    board.addPool(1);
    this.slots = slots;
    this.board = board;
    this.gossip = new PrefixGossip(slots, board);
    this.loads = new OtherLoads(pool);
    this.blocks = new OtherBlocks(pool);
  }

  /** Segments of gossip that were overwritten before they were read. */
  get lost(): u64 {
    return this.gossip.lostSegments;
  }

  /** A request came. */
  onRequest(now: i64): void {
    this.slots.traffic(now);
    this.board.refresh(now, this.loads);
  }

  /** It was sent. */
  onSend(now: i64): void {
    if (this.slots.others == 0 || !this.pace.take(now)) return;
    this.tell();
    this.board.publish(now);
  }

  /** A tick. True while the next one should come soon. `gossips`: prefixes are written and read, too. */
  turn(now: i64, gossips: bool): bool {
    this.slots.tick(now);
    let busy = this.tell();
    if (gossips) this.gossip.flush(now);
    this.board.publish(now);
    this.board.read(now, this.loads);
    if (!gossips) return busy;
    if (this.gossip.read(this.blocks, SEGMENTS)) busy = true;
    return busy || !this.gossip.isEmpty;
  }

  private tell(): bool {
    const endpoints = this.pool.endpoints;
    const board = this.board;
    let busy = false;
    board.begin();
    for (let slot = endpoints.members.next(0); slot >= 0; slot = endpoints.members.next(slot + 1)) {
      const inflight = endpoints.ownInflight(slot);
      const pending = endpoints.ownPending(slot);
      if (inflight == 0 && pending == 0) continue;
      busy = true;
      board.put(0, endpoints.addressHash(slot), <u32>inflight, <u32>pending);
    }
    const news = this.pool.news;
    for (let i = 0; i < news.count; i++) this.gossip.note(0, endpoints.addressHash(news.slot(i)), news.hash(i));
    news.take(news.count);
    return busy;
  }
}

@final
class OtherLoads extends LoadSink {
  private readonly inflight: StaticArray<i32> = new StaticArray<i32>(MAX_ENDPOINTS);
  private readonly pending: StaticArray<i64> = new StaticArray<i64>(MAX_ENDPOINTS);

  constructor(private readonly pool: Pool) {
    super();
  }

  begin(): void {
    memory.fill(changetype<usize>(this.inflight), 0, <usize>MAX_ENDPOINTS << 2);
    memory.fill(changetype<usize>(this.pending), 0, <usize>MAX_ENDPOINTS << 3);
  }

  add(_pool: i32, endpoint: u64, inflight: u32, pending: u32): void {
    const slot = this.pool.endpoints.find(endpoint);
    if (slot < 0) return;
    this.inflight[slot] += <i32>inflight;
    this.pending[slot] += <i64>pending;
  }

  quarantined(_pool: i32, _endpoint: u64, _untilMs: i64, _failures: u32): void {}

  end(): void {
    const endpoints = this.pool.endpoints;
    for (let slot = endpoints.members.next(0); slot >= 0; slot = endpoints.members.next(slot + 1)) {
      endpoints.setOthers(slot, this.inflight[slot], this.pending[slot]);
    }
  }
}

@final
class OtherBlocks extends GossipSink {
  constructor(private readonly pool: Pool) {
    super();
  }

  learn(_pool: i32, endpoint: u64, hashes: usize, count: i32): void {
    const slot = this.pool.endpoints.find(endpoint);
    if (slot >= 0) this.pool.learn(slot, hashes, count);
  }
}
