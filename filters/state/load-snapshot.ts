/**
 * What the endpoints of a pool say of themselves, asked from the control plane by one worker and read by all.
 *
 *   key "tm.ep.1.<pool>.s"
 *   value      |magic u32|endpoints u16|adapters u16|pool u64|at, ms i64| endpoint x endpoints | adapter u64 x adapters                 at most 16 KiB, little-endian
 *   endpoint   |address u64|age, ms u32|blocks u32|waiting u16|running u16|kv u16|block tokens u16|most adapters u16|flags u16|active u8|waiting u8|first adapter u16|          32 bytes
 *
 * The answer is protobuf (tokenmesh.loads.v1.Loads). It is read once, by whoever asked, because reading the fixed layout costs the others a fraction of that. Wrong bytes, of the answer and of the
 * value, are passed over.
 */
import { ProtoFields, WireType } from "../lib/proto-fields";
import { xxhash64 } from "../lib/xxhash64";
import { Bytes, scratch, sharedData, Status } from "../sdk";
import { stateKey } from "./worker-slots";

/** Endpoints of a snapshot; more are left out. */
const MAX_LOADS: i32 = 256;
/** Adapters of an endpoint, of each kind, and of all endpoints together; more are left out. */
const MOST_OF_ONE: i32 = 16;
const MOST_ADAPTERS: i32 = 1024;

/** Milliseconds between looks for a new value. */
const PACE: i64 = 100;
const MAGIC: u32 = 0x31536d74;
const HEADER: i32 = 24;
const ENDPOINT: i32 = 32;
const UNKNOWN: u16 = 1;

/** Fields of EndpointLoad. */
const enum Field {
  Address = 1,
  AgeMs = 2,
  Waiting = 3,
  Running = 4,
  KvPermille = 5,
  BlockTokens = 6,
  Blocks = 7,
  ActiveAdapters = 8,
  WaitingAdapters = 9,
  MaxAdapters = 10,
  Unknown = 11,
}

/** What one endpoint says. Lives in the snapshot that tells it, and is overwritten by the next. */
@final
export class EndpointLoad {
  /** xxHash64 of "ip:port". */
  endpoint: u64 = 0;
  /** When it was measured, ms since 1970. */
  at: i64 = 0;
  /** It was never measured, or too long ago: nothing below holds. */
  unknown: bool = false;
  /** Requests. */
  waiting: u32 = 0;
  running: u32 = 0;
  /** Share of the KV cache in use, 0 to 1000. */
  kvPermille: u32 = 0;
  /** Tokens of a block of the KV cache, and how many blocks it has; 0: not known. */
  blockTokens: u32 = 0;
  blocks: u32 = 0;
  /** Adapters that fit; 0: not known. */
  maxAdapters: u32 = 0;
  activeAdapters: i32 = 0;
  waitingAdapters: i32 = 0;
  /** Hashes of the active adapters, then of the waiting ones; borrowed. */
  adapters: usize = 0;

  /** xxHash64 of the name of an adapter that is active (`index` < activeAdapters), or waits (the waitingAdapters behind). */
  @inline
  adapter(index: i32): u64 {
    return load<u64>(this.adapters + (<usize>index << 3));
  }
}

export abstract class SnapshotSink {
  /** What was said before is over. `at`: when the answer came, ms since 1970. */
  abstract begin(at: i64): void;
  abstract endpoint(load: EndpointLoad): void;
  abstract end(): void;
}

@final
export class LoadSnapshot {
  /** Endpoints and adapters of the last answer that found no room. */
  leftOut: u32 = 0;
  /** When the snapshot that was told last was made; 0: none yet. */
  at: i64 = 0;

  private readonly key: Bytes;
  private readonly value: Bytes = new Bytes();
  private readonly view: Bytes = new Bytes();
  /** The value that is being made, and adapters apart; made by the worker that is elected first. */
  private out: usize = 0;
  private names: usize = 0;
  private endpoints: i32 = 0;
  private adapterCount: i32 = 0;
  private readonly fields: ProtoFields = new ProtoFields();
  private readonly inner: ProtoFields = new ProtoFields();
  private readonly load: EndpointLoad = new EndpointLoad();
  private lookedAt: i64 = i64.MIN_VALUE / 2;
  private version: u32 = 0;

  /** `pool`: hash of the pool, the same in all workers, and another one where the name means another pool. */
  constructor(private readonly pool: u64) {
    this.key = stateKey(pool, ".s");
  }

  /** Reads an answer of the feed that came now, and writes it for all workers; this one, too, is told by `read`. One set. False when it is no such message, or the host refuses. O(bytes). */
  encode(message: Bytes, now: i64): bool {
    if (this.out == 0) {
      this.out = heap.alloc(HEADER + MAX_LOADS * ENDPOINT + MOST_ADAPTERS * 8);
      this.names = heap.alloc(MOST_ADAPTERS * 8);
    }
    this.endpoints = 0;
    this.adapterCount = 0;
    this.leftOut = 0;
    const fields = this.fields;
    fields.open(message.ptr, message.len);
    while (fields.next()) {
      if (fields.is(1, WireType.Bytes) && !this.encodeEndpoint()) return false;
    }
    if (fields.failed) return false;
    const out = this.out;
    store<u32>(out, MAGIC);
    store<u16>(out, <u16>this.endpoints, 4);
    store<u16>(out, <u16>this.adapterCount, 6);
    store<u64>(out, this.pool, 8);
    store<i64>(out, now, 16);
    const size = HEADER + this.endpoints * ENDPOINT;
    memory.copy(out + <usize>size, this.names, <usize>this.adapterCount << 3);
    this.view.set(out, size + (this.adapterCount << 3));
    if (sharedData.set(this.key, this.view, 0) != Status.Ok) return false;
    this.lookedAt = i64.MIN_VALUE / 2;
    return true;
  }

