/**
 * What each worker has in flight at the endpoints of its pools, told to the others: the sum of all is the load that this Envoy puts on an endpoint.
 *
 * Each worker writes only its own value, so there are no races to lose, and says in it only what is not zero. A value counts while the number it stands under is alive and of the same generation
 * (worker-slots.ts); so what a VM that trapped had in flight vanishes with it.
 *
 *   key "tm.ep.1.<scope>.l" + digit of the slot
 *   value     |magic u32|sections u32|generation u64|segments of gossip written u64| section x (0..32)                                            at most 6 KiB, little-endian
 *   section   |pool u64|entries u32|0 u32| entry x entries
 *   entry     |endpoint u64|0 bit 63, in flight bits 32..62, pending bits 0..31|                    load
 *             |endpoint u64|1 bit 63, failures bits 48..62, until ms bits 0..47|                    quarantine
 *
 * One value for all pools, and one for each slot: whatever pools come and go, there are 64 keys of a plugin, and a tick costs as many reads as there are others with traffic.
 */
import { Bytes, scratch, sharedData, Status } from "../sdk";
import { Pace } from "./pace";
import { keyDigit, MAX_WORKERS, stateKey, WorkerSlots } from "./worker-slots";

export const MAX_POOLS: i32 = 32;

const MOST_BYTES: i32 = 6 * 1024;
/** Milliseconds until an unchanged value is written again: a worker that was stuck and has lost its number may have overwritten it. */
const REFRESH: i64 = 1000;
/** Milliseconds between reads of `refresh` when many requests come, and how many it makes in a row before. */
const PERIOD: i64 = 5;
const MOST: i64 = 8;
/** Milliseconds for which it is known who the others are. */
const KNOWN: i64 = 30;
const MAGIC: u32 = 0x314c6d74;
const HEADER: i32 = 24;
const SECTION: i32 = 16;
const ENTRY: i32 = 16;
const QUARANTINE: u64 = 1 << 63;

/** Takes what the others say, between `begin` and `end`; an endpoint comes once for each worker that has it. */
export abstract class LoadSink {
  /** What was said before is over. */
  abstract begin(): void;
  abstract add(pool: i32, endpoint: u64, inflight: u32, pending: u32): void;
  abstract quarantined(pool: i32, endpoint: u64, untilMs: i64, failures: u32): void;
  abstract end(): void;
}

@final
export class LoadBoard {
  /** Entries that found no room in the value, or came out of order. */
  dropped: u32 = 0;
  /** Values that could not be read, or were none. */
  unreadable: u32 = 0;
  /** For the gossip: segments that this worker has written under its generation, and those of the others as of the last `read`. */
  segments: u64 = 0;
  private readonly heads: StaticArray<u64> = new StaticArray<u64>(MAX_WORKERS);

  private pools: i32 = 0;
  private readonly hashes: StaticArray<u64> = new StaticArray<u64>(MAX_POOLS);
  /** By pool: the lowest of the others that has it. */
  private readonly lowest: StaticArray<i32> = new StaticArray<i32>(MAX_POOLS);
  /** Never: out of any age. */
  private readAt: i64 = i64.MIN_VALUE / 2;
  private readonly pace: Pace = new Pace(PERIOD, MOST);

  private readonly key: Bytes;
  private readonly value: Bytes = new Bytes();
  private readonly view: Bytes = new Bytes();
  /** The value that is being made, and the one that was written last. */
  private readonly draft: usize = heap.alloc(MOST_BYTES);
  private readonly written: usize = heap.alloc(MOST_BYTES);
  private writtenBytes: i32 = 0;
  private writtenAt: i64 = 0;
  private at: i32 = HEADER;
  private section: i32 = -1;
  private sectionAt: i32 = 0;
  private entries: i32 = 0;

  constructor(private readonly slots: WorkerSlots) {
    this.key = stateKey(slots.scope, ".l_");
    memory.fill(changetype<usize>(this.lowest), 0xff, MAX_POOLS * sizeof<i32>());
  }

