/**
 * Which blocks of prompts each endpoint is believed to have in its KV cache.
 *
 * An engine drops the block that was used longest ago, tails of prompts before their heads. So does the index, exactly and for each endpoint apart: a list by last
 * use, as long as the endpoint's cache is large. A chain is touched from its tail to its head, so the head is never dropped first: a chain without its head is worth
 * nothing. All endpoints are matched in one walk over the chain, because a block keeps one bit for each.
 *
 *   blocks   block-table.ts: who has a block                           one entry for each block that anybody has
 *   pairs    open addressing, linear, no tombstones: node + 1 as u32   by (hash, slot); 0 is empty
 *   nodes    pool with a free list                                     hash u64, newer u32, older u32, last use u32, slot u8
 *
 * Memory of n pairs: 51 n bytes up to 64 endpoints, 87 n up to 256. Rejected: one stamp for each block of everybody and a hand that goes round (24 n). Use on one endpoint
 * keeps the block alive for all then, which is wrong just where blocks are shared, and finding one endpoint's oldest among everybody's costs more than a list.
 */
import { BlockTable, homeOf, reaches, whoHas } from "./block-table";
import { EndpointMask, MASK_WORDS, MAX_ENDPOINTS } from "./endpoint-mask";
import { mixed } from "./random-bits";
import { Turnover } from "./turnover";

const NONE: u32 = 0xffffffff;
/** Makes pairs of one block lie apart. */
const SPREAD: u64 = 0xd6e8feb86659fd93;
/** Blocks that an insert drops at most when the limit of its endpoint was lowered. */
const DROPS: i32 = 4;
/** Times that an insert of a chain looks whether what is left of it can be moved together. */
const RUNS: i32 = 2;
/** Pairs that one endpoint gives in a row when there are no free ones. */
const GIFTS: i32 = 16;

@final
export class PrefixIndex {
  /** (block, endpoint) pairs now, and at most. */
  pairs: i32 = 0;
  /** ms, any origin: the time of all uses until it is set again. */
  now: u32 = 0;
  /** Bytes of all tables. */
  readonly bytes: usize;
  readonly turnover: Turnover = new Turnover();

  private readonly words: i32;
  private readonly places: i32;
  private readonly table: BlockTable;
  private readonly pairTable: StaticArray<u32>;
  private readonly hashes: StaticArray<u64>;
  private readonly newer: StaticArray<u32>;
  private readonly older: StaticArray<u32>;
  private readonly uses: StaticArray<u32>;
  private readonly slots: StaticArray<u8>;
  private readonly newest: StaticArray<u32> = new StaticArray<u32>(MAX_ENDPOINTS);
  private readonly oldest: StaticArray<u32> = new StaticArray<u32>(MAX_ENDPOINTS);
  private readonly counts: StaticArray<i32> = new StaticArray<i32>(MAX_ENDPOINTS);
  private readonly limits: StaticArray<i32> = new StaticArray<i32>(MAX_ENDPOINTS);
  /** Those who have all blocks so far, while a chain is matched. */
  private readonly alive: StaticArray<u64> = new StaticArray<u64>(MASK_WORDS);
  /** First free node; they are linked by `older`. */
  private free: u32 = 0;
  private fillers: u64 = 0;
  private giver: i32 = 0;
  private gifts: i32 = 0;

  /** `capacity`: slots. `limit`: blocks of an endpoint until `setLimit`. */
  constructor(
    private readonly capacity: i32,
    readonly maxPairs: i32,
    limit: i32,
  ) {
    const words = (capacity + 63) >> 6;
    const places = maxPairs + (maxPairs >> 1) + 8;
    this.words = words;
    this.places = places;
    const table = new BlockTable(words, places);
    this.table = table;
    this.bytes = table.bytes + (<usize>places << 2) + <usize>maxPairs * 21;
    this.pairTable = new StaticArray<u32>(places);
    this.hashes = new StaticArray<u64>(maxPairs);
    this.newer = new StaticArray<u32>(maxPairs);
    this.older = new StaticArray<u32>(maxPairs);
    this.uses = new StaticArray<u32>(maxPairs);
    this.slots = new StaticArray<u8>(maxPairs);
    for (let node = 0; node < maxPairs; node++) this.older[node] = node + 1 == maxPairs ? NONE : <u32>node + 1;
    for (let slot = 0; slot < MAX_ENDPOINTS; slot++) {
      this.newest[slot] = NONE;
      this.oldest[slot] = NONE;
      this.limits[slot] = limit;
    }
  }

  /** Blocks that anybody has. */
  get blocks(): i32 {
    return this.table.count;
  }

  /** Blocks of a slot now. */
  count(slot: i32): i32 {
    return this.counts[slot];
  }

  /** Blocks that the endpoint's cache has room for. What is too much goes with the next inserts. */
  setLimit(slot: i32, blocks: i32): void {
    this.limits[slot] = blocks < 1 ? 1 : blocks;
  }

