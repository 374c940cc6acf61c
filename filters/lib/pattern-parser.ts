/**
 * Reads a pattern and emits its program, in one pass.
 *
 * The syntax is RE2's without captures, Unicode classes and POSIX classes; `pattern.ts` lists it. What is not supported is refused by name, never taken for something else:
 * also `{` that begins no count, which RE2 takes as it stands. A fault says what, where (offset in bytes) and what to do. `xds-server/config/kinds/pattern.ts` is the
 * twin of this file: it refuses the same patterns with the same words.
 */
import { CharacterSet, shorthand } from "./pattern-classes";
import { END, PatternCursor, Sign } from "./pattern-cursor";
import { Assertion, MAX_INSTRUCTIONS, PatternProgram } from "./pattern-program";

/** Groups inside each other. */
export const MAX_NESTING: i32 = 32;
/** Largest count of a repetition. */
export const MAX_COUNT: i32 = 256;

const IGNORE_CASE: i32 = 1;
const MULTI_LINE: i32 = 2;
const DOT_ALL: i32 = 4;

/** `(?P<name>`. */
const LETTER_P: i32 = 0x50;

@final
export class PatternParser {
  readonly program: PatternProgram = new PatternProgram();

  private readonly cursor: PatternCursor;
  private flags: i32 = 0;
  private nesting: i32 = 0;

  /** Parses the UTF-8 bytes [text, text + length); `fault` tells whether it did. */
  constructor(text: usize, length: i32) {
    this.cursor = new PatternCursor(text, length);
    const cursor = this.cursor;
    if (cursor.good) this.alternation();
    if (cursor.good && cursor.peek() != END) {
      cursor.refuse(cursor.at, "closes a group that is not open", "write \\) for the character");
    }
    if (cursor.good) this.program.seal();
  }

  /** Why the pattern is refused; empty when it is not. */
  get fault(): string {
    return this.cursor.fault;
  }

  private room(more: i32): bool {
    if (this.program.has(more)) return true;
    const cursor = this.cursor;
    cursor.refuse(
      cursor.at,
      `needs more than ${MAX_INSTRUCTIONS} states`,
      "use smaller counts, or split it into several rules",
    );
    return false;
  }

  private alternation(): void {
    const cursor = this.cursor;
    const program = this.program;
    const start = program.size;
    this.sequence();
    while (cursor.good && cursor.skip(Sign.Bar)) {
      if (!this.room(2)) return;
      const jump = program.beginAlternative(start);
      this.sequence();
      program.endAlternative(jump);
    }
  }

  /** Up to `|`, `)` or the end. */
  private sequence(): void {
    const cursor = this.cursor;
    const program = this.program;
    /** Where the code of what a quantifier would apply to begins; below 0: there is nothing. */
    let start = -1;
    let quantified = false;
    while (cursor.good) {
      const byte = cursor.peek();
      if (byte == END || byte == Sign.Bar || byte == Sign.Close) return;
      if (byte == Sign.Star || byte == Sign.Plus || byte == Sign.Question || byte == Sign.Brace) {
        if (quantified) {
          cursor.refuse(cursor.at, "repeats a repetition", "put the first one in a group: (?:x*)+; possessive forms do not exist");
        } else if (start < 0) {
          cursor.refuse(cursor.at, "repeats nothing", "put a backslash before the character if it is meant as it stands");
        } else this.quantifier(start);
        start = -1;
        quantified = true;
        continue;
      }
      start = program.size;
      quantified = false;
      if (byte == Sign.Open) {
        if (!this.group()) start = -1;
      } else if (this.room(1)) this.single(byte);
    }
  }

  /** One instruction: a character, a class or an assertion. */
  private single(byte: i32): void {
    const cursor = this.cursor;
    const program = this.program;
    if (byte == Sign.Bracket) return this.bracket();
    if (byte == Sign.Backslash) return this.escape();
    if (byte == Sign.Dot) {
      cursor.at++;
      const any = new CharacterSet();
      if (!(this.flags & DOT_ALL)) any.add(0x0a, 0x0a);
      any.negate();
      program.emitSet(any);
    } else if (byte == Sign.Caret) {
      cursor.at++;
      program.emitAssert(this.flags & MULTI_LINE ? Assertion.LineStart : Assertion.TextStart);
    } else if (byte == Sign.Dollar) {
      cursor.at++;
      program.emitAssert(this.flags & MULTI_LINE ? Assertion.LineEnd : Assertion.TextEnd);
    } else this.literal(cursor.member());
  }

  private literal(character: i32): void {
    const set = new CharacterSet();
    this.include(set, character, character);
    this.program.emitSet(set);
  }

  private include(set: CharacterSet, low: i32, high: i32): void {
    if (this.flags & IGNORE_CASE) set.addFolded(low, high);
    else set.add(low, high);
  }

  /** At `(`. False: it only set flags, there is nothing to repeat. */
  private group(): bool {
    const cursor = this.cursor;
    const open = cursor.at++;
    const outer = this.flags;
    if (cursor.skip(Sign.Question)) {
      this.flagsOfGroup(open);
      if (cursor.skip(Sign.Close)) return false;
      cursor.at++;
    }
    if (this.nesting == MAX_NESTING) {
      cursor.refuse(open, `nests groups deeper than ${MAX_NESTING}`, "take out groups that are not needed");
    }
    if (!cursor.good) return false;
    this.nesting++;
    this.alternation();
    this.nesting--;
    this.flags = outer;
    if (!cursor.skip(Sign.Close)) cursor.refuse(open, "opens a group and does not close it", "add ), or write \\( for the character");
    return true;
  }

