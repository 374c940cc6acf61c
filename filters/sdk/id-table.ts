/**
 * Map from u32 ids to values: open addressing, linear probing, power-of-two capacity, load at most one half.
 *
 * The host counts ids up, so `id & mask` spreads them perfectly and a lookup is one probe. Deletion shifts the cluster back
 * instead of leaving tombstones, so the table never degrades. `Map` of the standard library keeps deleted entries until it
 * rehashes and throws on a missing key, which would end the VM. 0 is never an id.
 */
@final
export class IdTable<T> {
  private keys: StaticArray<u32> = new StaticArray<u32>(64);
  private values: StaticArray<T | null> = new StaticArray<T | null>(64);
  private mask: u32 = 63;
  size: i32 = 0;

  /** The value of `id`, or null. O(1). */
  get(id: u32): T | null {
    const mask = this.mask;
    let at = id & mask;
    while (unchecked(this.keys[at]) != 0) {
      if (unchecked(this.keys[at]) == id) return unchecked(this.values[at]);
      at = (at + 1) & mask;
    }
    return null;
  }

  set(id: u32, value: T): void {
    if (<u32>(this.size + 1) * 2 > this.mask) this.grow();
    const mask = this.mask;
    let at = id & mask;
    while (unchecked(this.keys[at]) != 0 && unchecked(this.keys[at]) != id) at = (at + 1) & mask;
    if (unchecked(this.keys[at]) == 0) this.size++;
    unchecked((this.keys[at] = id));
    unchecked((this.values[at] = value));
  }

  delete(id: u32): void {
    const mask = this.mask;
    let hole = id & mask;
    while (unchecked(this.keys[hole]) != id) {
      if (unchecked(this.keys[hole]) == 0) return;
      hole = (hole + 1) & mask;
    }
    this.size--;
    for (let at = (hole + 1) & mask; unchecked(this.keys[at]) != 0; at = (at + 1) & mask) {
      const home = unchecked(this.keys[at]) & mask;
      // An entry may move back into the hole unless its home lies cyclically between the hole and itself.
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        unchecked((this.keys[hole] = this.keys[at]));
        unchecked((this.values[hole] = this.values[at]));
        hole = at;
      }
    }
    unchecked((this.keys[hole] = 0));
    unchecked((this.values[hole] = null));
  }

  private grow(): void {
    const keys = this.keys;
    const values = this.values;
    const capacity = keys.length * 2;
    this.keys = new StaticArray<u32>(capacity);
    this.values = new StaticArray<T | null>(capacity);
    this.mask = capacity - 1;
    this.size = 0;
    for (let i = 0; i < keys.length; i++) {
      const value = unchecked(values[i]);
      if (unchecked(keys[i]) != 0 && value !== null) this.set(unchecked(keys[i]), value);
    }
  }
}