  limit(slot: i32): i32 {
    return this.limits[slot];
  }

  /** Blocks over their limit: from 1 on the next new one takes the place of another. */
  @inline
  fullness(slot: i32): f64 {
    return <f64>unchecked(this.counts[slot]) / <f64>unchecked(this.limits[slot]);
  }

  /** ms since the block was used that goes next; 0 for an endpoint without blocks. */
  age(slot: i32): u32 {
    const last = unchecked(this.oldest[slot]);
    return last == NONE ? 0 : this.now - unchecked(this.uses[last]);
  }

  /**
   * Writes how many blocks from the beginning of the chain each endpoint of `among` has without a gap; returns the most. Numbers of others are left alone.
   * One lookup for each block until nobody has the next one. Changes nothing.
   */
  match(chain: usize, blocks: i32, among: EndpointMask, lengths: StaticArray<i32>): i32 {
    const alive = this.alive;
    for (let index = 0; index < this.words; index++) unchecked((alive[index] = among.word(index)));
    let matched = 0;
    for (; matched < blocks; matched++) {
      const entry = this.table.find(keyOf(load<u64>(chain + (<usize>matched << 3))));
      let anybody: u64 = 0;
      for (let index = 0; index < this.words; index++) {
        const asked = unchecked(alive[index]);
        const have = entry == 0 ? 0 : asked & whoHas(entry, index);
        unchecked((alive[index] = have));
        write(lengths, index, asked & ~have, matched);
        anybody |= have;
      }
      if (anybody == 0) return matched;
    }
    for (let index = 0; index < this.words; index++) write(lengths, index, unchecked(alive[index]), blocks);
    return matched;
  }

  /** The endpoint has the block, whatever is in front of it. */
  has(slot: i32, hash: u64): bool {
    return this.findPair(keyOf(hash), slot) != NONE;
  }

  /** The endpoint used the block just now. True: it did not have it. O(1), and at most DROPS blocks are dropped for it. */
  insert(slot: i32, hash: u64): bool {
    const key = keyOf(hash);
    const known = this.findPair(key, slot);
    if (known != NONE) {
      if (unchecked(this.newest[slot]) != known) {
        if (this.isOld(known, slot)) this.turnover.used(1);
        this.unlink(known, slot);
        this.link(known, slot);
      } else unchecked((this.uses[known] = this.now));
      return false;
    }
    const limit = unchecked(this.limits[slot]);
    for (let i = 0; i < DROPS && unchecked(this.counts[slot]) >= limit; i++) {
      this.drop(unchecked(this.oldest[slot]));
      this.turnover.dropped();
    }
    if (this.free == NONE) this.drop(unchecked(this.oldest[this.donor()]));
    const node = this.free;
    this.free = unchecked(this.older[node]);
    unchecked((this.hashes[node] = key));
    unchecked((this.slots[node] = <u8>slot));
    this.link(node, slot);
    unchecked(this.counts[slot]++);
    this.pairs++;
    this.addPair(node, key, slot);
    this.table.add(key, slot);
    return true;
  }

  /**
   * The endpoint used the first `blocks` of the chain just now, from the last to the first: as that many `insert`. Writes to `fresh`, unless it is 0, the number of each block that it did not have, u32
   * each, in that order; returns how many. O(blocks); those that follow each other by last use, as those of one prompt do, are moved together.
   */
  insertChain(slot: i32, chain: usize, blocks: i32, fresh: usize): i32 {
    let count = 0;
    let tries = RUNS;
    for (let i = blocks - 1; i >= 0; i--) {
      if (this.insert(slot, load<u64>(chain + (<usize>i << 3)))) {
        if (fresh != 0) store<u32>(fresh + (<usize>count << 2), <u32>i);
        count++;
      } else if (tries > 0 && i > 0) {
        tries--;
        if (!this.isRun(slot, chain, i)) continue;
        this.moveRun(slot, load<u64>(chain), i);
        break;
      }
    }
    return count;
  }

  /** Of a full cache, and in the older half by the time of last use. */
  @inline
  private isOld(node: u32, slot: i32): bool {
    if (unchecked(this.counts[slot]) < unchecked(this.limits[slot])) return false;
    return <u64>(this.now - unchecked(this.uses[node])) * 2 > <u64>this.age(slot);
  }

  /** The first `blocks` of the chain stand behind each other in the order of use. */
  private isRun(slot: i32, chain: usize, blocks: i32): bool {
    let node = this.findPair(keyOf(load<u64>(chain)), slot);
    let count = 0;
    while (node != NONE && unchecked(this.hashes[node]) == keyOf(load<u64>(chain + (<usize>count << 3)))) {
      if (++count == blocks) return true;
      node = unchecked(this.older[node]);
    }
    return false;
  }