  /** Behind `(?`, up to `:` or `)`. */
  private flagsOfGroup(open: i32): void {
    const cursor = this.cursor;
    let negative = false;
    let letters = 0;
    while (true) {
      const byte = cursor.peek();
      const flag = flagOf(byte);
      if (flag != 0) {
        letters++;
        this.flags = negative ? this.flags & ~flag : this.flags | flag;
      } else if (byte == Sign.Dash && !negative) {
        negative = true;
        letters = 0;
      } else if ((byte == Sign.Colon || byte == Sign.Close) && (letters > 0 || (byte == Sign.Colon && !negative))) {
        return;
      } else break;
      cursor.at++;
    }
    const behind = cursor.peek(1);
    const byte = cursor.peek();
    const looksBehind = byte == Sign.Less && (behind == Sign.Equals || behind == Sign.Exclamation);
    if (letters == 0 && (byte == Sign.Equals || byte == Sign.Exclamation || looksBehind)) {
      cursor.refuse(open, "has look-around", "it cannot be matched in linear time; use another rule for the other condition");
    } else if (letters == 0 && (byte == Sign.Less || byte == LETTER_P)) {
      cursor.refuse(open, "names a group", "nothing is captured; write (?:...)");
    } else {
      cursor.refuse(open, "has an unknown group", "write (...), (?:...), or flags out of i, m and s such as (?i) and (?i:...)");
    }
  }

  private quantifier(start: i32): void {
    const cursor = this.cursor;
    const from = cursor.at;
    const byte = cursor.peek();
    let least = byte == Sign.Plus ? 1 : 0;
    let most = byte == Sign.Question ? 1 : -1;
    cursor.at++;
    if (byte == Sign.Brace) {
      least = cursor.count();
      most = least;
      if (least >= 0 && cursor.skip(Sign.Comma)) most = cursor.peek() == Sign.BraceEnd ? -1 : cursor.count();
      if (least < 0 || most < -1 || !cursor.skip(Sign.BraceEnd)) {
        cursor.refuse(from, "has a { that begins no count", "write {n}, {n,} or {n,m}, or \\{ for the character");
      } else if (max(least, most) > MAX_COUNT) {
        cursor.refuse(from, `repeats more than ${MAX_COUNT} times`, `use a count up to ${MAX_COUNT}, or * or +`);
      } else if (most >= 0 && most < least) {
        cursor.refuse(from, "has a count whose upper bound is below its lower one", "write {least,most}");
      }
    }
    // Lazy: which match is found first makes no difference here.
    cursor.skip(Sign.Question);
    const program = this.program;
    if (cursor.good && this.room(program.repeatedSize(start, least, most) - (program.size - start))) {
      program.repeat(start, least, most);
    }
  }

  /** At `\`, outside a class. */
  private escape(): void {
    const cursor = this.cursor;
    const program = this.program;
    const letter = cursor.peek(1);
    const set = shorthand(letter);
    if (set !== null) program.emitSet(set);
    else if (letter == 0x62) program.emitAssert(Assertion.WordEdge); // \b
    else if (letter == 0x42) program.emitAssert(Assertion.NoWordEdge); // \B
    else if (letter == 0x41) program.emitAssert(Assertion.TextStart); // \A
    else if (letter == 0x7a) program.emitAssert(Assertion.TextEnd); // \z
    else return this.literal(cursor.member());
    cursor.at += 2;
  }

  /** At `[`. A `]` right behind it, or behind `[^`, stands for itself, and so does `-` where it makes no range. */
  private bracket(): void {
    const cursor = this.cursor;
    const open = cursor.at++;
    const negative = cursor.skip(Sign.Caret);
    const set = new CharacterSet();
    let first = true;
    while (cursor.good && (first || cursor.peek() != Sign.BracketEnd)) {
      first = false;
      const from = cursor.at;
      if (cursor.peek() == END) {
        cursor.refuse(open, "opens a class and does not close it", "add ], or write \\[ for the character");
      } else if (cursor.peek() == Sign.Bracket && cursor.peek(1) == Sign.Colon) {
        cursor.refuse(from, "has a POSIX class", "write the ranges, such as a-z, or \\[ for the character");
      } else {
        const named = cursor.peek() == Sign.Backslash ? shorthand(cursor.peek(1)) : null;
        if (named !== null) {
          set.addAll(named);
          cursor.at += 2;
          continue;
        }
        const low = cursor.member();
        let high = low;
        if (cursor.peek() == Sign.Dash && cursor.peek(1) != Sign.BracketEnd && cursor.peek(1) != END) {
          cursor.at++;
          high = cursor.member();
          if (high < low) cursor.refuse(from, "has a range that runs backwards", "write the lower character first");
        }
        if (cursor.good) this.include(set, low, high);
      }
    }
    if (!cursor.good) return;
    cursor.at++;
    if (negative) set.negate();
    this.program.emitSet(set);
  }
}

/** 0: not the letter of a flag. */
function flagOf(byte: i32): i32 {
  if (byte == 0x69) return IGNORE_CASE; // i
  if (byte == 0x6d) return MULTI_LINE; // m
  return byte == 0x73 ? DOT_ALL : 0; // s
}
