/**
 * An answer, put together from one JSON document or from the events of a stream, as a tree over the bytes it came in: nothing is copied.
 *
 * The tree is as deep as the rules are; values below stay spans. It lies in an arena of `ROOM` bytes and as many as the input has. What would need more, has
 * more than `MAX_MEMBERS` members, `MAX_ITEMS` elements, one name twice in an object, or an escape in a name that could be one of ours is not merged.
 */
import { behindKey, behindSpace, behindString, behindValue } from "./json-value";
import { isEmpty, Kind, NO_PIECE, Node, NONE, Piece } from "./merge-node";
import { placeOf, Rule, ruleOf, SHAPE, Shape } from "./merge-rules";

const ROOM: usize = 65536;
const MAX_MEMBERS: i32 = 64;
/** Indexes of elements are below. */
const MAX_ITEMS: i32 = 128;

@final
export class MergeTree {
  private arena: usize = 0;
  private size: usize = 0;
  private used: usize = 0;
  /** End of the input that is being merged. */
  private end: usize = 0;
  private whole: bool = false;
  private stamp: u32 = 0;

  /** Ready for an answer in `length` bytes; returns its root. `whole`: it is one document. */
  begin(length: i32, whole: bool): Node {
    const size = ROOM + <usize>length;
    if (this.size < size) {
      this.release();
      this.arena = heap.alloc(size);
      this.size = size;
    }
    this.used = 0;
    this.stamp = 0;
    this.whole = whole;
    return changetype<Node>(this.allocate(offsetof<Node>()));
  }

  /** Gives the arena back when it is a large one. */
  trim(): void {
    if (this.size > 2 * ROOM) this.release();
  }

  release(): void {
    if (this.arena != 0) heap.free(this.arena);
    this.arena = 0;
    this.size = 0;
  }

  /** Merges the object in [at, end) into `node`; white space may stand around it. False: it is no JSON object, or not one to be merged. O(bytes). */
  merge(node: Node, at: usize, end: usize, shape: Shape): bool {
    this.end = end;
    at = this.object(node, behindSpace(at, end), shape);
    return at != 0 && behindSpace(at, end) == end;
  }

  /** The element with this index, which is made when there is none; `NONE` when there can be none. */
  element(node: Node, index: i32): Node {
    if (<u32>index >= <u32>MAX_ITEMS) return NONE;
    let before = NONE;
    let other = node.child;
    while (other !== NONE && other.index < index) {
      before = other;
      other = other.next;
    }
    if (other !== NONE && other.index == index) return other;
    const made = changetype<Node>(this.allocate(offsetof<Node>()));
    if (made === NONE) return NONE;
    made.index = index;
    made.next = other;
    if (before === NONE) node.child = made;
    else before.next = made;
    return made;
  }

  /** The object at `at`. Like the others returns the address behind the value, or 0. */
  private object(node: Node, at: usize, shape: Shape): usize {
    const end = this.end;
    if (at >= end || load<u8>(at) != 0x7b) return 0;
    const stamp = ++this.stamp;
    node.kind = Kind.Object;
    node.from = at;
    at = behindSpace(at + 1, end);
    let more = at < end && load<u8>(at) != 0x7d;
    while (more) {
      const value = behindKey(at, end);
      if (value == 0 || value == end) return 0;
      const length = keyLength(at, end);
      // Where names mean something, no name may be spelled in another way.
      if (shape < Shape.Latest && hasEscape(at + 1, length)) return 0;
      const rule = ruleOf(shape, at + 1, length, load<u8>(value));
      if (rule == Rule.Drop) {
        at = behindValue(value, end);
      } else {
        const child = this.member(node, at + 1, length);
        if (child === NONE || child.stamp == stamp) return 0;
        child.stamp = stamp;
        at = this.value(child, value, rule);
      }
      if (at == 0) return 0;
      at = behindSpace(at, end);
      more = at < end && load<u8>(at) == 0x2c;
      if (more) at = behindSpace(at + 1, end);
    }
    if (at >= end || load<u8>(at) != 0x7d) return 0;
    node.to = at + 1;
    return node.to;
  }

  private value(node: Node, at: usize, rule: i32): usize {
    const end = this.end;
    const byte = load<u8>(at);
    node.rule = <Rule>(rule & ((1 << SHAPE) - 1));
    if (byte == 0x6e && node.rule != Rule.Push) {
      if (node.kind == Kind.Absent) node.kind = Kind.Null;
      return behindValue(at, end);
    }
    const shape = <Shape>(rule >> SHAPE);
    switch (node.rule) {
      case Rule.Object:
        return node.kind <= Kind.Null || node.kind == Kind.Object ? this.object(node, at, shape) : 0;
      case Rule.Items:
      case Rule.Each:
        return byte == 0x5b ? this.elements(node, at, shape) : 0;
      case Rule.Refuse:
        return 0;
      default: {
        const to = behindValue(at, end);
        return to != 0 && this.scalar(node, at, to) ? to : 0;
      }
    }
  }

