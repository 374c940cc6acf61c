/**
 * A compiled pattern: instructions of a nondeterministic automaton over characters (Thompson's construction, without captures).
 *
 * Layout of an instruction, 32 bits: operation in the lower 3, argument (signed) above. Distances are relative, so a stretch of code can be moved and copied:
 * that is how the parser, which emits while it reads, puts a branch in front of what is there already and writes counted repetitions out.
 *
 * Instructions are counted the same way in the configuration's check: a character or class 1, an assertion 1, `|` 2, `*` 2, `+` and `?` 1, x{n,m} its copies of x and a
 * branch for each of the optional ones.
 */
import { CharacterSet } from "./pattern-classes";

/** Most instructions of a pattern, the last one (`Match`) aside. */
export const MAX_INSTRUCTIONS: i32 = 1000;

export const enum Op {
  /** Consumes one character out of set number `argument`. */
  Set = 0,
  /** Goes on with the next instruction and with the one at distance `argument`. */
  Split = 1,
  /** Goes on at distance `argument`. */
  Jump = 2,
  /** Goes on when `Assertion` number `argument` holds. */
  Assert = 3,
  Match = 4,
}

/** Those from `TextEnd` on need the character behind. */
export const enum Assertion {
  TextStart = 0,
  LineStart = 1,
  TextEnd = 2,
  LineEnd = 3,
  WordEdge = 4,
  NoWordEdge = 5,
}

@final
export class PatternProgram {
  code: StaticArray<i32> = new StaticArray<i32>(MAX_INSTRUCTIONS + 1);
  /** Instructions. */
  size: i32 = 0;
  readonly sets: CharacterSet[] = [];
  /** There are assertions. */
  asserts: bool = false;

  /** Instructions at which the automaton can stand between two characters. */
  get members(): i32 {
    let members = 0;
    for (let i = 0; i < this.size; i++) {
      const op = this.code[i] & 7;
      if (op == Op.Set || op == Op.Assert) members++;
    }
    return members;
  }

  has(more: i32): bool {
    return this.size + more <= MAX_INSTRUCTIONS;
  }

  emit(op: Op, argument: i32): void {
    this.code[this.size++] = (argument << 3) | op;
  }

  /** Emits the instruction for a set; equal sets are kept once. */
  emitSet(set: CharacterSet): void {
    let index = 0;
    while (index < this.sets.length && !this.sets[index].equals(set)) index++;
    if (index == this.sets.length) this.sets.push(set);
    this.emit(Op.Set, index);
  }

  emitAssert(assertion: Assertion): void {
    this.asserts = true;
    this.emit(Op.Assert, assertion);
  }

  /** Another alternative follows what was emitted from `start` on. Returns what `endAlternative` wants. */
  beginAlternative(start: i32): i32 {
    this.insertSplit(start, this.size - start + 2);
    this.emit(Op.Jump, 0);
    return this.size - 1;
  }

  endAlternative(jump: i32): void {
    this.code[jump] = ((this.size - jump) << 3) | Op.Jump;
  }

  /** Size of [start, size) after `repeat`; `most` -1: no upper bound. */
  repeatedSize(start: i32, least: i32, most: i32): i32 {
    const length = this.size - start;
    if (most < 0) return least == 0 ? length + 2 : least * length + 1;
    return least * length + (most - least) * (length + 1);
  }

  /** What was emitted from `start` on is to match `least` to `most` times. There must be room for `repeatedSize`. */
  repeat(start: i32, least: i32, most: i32): void {
    const length = this.size - start;
    if (most == 0) {
      this.size = start;
      return;
    }
    if (most < 0 && least == 0) {
      this.insertSplit(start, length + 2);
      this.emit(Op.Jump, -(length + 1));
      return;
    }
    const end = start + this.repeatedSize(start, least, most);
    let copies = 1;
    let source = start;
    if (least == 0) {
      this.insertSplit(start, end - start);
      source++;
    }
    for (; copies < least; copies++) this.copy(source, length);
    if (most < 0) this.emit(Op.Split, -length);
    // Each optional copy stands behind a branch to the end, not to the next copy: with x{0,9}, an x more is one state more and not nine.
    for (; copies < most; copies++) {
      this.emit(Op.Split, end - this.size);
      this.copy(source, length);
    }
  }

  /** No more instructions come. */
  seal(): void {
    this.emit(Op.Match, 0);
    const code = new StaticArray<i32>(this.size);
    memory.copy(changetype<usize>(code), changetype<usize>(this.code), <usize>this.size << 2);
    this.code = code;
  }

  private insertSplit(at: i32, distance: i32): void {
    const from = changetype<usize>(this.code) + (<usize>at << 2);
    memory.copy(from + 4, from, <usize>(this.size - at) << 2);
    this.code[at] = (distance << 3) | Op.Split;
    this.size++;
  }

  private copy(from: i32, length: i32): void {
    const code = changetype<usize>(this.code);
    memory.copy(code + (<usize>this.size << 2), code + (<usize>from << 2), <usize>length << 2);
    this.size += length;
  }
}
