/**
 * Consistent-hash ring: every endpoint has points on a circle, by its weight, and a key belongs to the first point at or clockwise behind it.
 *
 * Point i of an endpoint is the hash of `<name><separator><i>`. The circle is [0, 2^64), or [0, 2^32) with the leading 32 bits of every hash,
 * keys too: leading and not trailing ones, because they keep the order of the whole hashes, so the ring of 32 bits gives the endpoint of the
 * ring of all 160 bits of SHA-1 unless two of them share 32 bits. Two ways to count points:
 *
 *   by weight   points x weight for each, whoever else is there: joining and leaving moves the keys that must move and no other. When that
 *               is more than `maximum` together, all are halved until they fit; a join that crosses this line moves about half of all keys.
 *   as Envoy    `minimum` points together, more so that the lightest has a whole number, shared out by weight: the same keys go to the same
 *               hosts as with Envoy's ring_hash (slots in the order of its hosts). Changes rebuild the ring.
 *
 * A point is one word, the ring a sorted array of them; slots break ties:
 *
 *   63                            8 7      0
 *   | position, its leading 56 bits | slot |
 *
 * So of 64 bits 56 count: one key in 2^56 / points goes to the neighbour, one in 2^38 with the largest ring. Research: Karger et al. 1997;
 * envoyproxy/envoy, ring_hash_lb.cc, for what agrees with it.
 */

import { HashFunction, hashBytes } from "./hash-function";
import { MAX_SLOTS, maskHas } from "./slot-mask";
import { SlotCircle } from "./slot-circle";
import { sortWords } from "./word-sort";

/** Points of the largest ring: 2 MB, 1,024 for each of 256 endpoints. */
export const MAX_POINTS: i32 = 1 << 18;
/** Digits of a number of 32 bits, and the separator. */
const SUFFIX_BYTES: i32 = 11;

/** What a ring is like. */
@final
export class RingShape {
  fn: HashFunction = HashFunction.XxHash64;
  /** 64 or 32: bits of positions. */
  bits: i32 = 64;
  /** Between the name and the number of a point. */
  separator: u8 = 0x5f; // "_"
  /** Points for each unit of weight. */
  points: i32 = 1024;
  /** Points of the whole ring at least, as Envoy counts them; 0: by weight. */
  minimum: i32 = 0;
  /** Points of the whole ring at most, no more than MAX_POINTS. */
  maximum: i32 = MAX_POINTS;
}

@final
export class HashRing extends SlotCircle {
  private readonly positions: u64;
  /** How often points are halved. */
  private halvings: u32 = 0;
  private capacity: i32 = 0;

  constructor(private readonly shape: RingShape) {
    super(3);
    this.positions = shape.bits == 32 ? 0xffffffff_00000000 : ~(<u64>0xff);
  }

  /** Points on the ring. */
  get points(): i32 {
    return this.count;
  }

  /** Points of a slot. O(points). */
  pointsOf(slot: i32): i32 {
    let found = 0;
    for (let i = 0; i < this.count; i++) found += i32(<i32>load<u8>(this.entries + (<usize>i << 3)) == slot);
    return found;
  }

  /** First point at or behind the key; behind the last one comes the first. O(log points). */
  protected start(key: u64): i32 {
    const entries = this.entries;
    const position = key & this.positions;
    let at = 0;
    let left = this.count;
    while (left > 1) {
      const half = left >> 1;
      at = select(at + half, at, load<u64>(entries + (<usize>(at + half - 1) << 3)) < position);
      left -= half;
    }
    if (load<u64>(entries + (<usize>at << 3)) < position) at++;
    return select(0, at, at == this.count);
  }

  /** Clockwise. */
  protected step(_key: u64): i32 {
    return 1;
  }

  /** O(points), about: all hashed, then sorted. */
  protected make(): void {
    this.count = 0;
    if (this.shape.minimum > 0) {
      this.appendAsEnvoy();
    } else {
      this.halvings = this.fitting();
      let sum = 0;
      for (let slot = 0; slot < MAX_SLOTS; slot++) if (maskHas(this.live, slot)) sum += this.share(slot);
      this.reserve(sum);
      for (let slot = 0; slot < MAX_SLOTS; slot++) if (maskHas(this.live, slot)) this.append(slot, this.share(slot));
    }
    sortWords(this.entries, this.count);
  }

  /** O(points): one merge, unless all are halved. */
  protected enter(slot: i32, again: bool): void {
    if (again) this.remove(slot);
    if (this.shape.minimum > 0 || this.halvings != this.fitting()) this.build();
    else this.insert(slot, this.share(slot));
  }

  protected exit(slot: i32): void {
    this.remove(slot);
    if (this.shape.minimum > 0 || this.halvings != this.fitting()) this.build();
  }

