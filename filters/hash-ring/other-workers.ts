/** What the other workers of this Envoy say, put into the pools. */
import { MAX_ENDPOINTS } from "../lib/pick/endpoint-mask";
import { LoadSink } from "../state/load-board";
import { GossipSink } from "../state/prefix-gossip";
import { PickerPool } from "./picker-pool";

/** Sums what the other workers have in flight. */
@final
export class OtherLoads extends LoadSink {
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

  quarantined(pool: i32, endpoint: u64, untilMs: i64, failures: u32): void {
    if (pool >= this.pools.length) return;
    const endpoints = unchecked(this.pools[pool]).pool.endpoints;
    const slot = endpoints.find(endpoint);
    if (slot >= 0) endpoints.quarantine.learn(slot, untilMs, <i32>min<u32>(failures, i32.MAX_VALUE));
  }

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
export class LearnedBlocks extends GossipSink {
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
