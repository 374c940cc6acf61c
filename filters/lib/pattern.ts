/**
 * Regular expressions for untrusted text: does the pattern match anywhere? Time is linear in the text whatever the pattern, memory is fixed when the pattern is compiled.
 *
 * Syntax: RE2's without captures, Unicode and POSIX classes.
 *   x . [a-z] [^a-z] \d \w \s \D \W \S     characters; `.` is any but a line feed; \d \w \s are ASCII
 *   xy x|y (x) (?:x)                       sequence, alternatives, groups
 *   x* x+ x? x{n} x{n,} x{n,m}             repetitions, n and m up to 256; lazy ones (`x*?`) mean the same here
 *   ^ $ \A \z \b \B                        begin and end of the text (with (?m) ^ and $ also of lines), edge of an ASCII word or none
 *   (?i) (?m) (?s) (?i:x) (?-i)            ignore case, `^` and `$` at lines, `.` is any character; to the end of the group. `pattern-classes.ts` says what (?i) folds
 *   \n \r \t \f \v \a \xHH \x{H...} \.     escapes; a backslash before any ASCII character that is no letter or digit stands for that character
 * Refused with a reason: back-references, look-around, named groups, \p, \u, \Q, `[:alpha:]`, `x**`, `x*+`, a `{` that begins no count.
 * Bounds: 512 bytes, 1,000 instructions (`pattern-program.ts` counts them), groups nested 32 deep.
 *
 * Text is UTF-8. Bytes that are none match nothing, not even `.` or `[^a]`, and stand outside words; each is a character of its own.
 *
 * Time: 0.1 to 2 ns a byte where no match has begun or ASCII goes on (measured on Node), 4 to 6 ns a byte of other text. When every character makes a new state, as `[ab].{200}c`
 * does on a text of a's and d's at random, each costs about 4 ns for each instruction the automaton stands at: 100 here, never more than 1,000.
 *
 * Memory, allocated by `compile` and kept, in `bytes`: room for 64 of the largest state, at least 4.5 KiB and at most 64 KiB, 4 bytes an instruction, and tables of characters, as a
 * rule below 1 KiB. A word takes 5 KiB in all, five words without regard to case 10 KiB, `x.{0,200}y` 32 KiB. Each pattern keeps its own states: with one memory for all of
 * them, each rule would build its states anew for each request. 6.3 KiB of scratch are shared.
 */
import { BROKEN_KIND, PatternAlphabet } from "./pattern-alphabet";
import { PatternAutomaton } from "./pattern-automaton";
import { FirstBytes } from "./pattern-first";
import { PatternParser } from "./pattern-parser";
import { DEAD, FIRST_STATE, MATCHED, UNKNOWN } from "./pattern-states";
import { CUT, utf8Character, utf8Length } from "./pattern-utf8";

/** What finding the next beginning costs, in look-ups. */
const FIND_COST: i32 = 4;
/** After finds that cost this much more than they saved, a text goes on without them. */
const MOST_GAIN: i32 = 256;

@final
export class Pattern {
  /** Why `compile` returned null: what, where, and what to do. */
  static fault: string = "";

  /** What texts have cost so far. */
  readonly automaton: PatternAutomaton;

  private readonly alphabet: PatternAlphabet;
  private readonly first: FirstBytes;
  /** States below this offset wait for a match to begin, and `first` knows how it does. */
  private readonly idleEnd: u32;
  private state: u32 = DEAD;
  /** Look-ups that finding beginnings has saved so far, less what it cost; bounded, so that the last part of the text counts. */
  private gain: i32 = 0;
  /** Bytes of a character that the pieces cut apart. */
  private held: i32 = 0;
  private readonly cut: StaticArray<u8> = new StaticArray<u8>(4);

  private constructor(alphabet: PatternAlphabet, automaton: PatternAutomaton) {
    this.alphabet = alphabet;
    this.automaton = automaton;
    const kinds = new StaticArray<u8>((alphabet.count + 7) >> 3);
    const begins = automaton.beginnings(changetype<usize>(kinds));
    this.first = new FirstBytes(alphabet, kinds);
    this.idleEnd = begins ? automaton.idleEnd : FIRST_STATE;
  }

