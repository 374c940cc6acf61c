/**
 * Tells the other workers which prompt prefixes an endpoint has been sent, so that their requests follow.
 *
 * Each worker writes a ring of segments under its own keys; who is too slow misses what was overwritten, and finds that prefix anew by its own requests. How far the writer is stands in its value on
 * the load board, so that nothing is read that is not new.
 *
 *   key "tm.ep.1.<scope>.g" + digit of the slot + digit of the segment: sequence % SEGMENTS
 *   segment   |magic u32|0 u32|generation u64|sequence u64| run x n                                 at most 4 KiB, little-endian
 *   run       |pool u64|endpoint u64|count u32|0 u32|hash u64 x count|
 *
 * Envoy's shared queues were the obvious way, and are not bounded: what is put in for a worker that is gone stays for the life of the process, and a queue cannot be removed. Here a worker takes at
 * most SEGMENTS * 4 KiB, and a number that is taken again takes over its keys, too.
 */
import { Bytes, scratch, sharedData, Status } from "../sdk";
import { LoadBoard } from "./load-board";
import { keyDigit, MAX_WORKERS, stateKey, WorkerSlots } from "./worker-slots";

/** Segments of a worker: 128 KiB. A busy worker learns of 1000 requests a second with 20 new blocks each, which is 160 KB; an idle VM looks each 450 ms. */
export const SEGMENTS: i32 = 32;
export const SEGMENT_BYTES: i32 = 4096;

/** Milliseconds between writes of segments that are not full. */
const BATCH: i64 = 200;
/** Segments that are believed to be lost at once: a head that is wrong must not spoil the count for good. */
const MOST_LOST: u64 = 0xffff;
const MAGIC: u32 = 0x31476d74;
const HEADER: i32 = 24;
const RUN: i32 = 24;

export abstract class GossipSink {
  /** The endpoint was sent blocks with these hashes. `hashes`: borrowed, `count` words of 64 bits. */
  abstract learn(pool: i32, endpoint: u64, hashes: usize, count: i32): void;
}

@final
export class PrefixGossip {
  /** Hashes that were written for the others, and that nobody ever read because too many waited. */
  sent: u64 = 0;
  dropped: u64 = 0;
  /** Hashes that were learned, and segments of others that were overwritten before, or were none. */
  learned: u64 = 0;
  lostSegments: u64 = 0;

  /** What waits to be written: a ring of segments, `full` of them from `first` on, and one that is begun. Made for the first note: the VM of Envoy's main thread has none. */
  private ring: usize = 0;
  private readonly used: StaticArray<i32> = new StaticArray<i32>(SEGMENTS);
  private first: i32 = 0;
  private full: i32 = 0;
  /** The run that grows; 0: the begun segment has none. */
  private run: usize = 0;
  private writtenAt: i64 = i64.MIN_VALUE / 2;
  private generation: u64 = 0;
  private next: u64 = 0;

  /** By slot: what was read last. */
  private readonly readGeneration: StaticArray<u64> = new StaticArray<u64>(MAX_WORKERS);
  private readonly readNext: StaticArray<u64> = new StaticArray<u64>(MAX_WORKERS);
  /** Whose turn it is when not all could be read. */
  private turn: i32 = 0;

  private readonly key: Bytes;
  private readonly value: Bytes = new Bytes();
  private readonly view: Bytes = new Bytes();

  constructor(
    private readonly slots: WorkerSlots,
    private readonly board: LoadBoard,
  ) {
    this.key = stateKey(slots.scope, ".g__");
    this.begin();
  }

  /** The endpoint was sent a block with this hash: for the others, who learn hashes in the order in which they were noted. No hostcall. Too many for one tick drop what waits longest. */
  note(pool: i32, endpoint: u64, hash: u64): void {
    if (this.ring == 0) this.ring = heap.alloc(SEGMENTS * SEGMENT_BYTES);
    const poolHash = this.board.poolHash(pool);
    const goesOn = this.run != 0 && load<u64>(this.run) == poolHash && load<u64>(this.run, 8) == endpoint;
    if (!goesOn) {
      if (this.usedOf(this.full) + RUN + 8 > SEGMENT_BYTES) this.turnOver();
      this.open(poolHash, endpoint);
    }
    const used = this.usedOf(this.full);
    store<u64>(this.segment(this.full) + <usize>used, hash);
    store<u64>(this.run, load<u64>(this.run, 16) + 1, 16);
    this.use(this.full, used + 8);
    if (used + 16 > SEGMENT_BYTES) this.turnOver();
  }

  /** Nothing waits to be written. */
  get isEmpty(): bool {
    return this.full == 0 && this.usedOf(0) == HEADER;
  }

  /** Writes what is full, and what is begun each 200 ms. After `WorkerSlots.tick` and before `LoadBoard.publish`, which tells the others. A set for each segment. */
  flush(now: i64): void {
    const slots = this.slots;
    if (!this.isEmpty) slots.traffic(now);
    if (slots.index < 0) return;
    if (slots.generation != this.generation) {
      this.generation = slots.generation;
      this.next = 0;
    }
    const age = now - this.writtenAt;
    while (this.full > 0 && this.write()) this.writtenAt = now;
    if (this.full == 0 && this.usedOf(0) > HEADER && (age >= BATCH || age < 0)) {
      this.turnOver();
      if (this.write()) this.writtenAt = now;
    }
    this.board.segments = this.next;
  }