  /** A value that is not looked into. False: it does not go with what came before. */
  private scalar(node: Node, from: usize, to: usize): bool {
    const byte = load<u8>(from);
    switch (node.rule) {
      case Rule.Text:
        node.kind = Kind.Text;
        return byte == 0x22 && this.push(node, from + 1, to - 1);
      case Rule.Append:
        node.kind = Kind.List;
        return byte == 0x5b && this.push(node, behindSpace(from + 1, to), to - 1);
      case Rule.Push:
        node.kind = Kind.List;
        return this.push(node, from, to);
      default: {
        if (node.full) {
          if (isEmpty(from, to)) return true;
          if (node.rule == Rule.Once) return false;
          const same = node.to - node.from == to - from && memory.compare(node.from, from, to - from) == 0;
          if (node.rule == Rule.Same && !same) return false;
        }
        node.kind = Kind.Raw;
        node.from = from;
        node.to = to;
        return true;
      }
    }
  }

  private elements(node: Node, at: usize, shape: Shape): usize {
    const end = this.end;
    const each = node.rule == Rule.Each;
    node.kind = Kind.Items;
    at = behindSpace(at + 1, end);
    let more = at < end && load<u8>(at) != 0x5d;
    for (let place = 0; more; place++) {
      let index = each ? -1 : indexAt(at, end);
      if (index < 0 && (each || this.whole)) index = place;
      const element = this.element(node, index);
      if (element === NONE || (this.whole && element.kind != Kind.Absent)) return 0;
      at = this.object(element, at, shape);
      if (at == 0) return 0;
      at = behindSpace(at, end);
      more = at < end && load<u8>(at) == 0x2c;
      if (more) at = behindSpace(at + 1, end);
    }
    return at < end && load<u8>(at) == 0x5d ? at + 1 : 0;
  }

  /** The member with this name, which is made when there is none. */
  private member(node: Node, key: usize, length: i32): Node {
    let last = NONE;
    let count = 0;
    for (let other = node.child; other !== NONE; other = other.next) {
      if (other.keyLength == length && memory.compare(other.key, key, length) == 0) return other;
      last = other;
      count++;
    }
    if (count == MAX_MEMBERS) return NONE;
    const made = changetype<Node>(this.allocate(offsetof<Node>()));
    if (made === NONE) return NONE;
    made.key = key;
    made.keyLength = length;
    if (last === NONE) node.child = made;
    else last.next = made;
    return made;
  }

  /** One more piece, when it is not empty. */
  private push(node: Node, from: usize, to: usize): bool {
    if (from == to) return true;
    const piece = changetype<Piece>(this.allocate(offsetof<Piece>()));
    if (piece === NO_PIECE) return false;
    piece.from = from;
    piece.to = to;
    const last = node.lastPiece;
    if (last === NO_PIECE) node.piece = piece;
    else last.next = piece;
    node.lastPiece = piece;
    return true;
  }

  /** Zeros in the arena, or 0. */
  private allocate(size: usize): usize {
    if (size > this.size - this.used) return 0;
    const at = this.arena + this.used;
    this.used += size;
    memory.fill(at, 0, size);
    return at;
  }
}

/** Value of the member `name` of the object at `at`, which is JSON up to there; 0 when it has none. O(bytes). */
export function memberAt(at: usize, end: usize, name: string): usize {
  if (at == 0) return 0;
  at = behindSpace(at, end);
  if (at >= end || load<u8>(at) != 0x7b) return 0;
  at = behindSpace(at + 1, end);
  while (at < end) {
    const value = behindKey(at, end);
    if (value == 0) return 0;
    if (placeOf(at + 1, keyLength(at, end), name) == 0) return value;
    at = behindValue(value, end);
    if (at == 0) return 0;
    at = behindSpace(at, end);
    if (at >= end || load<u8>(at) != 0x2c) return 0;
    at = behindSpace(at + 1, end);
  }
  return 0;
}

/** `index` of the object at `at`, -1 when it has none that could be one. */
export function indexAt(at: usize, end: usize): i32 {
  at = memberAt(at, end, "index");
  if (at == 0) return -1;
  let index = 0;
  let digits = 0;
  while (at < end && load<u8>(at) - 48 < 10 && digits < 4) {
    index = index * 10 + <i32>(load<u8>(at++) - 48);
    digits++;
  }
  return digits == 0 || digits == 4 ? -1 : index;
}

/** Place of the string at `at` in a list of names with spaces between them; -1 when it is none of them, or no string. */
export function nameAt(at: usize, end: usize, names: string): i32 {
  if (at == 0 || at >= end || load<u8>(at) != 0x22) return -1;
  return placeOf(at + 1, keyLength(at, end), names);
}

/** Length of the inside of the string at `at`, escapes as they stand; -2 when it has no end. */
function keyLength(at: usize, end: usize): i32 {
  const to = behindString(at, end);
  return to == 0 ? -2 : <i32>(to - at) - 2;
}

function hasEscape(at: usize, length: i32): bool {
  for (let i = 0; i < length; i++) if (load<u8>(at + <usize>i) == 0x5c) return true;
  return false;
}