  /** Number of a pool, counted from 0. For the time of configuration; -1 when there are MAX_POOLS. `hash` is not to depend on the worker. */
  addPool(hash: u64): i32 {
    if (this.pools == MAX_POOLS) return -1;
    unchecked((this.hashes[this.pools] = hash));
    return this.pools++;
  }

  poolHash(pool: i32): u64 {
    return unchecked(this.hashes[pool]);
  }

  /** The pool with the hash; -1 when there is none. */
  poolOf(hash: u64): i32 {
    for (let pool = 0; pool < this.pools; pool++) if (unchecked(this.hashes[pool]) == hash) return pool;
    return -1;
  }

  /** Starts what this worker has to say. */
  begin(): void {
    this.at = HEADER;
    this.section = -1;
    this.entries = 0;
  }

  /** What this worker itself has at an endpoint; nothing for zeros. Pools in ascending order. `inflight` requests, `pending` tokens. */
  put(pool: i32, endpoint: u64, inflight: u32, pending: u32): void {
    if (inflight == 0 && pending == 0) return;
    this.enter(pool, endpoint, (<u64>min<u32>(inflight, 0x7fffffff) << 32) | <u64>pending);
  }

  /** This worker lets the endpoint be until that time. */
  quarantine(pool: i32, endpoint: u64, untilMs: i64, failures: u32): void {
    const until = <u64>min<i64>(max<i64>(untilMs, 0), (<i64>1 << 48) - 1);
    this.enter(pool, endpoint, QUARANTINE | (<u64>min<u32>(failures, 0x7fff) << 48) | until);
  }

  /** Says it again until the next `begin`. Writes it when it differs from what the others can read. After `WorkerSlots.tick` in the same callback. At most one set. False when the host refuses. */
  publish(now: i64): bool {
    const slots = this.slots;
    if (this.entries > 0) slots.traffic(now);
    this.open(this.pools - 1);
    this.close();
    if (slots.index < 0) return true;
    const draft = this.draft;
    store<u32>(draft, MAGIC);
    store<u32>(draft, this.section + 1, 4);
    store<u64>(draft, slots.generation, 8);
    store<u64>(draft, this.segments, 16);
    const same = this.at == this.writtenBytes && memory.compare(draft, this.written, this.at) == 0;
    const age = now - this.writtenAt;
    if (same && ((age >= 0 && age < REFRESH) || !slots.isActive(now))) return true;
    this.setKey(slots.index);
    this.view.set(draft, this.at);
    if (sharedData.set(this.key, this.view, 0) != Status.Ok) return false;
    memory.copy(this.written, draft, this.at);
    this.writtenBytes = this.at;
    this.writtenAt = now;
    return true;
  }

  /** Tells the sink what the others have, as of now. One get for each other with traffic. After `WorkerSlots.tick` or `look`. */
  read(now: i64, sink: LoadSink): void {
    this.readAt = now;
    memory.fill(changetype<usize>(this.lowest), 0xff, MAX_POOLS * sizeof<i32>());
    memory.fill(changetype<usize>(this.heads), 0, MAX_WORKERS * sizeof<u64>());
    sink.begin();
    const mark = scratch.mark();
    for (let rest = this.slots.others; rest != 0; rest &= rest - 1) {
      const slot = <i32>ctz(rest);
      this.setKey(slot);
      const status = sharedData.get(this.key, this.value);
      if (status == Status.Ok) {
        if (!this.take(slot, sink)) this.unreadable++;
      } else if (status != Status.NotFound) this.unreadable++;
      scratch.rewind(mark);
    }
    sink.end();
  }

