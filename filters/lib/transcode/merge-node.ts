/**
 * Nodes of a `MergeTree`. They lie in its arena, so they are no objects of the collector's, and are zero at first. A reference to nothing is `NONE` or
 * `NO_PIECE`, not null: a loop over nullable ones does not compile.
 */
import { placeOf, Rule } from "./merge-rules";

export const enum Kind {
  /** Nothing came yet. */
  Absent = 0,
  Null = 1,
  /** [from, to). */
  Raw = 2,
  /** A string; its pieces are insides of strings, as they were spelled. */
  Text = 3,
  /** An array; its pieces are elements with the commas between them. */
  List = 4,
  /** An object; its children are members, in the order in which they came. */
  Object = 5,
  /** An array; its children are objects, by their indexes. */
  Items = 6,
}

/** In place of a node that is not there. */
export const NONE: Node = changetype<Node>(<usize>0);
export const NO_PIECE: Piece = changetype<Piece>(<usize>0);

/** A part of a string or of an array: [from, to). */
@unmanaged
export class Piece {
  next: Piece;
  from: usize;
  to: usize;
}

@unmanaged
export class Node {
  /** The next member, or element. */
  next: Node;
  child: Node;
  piece: Piece;
  lastPiece: Piece;
  /** Name of a member, which has no escapes. */
  key: usize;
  keyLength: i32;
  /** The last value, as it stands in the input. */
  from: usize;
  to: usize;
  rule: Rule;
  kind: Kind;
  /** Of an element. */
  index: i32;
  /** Which object brought the last value. */
  stamp: u32;

  is(name: string): bool {
    return placeOf(this.key, this.keyLength, name) == 0;
  }

  /** Its name is one of these, with spaces between them. */
  among(names: string): bool {
    return placeOf(this.key, this.keyLength, names) >= 0;
  }

  /** The member with this name, `NONE` when it did not come. O(members). */
  get(name: string): Node {
    return memberFrom(this.child, name);
  }

  /** A value, or a part of one, that is neither null nor an empty string, array or object. */
  get full(): bool {
    if (this.kind == Kind.Raw) return !isEmpty(this.from, this.to);
    return this.kind >= Kind.Object ? this.child !== NONE : this.piece !== NO_PIECE;
  }

  /** It is the string `text`, which needs no escapes and has no spaces. */
  says(text: string): bool {
    return this.begins(0x22) && placeOf(this.from + 1, <i32>(this.to - this.from) - 2, text) == 0;
  }

  /** It is a raw value that begins with this byte. */
  begins(byte: u8): bool {
    return this.kind == Kind.Raw && load<u8>(this.from) == byte;
  }
}

/** `""`, `[]` or `{}`. */
export function isEmpty(from: usize, to: usize): bool {
  const byte = load<u8>(from);
  return to - from == 2 && (byte == 0x22 || byte == 0x5b || byte == 0x7b);
}

/** The first member from `node` on that has this name. Not a loop, because that would be copied to each place where it is used: it has many. */
function memberFrom(node: Node, name: string): Node {
  return node === NONE || node.is(name) ? node : memberFrom(node.next, name);
}