  /** Tells the sink a snapshot that is new. One get each 100 ms. True when there was one. */
  read(now: i64, sink: SnapshotSink): bool {
    const age = now - this.lookedAt;
    if (age >= 0 && age < PACE) return false;
    this.lookedAt = now;
    const mark = scratch.mark();
    const status = sharedData.get(this.key, this.value);
    const fresh = status == Status.Ok && sharedData.cas() != this.version;
    if (fresh) this.version = sharedData.cas();
    const told = fresh && this.tell(sink);
    scratch.rewind(mark);
    return told;
  }

  /** Gives back the memory that the collector would not. */
  release(): void {
    if (this.out == 0) return;
    heap.free(this.out);
    heap.free(this.names);
    this.out = 0;
  }

  /** The endpoint that the field holds. False when it is no message. */
  private encodeEndpoint(): bool {
    const at = this.out + <usize>(HEADER + this.endpoints * ENDPOINT);
    const inner = this.inner;
    if (this.endpoints == MAX_LOADS) {
      this.leftOut++;
      return true;
    }
    memory.fill(at, 0, ENDPOINT);
    const first = this.adapterCount;
    let named = false;
    inner.open(this.fields.ptr, this.fields.length);
    while (inner.next()) {
      if (inner.wireType == WireType.Varint) this.encodeNumber(at, inner.number, inner.integer);
      else if (inner.is(Field.Address, WireType.Bytes) && inner.length > 0) {
        store<u64>(at, xxhash64(inner.ptr, inner.length, 0));
        named = true;
      } else if (inner.is(Field.ActiveAdapters, WireType.Bytes)) this.encodeAdapter(at + 26);
    }
    if (inner.failed) return false;
    inner.open(this.fields.ptr, this.fields.length);
    while (inner.next()) if (inner.is(Field.WaitingAdapters, WireType.Bytes)) this.encodeAdapter(at + 27);
    store<u16>(at, <u16>first, 28);
    if (named) this.endpoints++;
    else this.adapterCount = first;
    return true;
  }

  private encodeNumber(at: usize, field: u32, value: u64): void {
    const word = <u16>min<u64>(value, 0xffff);
    const long = <u32>min<u64>(value, 0xffffffff);
    switch (field) {
      case Field.AgeMs:
        return store<u32>(at, long, 8);
      case Field.Blocks:
        return store<u32>(at, long, 12);
      case Field.Waiting:
        return store<u16>(at, word, 16);
      case Field.Running:
        return store<u16>(at, word, 18);
      case Field.KvPermille:
        return store<u16>(at, min<u16>(word, 1000), 20);
      case Field.BlockTokens:
        return store<u16>(at, word, 22);
      case Field.MaxAdapters:
        return store<u16>(at, word, 24);
      case Field.Unknown:
        return store<u16>(at, value != 0 ? UNKNOWN : 0, 30);
    }
  }

  /** One more adapter; `count`: where the endpoint's number of them stands. */
  private encodeAdapter(count: usize): void {
    const before = load<u8>(count);
    if (<i32>before == MOST_OF_ONE || this.adapterCount == MOST_ADAPTERS) {
      this.leftOut++;
      return;
    }
    store<u8>(count, before + 1);
    store<u64>(this.names + (<usize>this.adapterCount << 3), xxhash64(this.inner.ptr, this.inner.length, 0));
    this.adapterCount++;
  }

  /** False when the value is none. */
  private tell(sink: SnapshotSink): bool {
    const value = this.value;
    if (value.len < HEADER || load<u32>(value.ptr) != MAGIC || load<u64>(value.ptr, 8) != this.pool) return false;
    const endpoints = <i32>load<u16>(value.ptr, 4);
    const adapters = <i32>load<u16>(value.ptr, 6);
    if (value.len != HEADER + endpoints * ENDPOINT + (adapters << 3) || endpoints > MAX_LOADS) return false;
    this.at = load<i64>(value.ptr, 16);
    const hashes = value.ptr + <usize>(HEADER + endpoints * ENDPOINT);
    sink.begin(this.at);
    for (let i = 0; i < endpoints; i++) this.tellEndpoint(value.ptr + <usize>(HEADER + i * ENDPOINT), hashes, adapters, sink);
    sink.end();
    return true;
  }

  private tellEndpoint(at: usize, hashes: usize, adapters: i32, sink: SnapshotSink): void {
    const told = this.load;
    const first = <i32>load<u16>(at, 28);
    told.endpoint = load<u64>(at);
    told.at = this.at - <i64>load<u32>(at, 8);
    told.blocks = load<u32>(at, 12);
    told.waiting = load<u16>(at, 16);
    told.running = load<u16>(at, 18);
    told.kvPermille = load<u16>(at, 20);
    told.blockTokens = load<u16>(at, 22);
    told.maxAdapters = load<u16>(at, 24);
    told.activeAdapters = <i32>load<u8>(at, 26);
    told.waitingAdapters = <i32>load<u8>(at, 27);
    told.unknown = (load<u16>(at, 30) & UNKNOWN) != 0;
    if (first + told.activeAdapters + told.waitingAdapters > adapters) return;
    told.adapters = hashes + (<usize>first << 3);
    sink.endpoint(told);
  }
}
