/**
 * Sets of characters: what one place of a pattern matches.
 *
 * `\d \w \s` are ASCII, as in RE2. Without regard to case (`addFolded`) these are one letter: ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic letters and their
 * accented forms, one to one, and the few characters outside that fold to them (long s, capital sharp s, signs of Kelvin, Ångström, Ohm and micro). Not folded: other
 * scripts, the variant forms of Greek letters that stand for mathematics (U+03D0 and the like), and anything that changes length (ß is not ss).
 */

export const LAST_CHARACTER: i32 = 0x10ffff;

/** Upper-case letters from, to; distance to the lower-case one. Rows are symmetrical. Source: Unicode CaseFolding.txt, status C and S. */
const SHIFTS: StaticArray<i32> = [
  0x41, 0x5a, 32,
  0xc0, 0xd6, 32,
  0xd8, 0xde, 32,
  0xff, 0xff, 0x79, // ÿ Ÿ
  0xb5, 0xb5, 0x307, // µ μ
  0x73, 0x73, 0x10c, // s ſ
  0xdf, 0xdf, 0x1dbf, // ß ẞ
  0x6b, 0x6b, 0x20bf, // k, Kelvin
  0xe5, 0xe5, 0x2046, // å, Ångström
  0x386, 0x386, 38,
  0x388, 0x38a, 37,
  0x38c, 0x38c, 64,
  0x38e, 0x38f, 63,
  0x391, 0x3a1, 32,
  0x3a3, 0x3ab, 32,
  0x3c2, 0x3c2, 1, // ς σ
  0x3c9, 0x3c9, 0x1d5d, // ω, Ohm
  0x400, 0x40f, 80,
  0x410, 0x42f, 32,
  0x4c0, 0x4c0, 15,
];

/** Stretches of pairs: the first is upper case, the second lower case, and so on. */
const PAIRS: StaticArray<i32> = [
  0x100, 0x12f,
  0x132, 0x137,
  0x139, 0x148,
  0x14a, 0x177,
  0x179, 0x17e,
  0x460, 0x481,
  0x48a, 0x4bf,
  0x4c1, 0x4ce,
  0x4d0, 0x52f,
];

@final
export class CharacterSet {
  /** From, to, from, to: ascending, apart from each other by at least one character. */
  private ranges: i32[] = [];

  /** Numbers in the list. */
  get length(): i32 {
    return this.ranges.length;
  }

  at(index: i32): i32 {
    return this.ranges[index];
  }

  /** O(length). */
  add(low: i32, high: i32): void {
    const old = this.ranges;
    const merged: i32[] = [];
    let index = 0;
    while (index < old.length && old[index + 1] < low - 1) {
      merged.push(old[index]);
      merged.push(old[index + 1]);
      index += 2;
    }
    while (index < old.length && old[index] <= high + 1) {
      low = min(low, old[index]);
      high = max(high, old[index + 1]);
      index += 2;
    }
    merged.push(low);
    merged.push(high);
    for (; index < old.length; index++) merged.push(old[index]);
    this.ranges = merged;
  }

  /** Adds the characters and those that differ in case only. Two rounds, because some letters have three forms (s S ſ). */
  addFolded(low: i32, high: i32, rounds: i32 = 2): void {
    this.add(low, high);
    if (rounds == 0) return;
    for (let row = 0; row < SHIFTS.length; row += 3) {
      const first = SHIFTS[row];
      const last = SHIFTS[row + 1];
      const shift = SHIFTS[row + 2];
      this.addShifted(max(low, first), min(high, last), shift, rounds);
      this.addShifted(max(low, first + shift), min(high, last + shift), -shift, rounds);
    }
    for (let row = 0; row < PAIRS.length; row += 2) {
      const first = PAIRS[row];
      const last = PAIRS[row + 1];
      if (low > last || high < first) continue;
      const from = max(low, first) - first;
      const to = min(high, last) - first;
      this.add(first + (from & ~1), first + (to | 1));
    }
  }

  addAll(other: CharacterSet): void {
    for (let i = 0; i < other.length; i += 2) this.add(other.at(i), other.at(i + 1));
  }

  negate(): void {
    const old = this.ranges;
    const gaps: i32[] = [];
    let from = 0;
    for (let i = 0; i < old.length; i += 2) {
      if (old[i] > from) {
        gaps.push(from);
        gaps.push(old[i] - 1);
      }
      from = old[i + 1] + 1;
    }
    if (from <= LAST_CHARACTER) {
      gaps.push(from);
      gaps.push(LAST_CHARACTER);
    }
    this.ranges = gaps;
  }

  has(character: i32): bool {
    for (let i = 0; i < this.ranges.length; i += 2) {
      if (character < this.ranges[i]) return false;
      if (character <= this.ranges[i + 1]) return true;
    }
    return false;
  }

  equals(other: CharacterSet): bool {
    if (this.length != other.length) return false;
    for (let i = 0; i < this.length; i++) if (this.at(i) != other.at(i)) return false;
    return true;
  }

  private addShifted(low: i32, high: i32, shift: i32, rounds: i32): void {
    if (low <= high) this.addFolded(low + shift, high + shift, rounds - 1);
  }
}

/** The class that `letter` of `d w s D W S` stands for; null for another byte. */
export function shorthand(letter: i32): CharacterSet | null {
  const set = new CharacterSet();
  const lower = letter | 0x20;
  if (lower == 0x64 || lower == 0x77) set.add(0x30, 0x39);
  if (lower == 0x77) {
    set.add(0x41, 0x5a);
    set.add(0x5f, 0x5f);
    set.add(0x61, 0x7a);
  } else if (lower == 0x73) {
    set.add(0x09, 0x0a);
    set.add(0x0c, 0x0d);
    set.add(0x20, 0x20);
  }
  if (set.length == 0) return null;
  if (letter < 0x61) set.negate();
  return set;
}
