/** Exports of filters/lib/pattern for its tests on Node: bytes in, answers and costs out. */
import "../../../filters/sdk/abort";
import { Pattern } from "../../../filters/lib/pattern";
import { PatternStates } from "../../../filters/lib/pattern-states";

let pattern: Pattern | null = null;
let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

export function compile(at: usize, length: i32): bool {
  pattern = Pattern.compile(at, length);
  return pattern !== null;
}

/** Where the reason of the refusal stands, in UTF-16. */
export function fault(): usize {
  return changetype<usize>(Pattern.fault);
}

export function faultLength(): i32 {
  return Pattern.fault.length;
}

export function reset(): void {
  pattern!.reset();
}

export function feed(at: usize, length: i32): bool {
  return pattern!.feed(at, length);
}

/** `feed` in pieces of `step` bytes, in one call. */
export function feedPieces(at: usize, length: i32, step: i32): bool {
  let matched = pattern!.feed(at, 0);
  for (let i = 0; i < length; i += step) matched = pattern!.feed(at + i, min(step, length - i));
  return matched;
}

export function finish(): bool {
  return pattern!.finish();
}

export function work(): f64 {
  return <f64>pattern!.automaton.work;
}

export function built(): u32 {
  return pattern!.automaton.states.built;
}

export function flushes(): u32 {
  return pattern!.automaton.states.flushes;
}

export function bytes(): i32 {
  return pattern!.bytes;
}

/** The memory of states alone. */
let states: PatternStates | null = null;
const member: usize = memory.data(2);

export function openStates(kinds: i32, members: i32): void {
  states = new PatternStates(kinds, members);
}

/** A state with one member. */
export function stateOf(number: i32): u32 {
  store<u16>(member, <u16>number);
  return states!.of(member, 1, 0, 0);
}

export function stateFlushes(): u32 {
  return states!.flushes;
}

export function note(state: u32, kind: i32, next: u32, flushes: u32): void {
  states!.note(state, kind, next, flushes);
}

export function nextOf(state: u32, kind: i32): u32 {
  return states!.nextOf(state, kind);
}

export function collect(): void {
  __collect();
}
