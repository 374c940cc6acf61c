/** A table of slots that is walked around from the place of a key: the common half of the ring and of Maglev's table. */

import { EndpointHash, NO_SLOT } from "./endpoint-hash";
import { maskHas, maskIntersection, maskRemove, masksMeet } from "./slot-mask";

export abstract class SlotCircle extends EndpointHash {
  /** Entries; the first byte of each is a slot. */
  protected entries: usize = 0;
  protected count: i32 = 0;

  /** `stride`: an entry has 1 << stride bytes. */
  constructor(private readonly stride: i32) {
    super();
  }

  /** O(start + steps): a step for each entry that is passed over, at most `count`. */
  pick(key: u64, accept: usize): i32 {
    if (this.count == 0 || !masksMeet(accept, this.live)) return NO_SLOT;
    const entries = this.entries;
    const stride = <usize>this.stride;
    const count = this.count;
    let at = this.start(key);
    const first = <i32>load<u8>(entries + (<usize>at << stride));
    if (maskHas(accept, first)) return first;
    const step = this.step(key);
    for (let left = count - 1; left > 0; left--) {
      at += step;
      if (at >= count) at -= count;
      const slot = <i32>load<u8>(entries + (<usize>at << stride));
      if (maskHas(accept, slot)) return slot;
    }
    return NO_SLOT;
  }

  order(key: u64, accept: usize, slots: usize, limit: i32): i32 {
    const wanted = min(limit, maskIntersection(accept, this.live, this.scratch));
    if (this.count == 0 || wanted <= 0) return 0;
    const entries = this.entries;
    const stride = <usize>this.stride;
    const count = this.count;
    const open = this.scratch;
    const step = this.step(key);
    let found = 0;
    let at = this.start(key);
    for (let left = count; left > 0; left--) {
      const slot = <i32>load<u8>(entries + (<usize>at << stride));
      if (maskHas(open, slot)) {
        store<u8>(slots + <usize>found, slot);
        if (++found == wanted) break;
        maskRemove(open, slot);
      }
      at += step;
      if (at >= count) at -= count;
    }
    return found;
  }

  /** The entry where the walk of the key begins; the circle is not empty. */
  protected abstract start(key: u64): i32;

  /** How far it goes in each step: 1..count - 1, and no divisor of `count` but 1. */
  protected abstract step(key: u64): i32;

  free(): void {
    super.free();
    if (this.entries != 0) heap.free(this.entries);
    this.entries = 0;
    this.count = 0;
  }
}
