import { Status } from "../abi.ts";
import type { Context } from "../context.ts";
import type { Argument, Vm } from "../vm.ts";

/** A host function: `context` is the effective one, numbers are already unsigned, the result is an ABI status or WASI errno. */
export type Hostcall = (vm: Vm, context: Context, args: readonly Argument[]) => number;

/** The linker has checked the types, so a missing argument is a fault of the table. */
export function word(args: readonly Argument[], index: number): number {
  const value = args[index];
  if (typeof value !== "number") throw new Error(`host: argument ${index} is not an i32`);
  return value;
}

export function long(args: readonly Argument[], index: number): bigint {
  const value = args[index];
  if (typeof value !== "bigint") throw new Error(`host: argument ${index} is not an i64`);
  return value;
}

/** Bytes at a pair of arguments (pointer, size); undefined when they leave the memory. The view dies at the next entry into the VM. */
export function bytesAt(vm: Vm, args: readonly Argument[], index: number): Uint8Array | undefined {
  return vm.memory.view(word(args, index), word(args, index + 1));
}

export function textAt(vm: Vm, args: readonly Argument[], index: number): string | undefined {
  return vm.memory.text(word(args, index), word(args, index + 1));
}

export const written = (done: boolean): Status => (done ? Status.Ok : Status.InvalidMemoryAccess);
