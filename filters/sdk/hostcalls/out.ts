import { Bytes } from "../bytes";

/** Out-parameters of every hostcall: one block, because a hostcall's results are read before the next one is made. */
export const OUT: usize = memory.data(64, 16);

/** Second and third out-parameter. */
export const OUT2: usize = OUT + 16;
export const OUT3: usize = OUT + 32;

/** Copies a `(pointer, size)` result into `into`. Only after an `Ok`: the host leaves out-parameters untouched otherwise. */
@inline
export function takeBytes(into: Bytes): void {
  into.set(load<u32>(OUT), load<i32>(OUT2));
}