  /**
   * `read` for a request, unless that was done in this millisecond, or so many requests come that each 5 ms will do; behind `look` if it was not done in the last 30. Loads that are older cost more than
   * reading them: requests that come together go to the same endpoint.
   */
  refresh(now: i64, sink: LoadSink): bool {
    const age = now - this.readAt;
    if (age == 0 || !this.pace.take(now)) return false;
    if (age < 0 || age > KNOWN) this.slots.look(now);
    this.read(now, sink);
    return true;
  }

  /**
   * This worker is the one that asks the control plane about the pool: the lowest that carries traffic and has the pool. One in all, once everyone has ticked; none when nobody has traffic. A
   * worker with another configuration may be there, so it is by pool.
   */
  isElected(pool: i32, now: i64): bool {
    const slots = this.slots;
    if (slots.index < 0 || !slots.isActive(now)) return false;
    const other = unchecked(this.lowest[pool]);
    return other < 0 || other > slots.index;
  }

  headOf(slot: i32): u64 {
    return unchecked(this.heads[slot]);
  }

  /** Gives back the memory that the collector would not. Nothing may be called behind it. */
  release(): void {
    heap.free(this.draft);
    heap.free(this.written);
  }

  private setKey(slot: i32): void {
    store<u8>(this.key.ptr + <usize>(this.key.len - 1), keyDigit(slot));
  }

  private enter(pool: i32, endpoint: u64, word: u64): void {
    // Sections to come need room, too.
    const room = MOST_BYTES - this.at - (this.pools - 1 - this.section) * SECTION;
    if (pool < this.section || pool >= this.pools || room < ENTRY) {
      this.dropped++;
      return;
    }
    this.open(pool);
    const at = this.draft + <usize>this.at;
    store<u64>(at, endpoint);
    store<u64>(at, word, 8);
    this.at += ENTRY;
    this.entries++;
  }

  /** Begins sections up to that of the pool. */
  private open(pool: i32): void {
    while (this.section < pool) {
      this.close();
      this.section++;
      this.sectionAt = this.at;
      const at = this.draft + <usize>this.at;
      store<u64>(at, unchecked(this.hashes[this.section]));
      store<u64>(at, 0, 8);
      this.at += SECTION;
    }
  }

  private close(): void {
    if (this.section < 0) return;
    store<u32>(this.draft + <usize>this.sectionAt, (this.at - this.sectionAt - SECTION) / ENTRY, 8);
  }

  /** False when the value is none; what is told before that is found stays told. */
  private take(slot: i32, sink: LoadSink): bool {
    const value = this.value;
    if (value.len < HEADER || load<u32>(value.ptr) != MAGIC) return false;
    // Of somebody who had the number before.
    if (load<u64>(value.ptr, 8) != this.slots.generationOf(slot)) return true;
    unchecked((this.heads[slot] = load<u64>(value.ptr, 16)));
    let at = value.ptr + <usize>HEADER;
    const end = value.ptr + <usize>value.len;
    for (let rest = load<u32>(value.ptr, 4); rest > 0; rest--) {
      if (end - at < <usize>SECTION) return false;
      const pool = this.poolOf(load<u64>(at));
      const entries = load<u32>(at, 8);
      at += SECTION;
      if (<usize>entries > (end - at) / <usize>ENTRY) return false;
      if (pool >= 0) {
        if (unchecked(this.lowest[pool]) < 0) unchecked((this.lowest[pool] = slot));
        this.tell(pool, at, entries, sink);
      }
      at += <usize>entries * ENTRY;
    }
    return true;
  }

  private tell(pool: i32, at: usize, entries: u32, sink: LoadSink): void {
    for (let i: u32 = 0; i < entries; i++) {
      const endpoint = load<u64>(at);
      const word = load<u64>(at, 8);
      if ((word & QUARANTINE) == 0) sink.add(pool, endpoint, <u32>(word >> 32), <u32>word);
      else sink.quarantined(pool, endpoint, <i64>(word & 0xffffffffffff), <u32>(word >> 48) & 0x7fff);
      at += ENTRY;
    }
  }
}