  /** Makes `count` blocks, one behind the other from `first` on, the newest ones. */
  private moveRun(slot: i32, first: u64, count: i32): void {
    const head = this.findPair(keyOf(first), slot);
    if (this.isOld(head, slot)) this.turnover.used(count);
    let tail = head;
    for (let i = 0; ; i++) {
      unchecked((this.uses[tail] = this.now));
      if (i == count - 1) break;
      tail = unchecked(this.older[tail]);
    }
    const newer = unchecked(this.newer[head]);
    if (newer == NONE) return;
    const older = unchecked(this.older[tail]);
    unchecked((this.older[newer] = older));
    if (older == NONE) unchecked((this.oldest[slot] = newer));
    else unchecked((this.newer[older] = newer));
    const second = unchecked(this.newest[slot]);
    unchecked((this.newer[head] = NONE));
    unchecked((this.older[tail] = second));
    unchecked((this.newer[second] = tail));
    unchecked((this.newest[slot] = head));
  }

  /** As many blocks that will never be asked for: room that answers take. */
  fill(slot: i32, blocks: i32): void {
    const limit = this.limits[slot];
    if (blocks > limit) blocks = limit;
    for (let i = 0; i < blocks; i++) this.insert(slot, mixed(++this.fillers));
  }

  /** The endpoint has nothing. O(blocks it had). */
  clear(slot: i32): void {
    while (this.oldest[slot] != NONE) this.drop(this.oldest[slot]);
  }

  /** Who gives a pair when all are taken: the endpoint with most of them. To look for it each time would cost more than all the rest. */
  private donor(): i32 {
    if (this.gifts > 0 && unchecked(this.counts[this.giver]) > 0) {
      this.gifts--;
      return this.giver;
    }
    let most = 0;
    for (let slot = 1; slot < this.capacity; slot++) {
      if (unchecked(this.counts[slot]) > unchecked(this.counts[most])) most = slot;
    }
    this.giver = most;
    this.gifts = GIFTS - 1;
    return most;
  }

  private drop(node: u32): void {
    const slot = <i32>unchecked(this.slots[node]);
    const key = unchecked(this.hashes[node]);
    this.unlink(node, slot);
    unchecked(this.counts[slot]--);
    this.pairs--;
    this.removePair(node, key, slot);
    this.table.remove(key, slot);
    unchecked((this.older[node] = this.free));
    this.free = node;
  }

  private link(node: u32, slot: i32): void {
    const second = unchecked(this.newest[slot]);
    unchecked((this.uses[node] = this.now));
    unchecked((this.newer[node] = NONE));
    unchecked((this.older[node] = second));
    if (second == NONE) unchecked((this.oldest[slot] = node));
    else unchecked((this.newer[second] = node));
    unchecked((this.newest[slot] = node));
  }

  private unlink(node: u32, slot: i32): void {
    const newer = unchecked(this.newer[node]);
    const older = unchecked(this.older[node]);
    if (newer == NONE) unchecked((this.newest[slot] = older));
    else unchecked((this.older[newer] = older));
    if (older == NONE) unchecked((this.oldest[slot] = newer));
    else unchecked((this.newer[older] = newer));
  }

  /** Node of the pair, or NONE. */
  @inline
  private findPair(key: u64, slot: i32): u32 {
    let place = this.pairHome(key, slot);
    while (true) {
      const there = unchecked(this.pairTable[place]);
      if (there == 0) return NONE;
      const node = there - 1;
      if (unchecked(this.hashes[node]) == key && <i32>unchecked(this.slots[node]) == slot) return node;
      if (++place == this.places) place = 0;
    }
  }

  private addPair(node: u32, key: u64, slot: i32): void {
    let place = this.pairHome(key, slot);
    while (unchecked(this.pairTable[place]) != 0) if (++place == this.places) place = 0;
    unchecked((this.pairTable[place] = node + 1));
  }

  private removePair(node: u32, key: u64, slot: i32): void {
    let hole = this.pairHome(key, slot);
    while (unchecked(this.pairTable[hole]) != node + 1) if (++hole == this.places) hole = 0;
    let place = hole;
    while (true) {
      if (++place == this.places) place = 0;
      const there = unchecked(this.pairTable[place]);
      if (there == 0) break;
      const home = this.pairHome(unchecked(this.hashes[there - 1]), <i32>unchecked(this.slots[there - 1]));
      if (!reaches(home, hole, place)) continue;
      unchecked((this.pairTable[hole] = there));
      hole = place;
    }
    unchecked((this.pairTable[hole] = 0));
  }

  @inline
  private pairHome(key: u64, slot: i32): i32 {
    return homeOf(key + <u64>slot * SPREAD, this.places);
  }
}

/** 0 marks an empty place. */
@inline
function keyOf(hash: u64): u64 {
  return hash == 0 ? 1 : hash;
}

/** `blocks` for each slot of a word of a mask. */
@inline
function write(lengths: StaticArray<i32>, index: i32, slots: u64, blocks: i32): void {
  for (; slots != 0; slots &= slots - 1) unchecked((lengths[(index << 6) + <i32>ctz(slots)] = blocks));
}
