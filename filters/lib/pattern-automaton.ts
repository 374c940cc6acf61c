/**
 * Runs a program: a deterministic automaton that is built while texts go through it.
 *
 * A state is the set of instructions at which the nondeterministic automaton stands between two characters. `step` works out, once for each state and kind of character, which
 * state comes next, and notes it in the state's row; the matcher reads rows and calls `step` where nothing is noted yet. When the memory for states is full they are all
 * forgotten, and the work goes on: a text costs a look-up a character as a rule, O(characters x instructions) at worst.
 *
 * What `$`, `\b` and `\B` say depends on the character behind, so they stay in the set until it comes; with them the state keeps what stands in front.
 */
import { hasBit, Neighbor, PatternAlphabet } from "./pattern-alphabet";
import { Assertion, Op, PatternProgram } from "./pattern-program";
import { DEAD, FIRST_STATE, MATCHED, PatternStates } from "./pattern-states";

/** The members of a state wait for the next character; what stands in front is in the lower bits. */
const WAITS: u32 = 4;
/** The character behind is not known yet. */
const OPEN: i32 = -1;
/** All assertions are taken to hold. */
const ASSUMED: i32 = -2;

/** Scratch of all automatons, sized for MAX_INSTRUCTIONS + 1; nothing in it outlives a step. */
const BITS: i32 = 128;
const LIST: i32 = 2048;
/** For each instruction the number of the round that came by, u16. */
const ROUNDS: usize = memory.data(2048);
let round: u16 = 0;
/** A bit for each instruction of the state in the making. */
const KEPT: usize = memory.data(128);
/** The same as a list, u16 each. */
const MEMBERS: usize = memory.data(2048);
/** Instructions still to be looked at, u16 each. */
const STACK: usize = memory.data(2048);

@final
export class PatternAutomaton {
  /** Instructions looked at so far: what texts cost beyond look-ups. */
  work: u64 = 0;
  readonly states: PatternStates;
  /** State at the beginning of a text. */
  readonly initial: u32;
  /** States below this offset are those in which no match has begun. */
  readonly idleEnd: u32;

  private readonly program: PatternProgram;
  private readonly alphabet: PatternAlphabet;
  /** By `Neighbor` in front: states in which no match has begun. They and the initial one are never forgotten. */
  private readonly idle: StaticArray<u32> = new StaticArray<u32>(3);
  /** A match can begin behind the first character. */
  private floats: bool = true;

  private matched: bool = false;
  private waits: bool = false;
  private hash: u64 = 0;

  constructor(program: PatternProgram, alphabet: PatternAlphabet) {
    this.program = program;
    this.alphabet = alphabet;
    this.states = new PatternStates(alphabet.count, program.members);
    this.initial = DEAD;
    this.idleEnd = FIRST_STATE;
    this.begin();
    this.close(0, Neighbor.Newline, OPEN);
    this.floats = this.matched || this.list() > 0;
    for (let neighbor = 0; neighbor < Neighbor.Edge; neighbor++) this.idle[neighbor] = this.enter(neighbor);
    this.idleEnd = this.states.end;
    this.initial = this.enter(Neighbor.Edge);
    this.states.keepAll();
  }

  /** Bytes of memory. */
  get bytes(): i32 {
    return this.states.size + (this.program.size << 2);
  }

  /** State behind a byte when no match has begun. */
  idleBehind(byte: u8): u32 {
    if (byte >= 0x80) return unchecked(this.idle[Neighbor.Other]);
    return unchecked(this.idle[this.alphabet.neighbor(unchecked(this.alphabet.ascii[byte]) >> 1)]);
  }

  /** State behind a character of that kind. O(instructions). */
  step(state: u32, kind: i32): u32 {
    const states = this.states;
    const flushes = states.flushes;
    const neighbor = this.alphabet.neighbor(kind);
    let next = MATCHED;
    let members = states.membersOf(state);
    let count = states.countOf(state);
    let settled = true;
    if (states.waitsOf(state) & WAITS) {
      settled = !this.settle(state, neighbor);
      members = MEMBERS;
      count = this.list();
    }
    if (settled) {
      const code = changetype<usize>(this.program.code);
      const sets = this.alphabet.setsOf(kind);
      this.begin();
      for (let i = 0; i < count; i++) {
        const at = <i32>load<u16>(members + (<usize>i << 1));
        const instruction = load<i32>(code + (<usize>at << 2));
        if ((instruction & 7) == Op.Set && hasBit(sets, instruction >> 3)) this.close(at + 1, neighbor, OPEN);
      }
      this.work += count;
      this.close(0, neighbor, OPEN);
      next = this.state(neighbor);
    }
    states.note(state, kind, next, flushes);
    return next;
  }

  /** Whether there is a match when the text ends in this state. O(instructions). */
  matchesAtEnd(state: u32): bool {
    if (state < FIRST_STATE || !(this.states.waitsOf(state) & WAITS)) return state == MATCHED;
    return this.settle(state, Neighbor.Edge);
  }

