/**
 * The characters of a program, sorted into as few kinds as its sets tell apart: `[a-z]+\d` knows letters, digits and the rest. Tables are as wide as there are kinds.
 *
 * Bytes that are no UTF-8 are of a kind that is in no set and in no word.
 */
import { CharacterSet, LAST_CHARACTER, shorthand } from "./pattern-classes";
import { PatternProgram } from "./pattern-program";

/** What stands beside a position; `Edge` is the beginning or the end of the text. */
export const enum Neighbor {
  Other = 0,
  Word = 1,
  Newline = 2,
  Edge = 3,
}

/** Kind of a byte that is no UTF-8. */
export const BROKEN_KIND: i32 = 0;

@final
export class PatternAlphabet {
  /** Kinds there are. */
  readonly count: i32;
  /** Twice the kinds of the ASCII characters: offsets in a row of 16-bit numbers. */
  readonly ascii: StaticArray<u16>;

  /** Where stretches of one kind begin above ASCII, ascending; their kinds. */
  private readonly starts: i32[];
  private readonly kinds: i32[];
  /** For each kind, a bit for each set; behind them those for word and newline. */
  private readonly bits: StaticArray<u8>;
  private readonly stride: i32;
  private readonly wordBit: i32;

  /** O(stretches x (ranges + kinds)), some hundred of each at most. */
  constructor(program: PatternProgram) {
    const sets = program.sets.slice(0);
    const wordBit = sets.length;
    sets.push(program.asserts ? shorthand(0x77)! : new CharacterSet());
    sets.push(new CharacterSet());
    if (program.asserts) sets[wordBit + 1].add(0x0a, 0x0a);
    const stride = (sets.length + 7) >> 3;

    const columns: StaticArray<u8>[] = [new StaticArray<u8>(stride)];
    const borders = bordersOf(sets);
    const ascii = new StaticArray<u16>(128);
    const starts: i32[] = [];
    const kinds: i32[] = [];
    for (let i = 0; i < borders.length; i++) {
      const kind = kindOf(borders[i], sets, columns);
      const end = i + 1 < borders.length ? borders[i + 1] : LAST_CHARACTER + 1;
      for (let character = borders[i]; character < min(end, 0x80); character++) ascii[character] = <u16>(kind << 1);
      if (end > 0x80 && (kinds.length == 0 || kinds[kinds.length - 1] != kind)) {
        starts.push(borders[i]);
        kinds.push(kind);
      }
    }

    const bits = new StaticArray<u8>(columns.length * stride);
    for (let i = 0; i < columns.length; i++) {
      memory.copy(changetype<usize>(bits) + <usize>(i * stride), changetype<usize>(columns[i]), stride);
    }
    this.count = columns.length;
    this.ascii = ascii;
    this.starts = starts;
    this.kinds = kinds;
    this.bits = bits;
    this.stride = stride;
    this.wordBit = wordBit;
  }

  /** Bytes of memory. */
  get bytes(): i32 {
    return 256 + this.bits.length + this.starts.length * 8;
  }

  /** Kind of a character above ASCII. O(log stretches); most patterns have one. */
  kindAbove(character: i32): i32 {
    let low = 0;
    let high = this.starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (character < unchecked(this.starts[middle])) high = middle;
      else low = middle;
    }
    return unchecked(this.kinds[low]);
  }

  /** Whether one of these kinds, given as bits, is found above ASCII. */
  anyAbove(kinds: usize): bool {
    for (let i = 0; i < this.kinds.length; i++) if (hasBit(kinds, this.kinds[i])) return true;
    return false;
  }

  /** Where the bits of a kind stand: bit `set & 7` of byte `set >> 3`. */
  setsOf(kind: i32): usize {
    return changetype<usize>(this.bits) + <usize>(kind * this.stride);
  }

  neighbor(kind: i32): Neighbor {
    const bits = this.setsOf(kind);
    if (hasBit(bits, this.wordBit)) return Neighbor.Word;
    return hasBit(bits, this.wordBit + 1) ? Neighbor.Newline : Neighbor.Other;
  }
}

@inline
export function hasBit(bits: usize, index: i32): bool {
  return ((load<u8>(bits + <usize>(index >> 3)) >> <u8>(index & 7)) & 1) != 0;
}

/** Characters at which a set begins or has just ended, ascending; 0 and the first one above ASCII too. */
function bordersOf(sets: CharacterSet[]): i32[] {
  const borders: i32[] = [0, 0x80];
  for (let i = 0; i < sets.length; i++) {
    for (let j = 0; j < sets[i].length; j++) {
      const border = sets[i].at(j) + (j & 1);
      if (border <= LAST_CHARACTER && !borders.includes(border)) borders.push(border);
    }
  }
  return borders.sort((a, b) => a - b);
}

/** Index of the column that says which sets the character is in; added when it is new. */
function kindOf(character: i32, sets: CharacterSet[], columns: StaticArray<u8>[]): i32 {
  const stride = columns[0].length;
  const column = new StaticArray<u8>(stride);
  for (let i = 0; i < sets.length; i++) if (sets[i].has(character)) column[i >> 3] |= <u8>1 << <u8>(i & 7);
  let kind = 0;
  while (kind < columns.length && memory.compare(changetype<usize>(columns[kind]), changetype<usize>(column), stride) != 0) kind++;
  if (kind == columns.length) columns.push(column);
  return kind;
}
