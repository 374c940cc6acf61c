/**
 * Cuts long strings into deltas: many clients bound the length of a line, Go's scanner and ours to 64 KiB.
 */
import { behindEscape } from "./json-value";
import { Kind, Node } from "./merge-node";

/** Most bytes of a string in one event. Escaped once more they still fit into such a line. */
const PIECE: usize = 16384;

@final
export class TextPieces {
  /** The piece: [from, to). */
  from: usize = 0;
  to: usize = 0;
  private end: usize = 0;

  /** The inside of a string that came whole. It has no pieces when it is something else. */
  begin(node: Node): void {
    const raw = node.begins(0x22);
    const text = node.kind == Kind.Text && node.full;
    this.to = raw ? node.from + 1 : text ? node.piece.from : 0;
    this.end = raw ? node.to - 1 : text ? node.piece.to : 0;
  }

  /** Goes on to the next piece: it ends in no escape, not between the halves of a surrogate pair and in no character. O(piece). */
  next(): bool {
    const from = this.to;
    this.from = from;
    if (from == this.end) return false;
    this.to = this.end;
    if (this.end - from <= PIECE) return true;
    for (let at = from; at <= from + PIECE; ) {
      const byte = load<u8>(at);
      if ((byte & 0xc0) != 0x80 && at != from && !behindHigh(at, from)) this.to = at;
      at = byte == 0x5c ? behindEscape(at, this.end) : at + 1;
    }
    return true;
  }
}

/** Where the first piece of JSON in [from, to) ends that is escaped once more: in no character. */
export function jsonCut(from: usize, to: usize): usize {
  if (to - from <= PIECE) return to;
  let cut = from + PIECE;
  while (cut > from && (load<u8>(cut) & 0xc0) == 0x80) cut--;
  return cut == from ? to : cut;
}

/** `\ud800` to `\udbff` stands before `at`. */
function behindHigh(at: usize, from: usize): bool {
  if (at < from + 6 || load<u16>(at - 6) != 0x755c || (load<u8>(at - 4) | 0x20) != 0x64) return false;
  const digit = load<u8>(at - 3) | 0x20;
  return digit == 0x38 || digit == 0x39 || digit == 0x61 || digit == 0x62;
}
