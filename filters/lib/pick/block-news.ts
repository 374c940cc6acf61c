/**
 * What this worker found out: which endpoint has which block now. Kept until it is told to the others, at most `capacity` pairs; what comes when it is full is
 * lost and counted, and costs the others a miss.
 */
@final
export class BlockNews {
  count: i32 = 0;
  /** Since construction. */
  lost: u64 = 0;
  private readonly slots: StaticArray<u8>;
  private readonly hashes: StaticArray<u64>;

  constructor(private readonly capacity: i32) {
    this.slots = new StaticArray<u8>(capacity);
    this.hashes = new StaticArray<u64>(capacity);
  }

  push(slot: i32, hash: u64): void {
    if (this.count == this.capacity) {
      this.lost++;
      return;
    }
    unchecked((this.slots[this.count] = <u8>slot));
    unchecked((this.hashes[this.count++] = hash));
  }

  slot(index: i32): i32 {
    return this.slots[index];
  }

  hash(index: i32): u64 {
    return this.hashes[index];
  }

  /** Takes out the first `count`; the others move up. */
  take(count: i32): void {
    if (count > this.count) count = this.count;
    this.count -= count;
    memory.copy(changetype<usize>(this.slots), changetype<usize>(this.slots) + <usize>count, this.count);
    memory.copy(changetype<usize>(this.hashes), changetype<usize>(this.hashes) + (<usize>count << 3), this.count << 3);
  }

  /** Another endpoint will be in the slot. */
  forget(slot: i32): void {
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      if (this.slots[i] == <u8>slot) continue;
      this.slots[kept] = this.slots[i];
      this.hashes[kept++] = this.hashes[i];
    }
    this.count = kept;
  }
}