  /** Sets the bits of the kinds that a match can begin with. False: a match needs no character. */
  beginnings(kinds: usize): bool {
    this.begin();
    this.close(0, Neighbor.Edge, ASSUMED);
    const count = this.list();
    for (let kind = 0; kind < this.alphabet.count; kind++) {
      const sets = this.alphabet.setsOf(kind);
      for (let i = 0; i < count; i++) {
        const at = load<u16>(MEMBERS + (<usize>i << 1));
        if (hasBit(sets, this.program.code[at] >> 3)) setBit(kinds, kind);
      }
    }
    return !this.matched;
  }

  /** The state behind `before` when no match has begun. */
  private enter(before: Neighbor): u32 {
    this.begin();
    this.close(0, before, OPEN);
    return this.state(before);
  }

  /** Decides what the state waits for: leaves instructions for characters in KEPT. True: there is a match. */
  private settle(state: u32, after: Neighbor): bool {
    this.begin();
    const code = changetype<usize>(this.program.code);
    const before = this.states.waitsOf(state) & 3;
    const members = this.states.membersOf(state);
    const count = this.states.countOf(state);
    for (let i = 0; i < count; i++) {
      const at = <i32>load<u16>(members + (<usize>i << 1));
      const instruction = load<i32>(code + (<usize>at << 2));
      if ((instruction & 7) == Op.Set) setBit(KEPT, at);
      else if (holds(instruction >> 3, before, after)) this.close(at + 1, before, after);
    }
    this.work += count;
    return this.matched;
  }

  private begin(): void {
    if (++round == 0) {
      memory.fill(ROUNDS, 0, LIST);
      round = 1;
    }
    memory.fill(KEPT, 0, BITS);
    this.matched = false;
    this.waits = false;
  }

  /** Adds to KEPT what can be reached from instruction `at` without a character, between the neighbors `before` and `after`. */
  private close(at: i32, before: i32, after: i32): void {
    const code = changetype<usize>(this.program.code);
    let work = 0;
    let stack = STACK;
    while (true) {
      work++;
      const seen = ROUNDS + (<usize>at << 1);
      if (load<u16>(seen) != round) {
        store<u16>(seen, round);
        const instruction = load<i32>(code + (<usize>at << 2));
        const op = instruction & 7;
        const argument = instruction >> 3;
        if (op == Op.Split) {
          store<u16>(stack, <u16>(at + argument));
          stack += 2;
          at++;
          continue;
        }
        if (op == Op.Jump) {
          at += argument;
          continue;
        }
        if (op == Op.Set) {
          setBit(KEPT, at);
        } else if (op == Op.Match) {
          this.matched = true;
          break;
        } else if (after == OPEN && argument >= Assertion.TextEnd) {
          setBit(KEPT, at);
          this.waits = true;
        } else if (holds(argument, before, after)) {
          at++;
          continue;
        }
      }
      if (stack == STACK) break;
      stack -= 2;
      at = <i32>load<u16>(stack);
    }
    this.work += work;
  }

  /** Writes KEPT to MEMBERS and returns how many there are; leaves their hash. */
  private list(): i32 {
    const size = this.program.size;
    let to = MEMBERS;
    let hash: u64 = 0;
    for (let from = 0; from < size; from += 64) {
      let word = load<u64>(KEPT + <usize>(from >> 3));
      hash = (rotl<u64>(hash, 5) ^ word) * 0x9e3779b97f4a7c15;
      for (; word != 0; word &= word - 1) {
        store<u16>(to, <u16>(from + <i32>ctz(word)));
        to += 2;
      }
    }
    this.hash = hash;
    return <i32>(to - MEMBERS) >> 1;
  }

  /** The state whose members are in KEPT. */
  private state(before: Neighbor): u32 {
    if (this.matched) return MATCHED;
    const count = this.list();
    if (count == 0 && !this.floats) return DEAD;
    return this.states.of(MEMBERS, count, this.waits ? WAITS | before : 0, this.hash);
  }
}

function holds(assertion: i32, before: i32, after: i32): bool {
  if (after == ASSUMED) return true;
  if (assertion == Assertion.TextStart) return before == Neighbor.Edge;
  if (assertion == Assertion.LineStart) return before >= Neighbor.Newline;
  if (assertion == Assertion.TextEnd) return after == Neighbor.Edge;
  if (assertion == Assertion.LineEnd) return after >= Neighbor.Newline;
  const edge = (before == Neighbor.Word) != (after == Neighbor.Word);
  return edge == (assertion == Assertion.WordEdge);
}

@inline
function setBit(bits: usize, index: i32): void {
  const at = bits + <usize>(index >> 3);
  store<u8>(at, load<u8>(at) | (<u8>1 << <u8>(index & 7)));
}
