/** filters/lib/{sha1,murmur2,hash-function} on Node, over their compiled module. */
import { readFileSync } from "node:fs";

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  sha1Of(at: number, length: number): number;
  sha1WordOf(at: number, length: number, index: number): bigint;
  murmur2Of(at: number, length: number, seed: bigint): bigint;
  standardSeed(): bigint;
  hashOf(fn: number, at: number, length: number, seed: number): bigint;
}

const file = new URL("../../build/test-wasm/lib-hash-functions.wasm", import.meta.url);
const module = new WebAssembly.Module(readFileSync(file));
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

const unsigned = (hash: bigint): bigint => BigInt.asUintN(64, hash);

/** As in the module. */
export const HashFunction = { XxHash64: 0, Sha1: 1, Murmur2: 2 } as const;
export type HashFunction = (typeof HashFunction)[keyof typeof HashFunction];

export const STANDARD_SEED: bigint = unsigned(wasm.standardSeed());

/** Puts the bytes into the module's memory, `shift` bytes off its alignment. */
function place(bytes: Uint8Array, shift = 0): number {
  const at = wasm.allocate(bytes.length + shift) + shift;
  new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
  return at;
}

export function sha1(bytes: Uint8Array, shift = 0): Buffer {
  const at = wasm.sha1Of(place(bytes, shift), bytes.length);
  return Buffer.from(new Uint8Array(wasm.memory.buffer, at, 20).slice());
}

export function sha1Word(bytes: Uint8Array, index: number): bigint {
  return unsigned(wasm.sha1WordOf(place(bytes), bytes.length, index));
}

export function murmur2(bytes: Uint8Array, seed: bigint, shift = 0): bigint {
  return unsigned(wasm.murmur2Of(place(bytes, shift), bytes.length, seed));
}

/** The number that the rings and tables use; `seed` 0 or 1. */
export function hashBytes(fn: HashFunction, input: Uint8Array | string, seed = 0): bigint {
  const bytes = Buffer.from(input);
  return unsigned(wasm.hashOf(fn, place(bytes), bytes.length, seed));
}

export function memoryBytes(): number {
  return wasm.memory.buffer.byteLength;
}
