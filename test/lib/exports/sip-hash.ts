/** Exports of filters/lib/sip-hash for its tests on Node. */
import "../../../filters/sdk/abort";
import { SIP_STATE, SipHash } from "../../../filters/lib/sip-hash";

const states = [new SipHash(), new SipHash()];
const aside: usize = heap.alloc(SIP_STATE);
let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

export function reset(state: i32, k0: u64, k1: u64): void {
  states[state].reset(k0, k1);
}

export function update(state: i32, at: usize, length: i32): void {
  states[state].update(at, length);
}

export function word(state: i32, value: u64): void {
  states[state].word(value);
}

export function words(state: i32, at: usize, length: i32): void {
  states[state].words(at, length);
}

export function save(state: i32): void {
  states[state].save(aside);
}

export function restore(state: i32): void {
  states[state].restore(aside);
}

export function finish(state: i32): void {
  states[state].finish();
}

export function low(state: i32): u64 {
  return states[state].low;
}

export function high(state: i32): u64 {
  return states[state].high;
}
