/**
 * Who has a block: a hash table from blocks to a bit for each endpoint. Open addressing, linear; a hole is closed when an entry goes, so there are no tombstones and
 * a search ends at the first empty place.
 *
 * Entry, read by pointer: {key u64, bits u64 x words}; key 0 is empty.
 */

const GOLDEN: u64 = 0x9e3779b97f4a7c15;

@final
export class BlockTable {
  /** Entries. */
  count: i32 = 0;
  readonly bytes: usize;
  private readonly stride: usize;
  private readonly table: StaticArray<u8>;

  /** `places` is more than the entries ever are, by a third at least: a full table would be searched for ever. */
  constructor(
    private readonly words: i32,
    private readonly places: i32,
  ) {
    const stride = <usize>8 + (<usize>words << 3);
    this.stride = stride;
    this.bytes = <usize>places * stride;
    this.table = new StaticArray<u8>(places * <i32>stride);
  }

  /** Pointer to the entry, for `whoHas`, or 0. */
  @inline
  find(key: u64): usize {
    let place = homeOf(key, this.places);
    while (true) {
      const entry = this.entryAt(place);
      const there = load<u64>(entry);
      if (there == key) return entry;
      if (there == 0) return 0;
      if (++place == this.places) place = 0;
    }
  }

  add(key: u64, slot: i32): void {
    let place = homeOf(key, this.places);
    let entry = this.entryAt(place);
    while (load<u64>(entry) != key) {
      if (load<u64>(entry) == 0) {
        store<u64>(entry, key);
        this.count++;
        break;
      }
      if (++place == this.places) place = 0;
      entry = this.entryAt(place);
    }
    const word = entry + ((<usize>slot >> 6) << 3);
    store<u64>(word, load<u64>(word, 8) | (<u64>1 << (<u64>slot & 63)), 8);
  }

  /** The slot has the block until now. The entry goes with the last slot. */
  remove(key: u64, slot: i32): void {
    const entry = this.find(key);
    const word = entry + ((<usize>slot >> 6) << 3);
    store<u64>(word, load<u64>(word, 8) & ~(<u64>1 << (<u64>slot & 63)), 8);
    for (let index = 0; index < this.words; index++) if (whoHas(entry, index) != 0) return;
    this.close(<i32>((entry - this.entryAt(0)) / this.stride));
  }

  /** Whoever stands behind the hole and would have liked to stand in it or before moves there. */
  private close(hole: i32): void {
    let place = hole;
    while (true) {
      if (++place == this.places) place = 0;
      const entry = this.entryAt(place);
      const key = load<u64>(entry);
      if (key == 0) break;
      if (!reaches(homeOf(key, this.places), hole, place)) continue;
      memory.copy(this.entryAt(hole), entry, this.stride);
      hole = place;
    }
    memory.fill(this.entryAt(hole), 0, this.stride);
    this.count--;
  }

  @inline
  private entryAt(place: i32): usize {
    return changetype<usize>(this.table) + <usize>place * this.stride;
  }
}

/** Bits of slots 64 * index up to 64 * index + 63. */
@inline
export function whoHas(entry: usize, index: i32): u64 {
  return load<u64>(entry + (<usize>index << 3), 8);
}

/** Where the search for a key begins. */
@inline
export function homeOf(key: u64, places: i32): i32 {
  return <i32>((((key * GOLDEN) >> 32) * <u64>places) >> 32);
}

/** A search that begins at `home` passes `hole` before it comes to `place`. */
@inline
export function reaches(home: i32, hole: i32, place: i32): bool {
  return hole <= place ? home <= hole || home > place : home <= hole && home > place;
}
