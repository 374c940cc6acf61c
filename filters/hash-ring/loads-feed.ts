/** Loads of a pool's engines as the control plane has them: asked for by one worker, read by all. */
import { StageHost } from "../pipeline/stage";
import { Bytes, ByteWriter } from "../sdk";
import { EndpointLoad, LoadSnapshot, SnapshotSink } from "../state/load-snapshot";
import { FeedConfig } from "./config";
import { PoolEvent } from "./picker-metrics";
import { BLOCK_BYTES, PickerPool } from "./picker-pool";

const FEED_SERVICE = Bytes.literal("tokenmesh.loads.v1.EndpointLoads");
const FEED_METHOD = Bytes.literal("Fetch");
/** FetchRequest.pool: field 1, length-delimited. */
const POOL_FIELD: u8 = 0x0a;

const request = new ByteWriter();

@final
export class LoadsFeed extends SnapshotSink {
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