  /**
   * Tells the sink what is new, of at most `most` segments: one get for each. After `LoadBoard.read`. True when there is more. A worker that was not known is read from the oldest it still has. A
   * segment tells at most 509 hashes.
   */
  read(sink: GossipSink, most: i32): bool {
    const mark = scratch.mark();
    const from = this.turn;
    for (let i = 0; i < MAX_WORKERS; i++) {
      const slot = (from + i) & (MAX_WORKERS - 1);
      if (((this.slots.others >> slot) & 1) == 0) continue;
      let next = this.catchUp(slot);
      const head = this.board.headOf(slot);
      while (next < head) {
        if (most-- <= 0) {
          this.turn = slot + 1;
          return true;
        }
        if (!this.fetch(slot, next, sink)) this.lostSegments++;
        scratch.rewind(mark);
        unchecked((this.readNext[slot] = ++next));
      }
    }
    return false;
  }

  /** Gives back the memory that the collector would not; what waits is forgotten. */
  release(): void {
    if (this.ring != 0) heap.free(this.ring);
    this.ring = 0;
    this.full = 0;
    this.begin();
  }

  /** The first segment to read of a slot. What is no longer there counts as lost, unless this worker did not know the other. */
  private catchUp(slot: i32): u64 {
    const head = this.board.headOf(slot);
    const oldest = head > <u64>SEGMENTS ? head - SEGMENTS : 0;
    const generation = this.slots.generationOf(slot);
    let next = unchecked(this.readNext[slot]);
    if (unchecked(this.readGeneration[slot]) != generation) {
      unchecked((this.readGeneration[slot] = generation));
      next = oldest;
    } else if (next < oldest) {
      this.lostSegments += min<u64>(oldest - next, MOST_LOST);
      next = oldest;
    } else if (next > head && head > 0) {
      // It was a wrong head that led here.
      next = head;
    }
    unchecked((this.readNext[slot] = next));
    return next;
  }

  /** False when the segment is not there any more. */
  private fetch(slot: i32, sequence: u64, sink: GossipSink): bool {
    const value = this.value;
    this.setKey(slot, sequence);
    if (sharedData.get(this.key, value) != Status.Ok) return false;
    if (value.len < HEADER || value.len > SEGMENT_BYTES || load<u32>(value.ptr) != MAGIC) return false;
    if (load<u64>(value.ptr, 8) != this.slots.generationOf(slot) || load<u64>(value.ptr, 16) != sequence) return false;
    let at = value.ptr + <usize>HEADER;
    const end = value.ptr + <usize>value.len;
    while (at < end) {
      if (end - at < <usize>RUN) return false;
      const count = load<u32>(at, 16);
      if (<usize>count > (end - at - <usize>RUN) >> 3) return false;
      const pool = this.board.poolOf(load<u64>(at));
      if (pool >= 0 && count > 0) {
        sink.learn(pool, load<u64>(at, 8), at + <usize>RUN, <i32>count);
        this.learned += count;
      }
      at += <usize>RUN + (<usize>count << 3);
    }
    return true;
  }

  /** Writes the segment that waits longest. */
  private write(): bool {
    const at = this.segment(0);
    store<u32>(at, MAGIC);
    store<u32>(at, 0, 4);
    store<u64>(at, this.generation, 8);
    store<u64>(at, this.next, 16);
    this.setKey(this.slots.index, this.next);
    this.view.set(at, this.usedOf(0));
    if (sharedData.set(this.key, this.view, 0) != Status.Ok) return false;
    this.next++;
    this.sent += this.hashesOf(0);
    this.shift();
    return true;
  }

  /** The begun segment is full; the next is begun. */
  private turnOver(): void {
    if (this.full == SEGMENTS - 1) {
      this.dropped += this.hashesOf(0);
      this.shift();
    }
    this.full++;
    this.begin();
  }

  private begin(): void {
    this.run = 0;
    this.use(this.full, HEADER);
  }

  private open(pool: u64, endpoint: u64): void {
    const used = this.usedOf(this.full);
    this.run = this.segment(this.full) + <usize>used;
    store<u64>(this.run, pool);
    store<u64>(this.run, endpoint, 8);
    store<u64>(this.run, 0, 16);
    this.use(this.full, used + RUN);
  }

  /** The first of those that wait is done with. */
  private shift(): void {
    this.first = (this.first + 1) & (SEGMENTS - 1);
    this.full--;
  }

  private hashesOf(number: i32): u64 {
    let hashes: u64 = 0;
    let at = this.segment(number) + <usize>HEADER;
    const end = this.segment(number) + <usize>this.usedOf(number);
    while (at < end) {
      const count = load<u32>(at, 16);
      hashes += count;
      at += <usize>RUN + (<usize>count << 3);
    }
    return hashes;
  }

  @inline
  private segment(number: i32): usize {
    return this.ring + <usize>(((this.first + number) & (SEGMENTS - 1)) * SEGMENT_BYTES);
  }

  @inline
  private usedOf(number: i32): i32 {
    return unchecked(this.used[(this.first + number) & (SEGMENTS - 1)]);
  }

  @inline
  private use(number: i32, bytes: i32): void {
    unchecked((this.used[(this.first + number) & (SEGMENTS - 1)] = bytes));
  }

  private setKey(slot: i32, sequence: u64): void {
    const digits = this.key.ptr + <usize>(this.key.len - 2);
    store<u8>(digits, keyDigit(slot));
    store<u8>(digits, keyDigit(<i32>(sequence & (SEGMENTS - 1))), 1);
  }
}