  /** Compiles the UTF-8 bytes [text, text + length). Null: see `fault`. Allocates; not for the path of requests. */
  static compile(text: usize, length: i32): Pattern | null {
    const parser = new PatternParser(text, length);
    Pattern.fault = parser.fault;
    if (parser.fault.length > 0) return null;
    const alphabet = new PatternAlphabet(parser.program);
    const pattern = new Pattern(alphabet, new PatternAutomaton(parser.program, alphabet));
    pattern.reset();
    return pattern;
  }

  /** Bytes of memory the pattern keeps, objects aside. */
  get bytes(): i32 {
    return this.alphabet.bytes + this.automaton.bytes;
  }

  /** A new text begins. */
  reset(): void {
    this.state = this.automaton.initial;
    this.gain = MOST_GAIN;
    this.held = 0;
  }

  /**
   * The next bytes of the text, cut anywhere. True as soon as there is a match whatever comes; then further calls return at once, and so they do when there can be none
   * any more. No allocation. O(length) look-ups, at worst O(length x instructions).
   */
  feed(from: usize, length: i32): bool {
    const end = from + <usize>length;
    let at = from;
    if (this.held > 0) at = this.joinCut(at, end);
    const automaton = this.automaton;
    const alphabet = this.alphabet;
    const ascii = changetype<usize>(alphabet.ascii);
    const rows = automaton.states.memory;
    let gain = this.gain;
    let idleEnd = gain < 0 ? FIRST_STATE : this.idleEnd;
    const stopsAboveAscii = this.first.aboveAscii;
    let state = this.state;
    while (at < end && state >= FIRST_STATE) {
      if (state < idleEnd && (load<u8>(at) < 0x80 || !stopsAboveAscii)) {
        const found = this.first.find(at, end);
        gain = min(gain + <i32>(found - at) - FIND_COST, MOST_GAIN);
        if (gain < 0) idleEnd = FIRST_STATE;
        if (found != at) {
          state = automaton.idleBehind(load<u8>(found - 1));
          at = found;
          continue;
        }
      }
      // Most of a text goes through here: ASCII, from one state that is known to another.
      while (at < end) {
        const byte = load<u8>(at);
        if (byte >= 0x80) break;
        const next = <u32>load<u16>(rows + load<u16>(ascii + (<usize>byte << 1)) + state);
        if (next < idleEnd) break;
        state = next;
        at++;
      }
      if (at == end) break;
      const byte = load<u8>(at);
      let offset: u32;
      if (byte < 0x80) {
        offset = load<u16>(ascii + (<usize>byte << 1));
        at++;
      } else {
        const size = utf8Length(at, end);
        if (size == CUT) {
          this.hold(at, end);
          break;
        }
        offset = <u32>(size > 0 ? alphabet.kindAbove(utf8Character(at, size)) : BROKEN_KIND) << 1;
        at += <usize>max(size, 1);
      }
      const next = <u32>load<u16>(rows + state + offset);
      state = next != UNKNOWN ? next : automaton.step(state, offset >> 1);
    }
    this.state = state;
    this.gain = gain;
    return state == MATCHED;
  }

  /** The text is over: whether the pattern matches it. */
  finish(): bool {
    this.breakCut();
    return this.automaton.matchesAtEnd(this.state);
  }

  private advance(kind: i32): void {
    const state = this.state;
    if (state < FIRST_STATE) return;
    const next = this.automaton.states.nextOf(state, kind);
    this.state = next != UNKNOWN ? next : this.automaton.step(state, kind);
  }

  /** The bytes up to `end` begin a character. */
  private hold(at: usize, end: usize): void {
    this.held = <i32>(end - at);
    memory.copy(changetype<usize>(this.cut), at, end - at);
  }

  /** Completes the character that the piece before ended in. Returns where the next one begins. */
  private joinCut(at: usize, end: usize): usize {
    const cut = changetype<usize>(this.cut);
    while (at < end) {
      store<u8>(cut + this.held, load<u8>(at));
      const size = utf8Length(cut, cut + this.held + 1);
      if (size < CUT) {
        // The bytes before this one are no character; this one may begin another.
        this.breakCut();
        return at;
      }
      at++;
      if (size > CUT) {
        this.held = 0;
        this.advance(this.alphabet.kindAbove(utf8Character(cut, size)));
        return at;
      }
      this.held++;
    }
    return at;
  }

  /** No character comes of the bytes held. */
  private breakCut(): void {
    for (; this.held > 0; this.held--) this.advance(BROKEN_KIND);
  }
}
