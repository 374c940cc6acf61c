/**
 * Which endpoint a key belongs to, when endpoints come and go and few keys may move: one interface over rendezvous hashing, a ring and
 * Maglev's table.
 *
 * An endpoint is a slot (0..255) with a name, the bytes that are hashed, and a weight. Slots are only labels: the same names and weights
 * give the same endpoints for the same keys, whichever slots they have, so workers agree without talking. `accept` says which slots may be
 * taken (healthy, not draining, ...). Leaving one out moves only its keys, so nothing has to be rebuilt for it.
 *
 *   put, drop, build     the whole set at once: configuration
 *   join, leave          one endpoint: the smallest change of the table that gives what `build` would
 *   pick, order          never allocate
 */

import { mixBits } from "./hash-function";
import { MASK_BYTES, MAX_SLOTS, maskAdd, maskHas, maskIntersection, maskRemove } from "./slot-mask";

export { MASK_BYTES, MAX_SLOTS } from "./slot-mask";

/** No slot. */
export const NO_SLOT: i32 = -1;

/** Random jumps until the walk goes on clockwise: with a quarter of the endpoints full, one in 4^16 gets there. */
const JUMPS: i32 = 16;
const GOLDEN_RATIO: u64 = 0x9e3779b97f4a7c15;

export abstract class EndpointHash {
  /** Members: of the next `build`. */
  size: i32 = 0;
  /** Slots that picks know. */
  protected readonly live: usize = zeroed();
  /** Of a lookup; an override of `pick` or `order` may use it. */
  protected readonly scratch: usize = zeroed();
  private readonly members: usize = zeroed();
  private readonly open: usize = zeroed();
  private readonly names: StaticArray<usize> = new StaticArray<usize>(MAX_SLOTS);
  private readonly lengths: StaticArray<i32> = new StaticArray<i32>(MAX_SLOTS);
  private readonly weights: StaticArray<u32> = new StaticArray<u32>(MAX_SLOTS);

  /** Whether the slot is a member. */
  has(slot: i32): bool {
    return maskHas(this.members, slot);
  }

  /** Notes a member for the next `build` (a `join` or `leave` may be one); a slot that is one already gets the new name and weight. The name is copied. Weight 0 counts as 1. */
  put(slot: i32, name: usize, length: i32, weight: u32): void {
    this.drop(slot);
    const copy = heap.alloc(max(length, 1));
    memory.copy(copy, name, length);
    this.names[slot] = copy;
    this.lengths[slot] = length;
    this.weights[slot] = max<u32>(weight, 1);
    maskAdd(this.members, slot);
    this.size++;
  }

  /** `put` for who only has a hash of the address: its eight bytes are the name. */
  putHash(slot: i32, addressHash: u64, weight: u32): void {
    store<u64>(this.scratch, addressHash);
    this.put(slot, this.scratch, 8, weight);
  }

  /** The opposite of `put`. */
  drop(slot: i32): void {
    if (!this.has(slot)) return;
    heap.free(this.names[slot]);
    maskRemove(this.members, slot);
    this.size--;
  }

  /** Makes the table of the members. */
  build(): void {
    memory.copy(this.live, this.members, MASK_BYTES);
    this.make();
  }

  /** A new member, or another weight or name of one. */
  join(slot: i32, name: usize, length: i32, weight: u32): void {
    const again = maskHas(this.live, slot);
    this.put(slot, name, length, weight);
    maskAdd(this.live, slot);
    this.enter(slot, again);
  }

  joinHash(slot: i32, addressHash: u64, weight: u32): void {
    store<u64>(this.scratch, addressHash);
    this.join(slot, this.scratch, 8, weight);
  }

  leave(slot: i32): void {
    this.drop(slot);
    if (!maskHas(this.live, slot)) return;
    maskRemove(this.live, slot);
    this.exit(slot);
  }

  /** The slot of `accept` to which the key belongs, or -1. `key` is a hash of 64 bits of what is to stick. */
  abstract pick(key: u64, accept: usize): i32;

  /** Writes up to `limit` slots of `accept`, a byte each, in the order in which the key goes to them; how many. The first is that of `pick`. */
  abstract order(key: u64, accept: usize, slots: usize, limit: i32): i32;

  /**
   * Bounded load: the slot of `pick` when it is in `room`, else another one of `accept` that is, or -1. Without `jump` it is the next one on the
   * way, which then gets all the load of its neighbour too; with it the key jumps to random places until there is room (arXiv 1908.08762).
   */
  pickBounded(key: u64, accept: usize, room: usize, jump: bool): i32 {
    const first = this.pick(key, accept);
    if (first < 0 || maskHas(room, first)) return first;
    if (maskIntersection(accept, room, this.open) == 0) return NO_SLOT;
    if (jump) {
      for (let i = 0; i < JUMPS; i++) {
        key = mixBits(key + GOLDEN_RATIO);
        const slot = this.pick(key, accept);
        if (maskHas(room, slot)) return slot;
      }
    }
    return this.pick(key, this.open);
  }

  /** Gives the memory back; the object is of no use then. */
  free(): void {
    for (let slot = 0; slot < MAX_SLOTS; slot++) this.drop(slot);
    heap.free(this.live);
    heap.free(this.members);
    heap.free(this.scratch);
    heap.free(this.open);
  }

  /** The table of all live slots, which are the members. */
  protected abstract make(): void;

  /** A slot became live, or `again`: has another name or weight. Whoever has to make the table anew calls `build`: a live slot may be dropped. */
  protected abstract enter(slot: i32, again: bool): void;

  /** A slot is not live any more. */
  protected abstract exit(slot: i32): void;

  @inline
  protected nameOf(slot: i32): usize {
    return unchecked(this.names[slot]);
  }

  @inline
  protected lengthOf(slot: i32): i32 {
    return unchecked(this.lengths[slot]);
  }

  @inline
  protected weightOf(slot: i32): u32 {
    return unchecked(this.weights[slot]);
  }
}

function zeroed(): usize {
  const mask = heap.alloc(MASK_BYTES);
  memory.fill(mask, 0, MASK_BYTES);
  return mask;
}