  /** Points of a slot, by its weight. */
  private share(slot: i32): i32 {
    return max<i32>(1, <i32>((<u64>this.shape.points * <u64>this.weightOf(slot)) >> this.halvings));
  }

  /** How often points must be halved until all fit. */
  private fitting(): u32 {
    const limit = <u64>min(this.shape.maximum, MAX_POINTS);
    let halvings: u32 = 0;
    while (true) {
      let sum: u64 = 0;
      for (let slot = 0; slot < MAX_SLOTS; slot++) {
        if (!maskHas(this.live, slot)) continue;
        sum += max<u64>(1, (<u64>this.shape.points * <u64>this.weightOf(slot)) >> halvings);
      }
      // 63 halvings leave one point each, whatever the limit says.
      if (sum <= limit || halvings == 63) return halvings;
      halvings++;
    }
  }

  /** Envoy's count: shares of weight need not be whole numbers of points, so what is owed is carried on from host to host. */
  private appendAsEnvoy(): void {
    let total: u64 = 0;
    let lightest: f64 = 1;
    for (let slot = 0; slot < MAX_SLOTS; slot++) if (maskHas(this.live, slot)) total += this.weightOf(slot);
    for (let slot = 0; slot < MAX_SLOTS; slot++) {
      if (maskHas(this.live, slot)) lightest = min<f64>(lightest, <f64>this.weightOf(slot) / <f64>total);
    }
    if (total == 0) return;
    const most = <f64>min(this.shape.maximum, MAX_POINTS);
    const scale = min<f64>(ceil<f64>(lightest * <f64>this.shape.minimum) / lightest, most);
    this.reserve(<i32>ceil<f64>(scale));
    let made: f64 = 0;
    let due: f64 = 0;
    for (let slot = 0; slot < MAX_SLOTS; slot++) {
      if (!maskHas(this.live, slot)) continue;
      due += scale * (<f64>this.weightOf(slot) / <f64>total);
      const points = max<f64>(0, ceil<f64>(due - made));
      made += points;
      this.append(slot, <i32>points);
    }
  }

  /** Points 0..points of a slot, merged into the sorted ones. */
  private insert(slot: i32, points: i32): void {
    const before = this.count;
    // The merge fills from the end, so the new points wait behind the place where they will be.
    this.reserve(before + 2 * points);
    const waiting = this.entries + (<usize>(before + points) << 3);
    this.write(slot, points, waiting);
    sortWords(waiting, points);
    this.merge(waiting, points);
  }

  private append(slot: i32, points: i32): void {
    this.reserve(this.count + points);
    this.write(slot, points, this.entries + (<usize>this.count << 3));
    this.count += points;
  }

  private write(slot: i32, points: i32, to: usize): void {
    const length = this.lengthOf(slot);
    const text = heap.alloc(length + SUFFIX_BYTES);
    memory.copy(text, this.nameOf(slot), length);
    store<u8>(text + <usize>length, this.shape.separator);
    for (let i = 0; i < points; i++) {
      const end = decimal(text + <usize>length + 1, i);
      const hash = hashBytes(this.shape.fn, text, <i32>(end - text));
      store<u64>(to + (<usize>i << 3), (hash & this.positions) | <u64>slot);
    }
    heap.free(text);
  }

  private merge(waiting: usize, points: i32): void {
    const entries = this.entries;
    let old = this.count - 1;
    let fresh = points - 1;
    for (let to = old + points; fresh >= 0; to--) {
      const point = load<u64>(waiting + (<usize>fresh << 3));
      const other = old >= 0 ? load<u64>(entries + (<usize>old << 3)) : 0;
      const take = old < 0 || point >= other;
      store<u64>(entries + (<usize>to << 3), take ? point : other);
      if (take) fresh--;
      else old--;
    }
    this.count += points;
  }

  private remove(slot: i32): void {
    const entries = this.entries;
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      const point = load<u64>(entries + (<usize>i << 3));
      if (<i32>(point & 0xff) == slot) continue;
      store<u64>(entries + (<usize>kept << 3), point);
      kept++;
    }
    this.count = kept;
  }

  private reserve(points: i32): void {
    if (points <= this.capacity) return;
    const larger = heap.alloc(<usize>points << 3);
    memory.copy(larger, this.entries, <usize>this.count << 3);
    if (this.entries != 0) heap.free(this.entries);
    this.entries = larger;
    this.capacity = points;
  }
}

/** Writes the digits of a number; returns their end. */
function decimal(at: usize, value: u32): usize {
  let digits = 1;
  for (let rest = value; rest >= 10; rest /= 10) digits++;
  const end = at + <usize>digits;
  for (let to = end - 1; to >= at; to--) {
    store<u8>(to, 0x30 + (value % 10));
    value /= 10;
  }
  return end;
}
