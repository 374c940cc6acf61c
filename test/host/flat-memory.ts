/** Proof that a module does not leak: its memory stops growing however many times something is done. */
import type { Vm } from "./vm.ts";

/** Pages of 64 KiB that the VM grew by during `rounds` calls after a warm-up; 0 is flat. */
export function memoryGrowth(
  vm: Vm,
  rounds: number,
  once: (round: number) => void,
  warmUp: number = Math.min(500, rounds),
): number {
  for (let round = 0; round < warmUp; round++) once(round);
  const before = vm.memory.pages;
  for (let round = 0; round < rounds; round++) once(warmUp + round);
  return vm.memory.pages - before;
}
