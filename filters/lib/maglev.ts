/**
 * Maglev's table: a prime number of entries, filled by the endpoints in turn, each going through the entries in an order of its own. A lookup
 * is one division and one byte, and shares are equal to one entry. Joining and leaving rebuild the table and move a few more keys than must
 * move. From its entry a key goes on in steps of its own, so what does not fit spreads over all: entries side by side would favour some
 * endpoints over others, because every endpoint has its entries at equal distances.
 *
 * With xxHash64 and 65,537 entries the same keys go to the same hosts as with Envoy's maglev. Paper: Eisenbud et al., NSDI 2016, section 3.4;
 * envoyproxy/envoy, maglev_lb.cc, for weights and for which hash is the offset and which the skip.
 */

import { HashFunction, hashBytes } from "./hash-function";
import { MAX_SLOTS, maskHas } from "./slot-mask";
import { SlotCircle } from "./slot-circle";

/** Envoy's default size. */
const MAGLEV_ENTRIES: i32 = 65537;
/** Largest table. */
const MOST_ENTRIES: i32 = 1 << 20;

@final
export class Maglev extends SlotCircle {
  /** Entries: a prime, so that every skip goes through all of them. */
  private readonly tableSize: i32;
  // One for each member while the table is made, in the order of their names.
  private readonly slots: StaticArray<i32> = new StaticArray<i32>(MAX_SLOTS);
  private readonly places: StaticArray<u32> = new StaticArray<u32>(MAX_SLOTS);
  private readonly skips: StaticArray<u32> = new StaticArray<u32>(MAX_SLOTS);
  private readonly shares: StaticArray<f64> = new StaticArray<f64>(MAX_SLOTS);
  private readonly targets: StaticArray<f64> = new StaticArray<f64>(MAX_SLOTS);

  /** `entries` is raised to the next prime; more than 100 for each endpoint keep shares equal within 1 %. */
  constructor(
    private readonly fn: HashFunction,
    entries: i32 = MAGLEV_ENTRIES,
  ) {
    super(0);
    this.tableSize = prime(min(max(entries, MAX_SLOTS), MOST_ENTRIES));
    this.entries = heap.alloc(this.tableSize);
  }

  protected start(key: u64): i32 {
    return <i32>(key % <u64>this.tableSize);
  }

  protected step(key: u64): i32 {
    return <i32>((key >> 32) % <u64>(this.tableSize - 1)) + 1;
  }

  protected enter(_slot: i32, _again: bool): void {
    this.build();
  }

  protected exit(_slot: i32): void {
    this.build();
  }

  /** O(entries x log entries) on average. */
  protected make(): void {
    const members = this.byName();
    this.count = 0;
    if (members == 0) return;
    const size = <u32>this.tableSize;
    const greatest = this.prepare(members);
    const taken = heap.alloc((size + 7) >> 3);
    memory.fill(taken, 0, (size + 7) >> 3);
    let filled: u32 = 0;
    for (let turn: u32 = 1; filled < size; turn++) {
      for (let i = 0; i < members && filled < size; i++) {
        // The heaviest has an entry in every turn, one of a third of its weight in every third.
        if (<f64>turn * unchecked(this.shares[i]) < unchecked(this.targets[i])) continue;
        unchecked((this.targets[i] += greatest));
        const skip = unchecked(this.skips[i]);
        let place = unchecked(this.places[i]);
        while (isSet(taken, place)) place = next(place, skip, size);
        set(taken, place);
        store<u8>(this.entries + <usize>place, unchecked(this.slots[i]));
        unchecked((this.places[i] = next(place, skip, size)));
        filled++;
      }
    }
    heap.free(taken);
    this.count = this.tableSize;
  }

  /** Where each member begins and how it goes on; the greatest share. */
  private prepare(members: i32): f64 {
    let total: u64 = 0;
    for (let i = 0; i < members; i++) total += this.weightOf(unchecked(this.slots[i]));
    let greatest: f64 = 0;
    const size = <u64>this.tableSize;
    for (let i = 0; i < members; i++) {
      const slot = unchecked(this.slots[i]);
      const name = this.nameOf(slot);
      const length = this.lengthOf(slot);
      unchecked((this.places[i] = <u32>(hashBytes(this.fn, name, length) % size)));
      unchecked((this.skips[i] = <u32>(hashBytes(this.fn, name, length, 1) % (size - 1)) + 1));
      unchecked((this.shares[i] = <f64>this.weightOf(slot) / <f64>total));
      unchecked((this.targets[i] = 0));
      greatest = max(greatest, unchecked(this.shares[i]));
    }
    return greatest;
  }

  /** Live slots sorted by name, so that their numbers do not matter; how many. */
  private byName(): i32 {
    let members = 0;
    for (let slot = 0; slot < MAX_SLOTS; slot++) {
      if (!maskHas(this.live, slot)) continue;
      let to = members++;
      for (; to > 0 && this.before(slot, unchecked(this.slots[to - 1])); to--) {
        unchecked((this.slots[to] = this.slots[to - 1]));
      }
      unchecked((this.slots[to] = slot));
    }
    return members;
  }

  private before(slot: i32, other: i32): bool {
    const length = this.lengthOf(slot);
    const otherLength = this.lengthOf(other);
    const difference = memory.compare(this.nameOf(slot), this.nameOf(other), min(length, otherLength));
    return difference != 0 ? difference < 0 : length < otherLength;
  }
}

@inline
function next(place: u32, skip: u32, size: u32): u32 {
  const to = place + skip;
  return to >= size ? to - size : to;
}

@inline
function isSet(bits: usize, index: u32): bool {
  return ((<u32>load<u8>(bits + (index >> 3)) >> (index & 7)) & 1) != 0;
}

@inline
function set(bits: usize, index: u32): void {
  store<u8>(bits + (index >> 3), load<u8>(bits + (index >> 3)) | (<u8>1 << <u8>(index & 7)));
}

/** The smallest prime that is not below. */
function prime(value: i32): i32 {
  while (true) {
    let divisor = 2;
    while (divisor * divisor <= value && value % divisor != 0) divisor++;
    if (divisor * divisor > value) return value;
    value++;
  }
}
