import { readFileSync } from "node:fs";

/** Compiles patterns with filters/lib/pattern and runs texts through them, for the tests. One pattern at a time. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  compile(at: number, length: number): number;
  fault(): number;
  faultLength(): number;
  reset(): void;
  feed(at: number, length: number): number;
  feedPieces(at: number, length: number, step: number): number;
  finish(): number;
  work(): number;
  built(): number;
  flushes(): number;
  bytes(): number;
  openStates(kinds: number, members: number): void;
  stateOf(member: number): number;
  stateFlushes(): number;
  note(state: number, kind: number, next: number, flushes: number): void;
  nextOf(state: number, kind: number): number;
  collect(): void;
}

const module = new WebAssembly.Module(readFileSync(new URL("../../build/test-wasm/lib-pattern.wasm", import.meta.url)));
export const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

export function put(bytes: Buffer): number {
  const at = wasm.allocate(bytes.length);
  new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
  return at;
}

let compiled = 0;

/** Why the pattern is refused; undefined when it is the one that texts now go through. */
export function compile(pattern: string | Buffer): string | undefined {
  if (++compiled % 32 === 0) wasm.collect();
  const bytes = Buffer.from(pattern);
  if (wasm.compile(put(bytes), bytes.length) !== 0) return undefined;
  return Buffer.from(wasm.memory.buffer, wasm.fault(), wasm.faultLength() * 2).toString("utf16le");
}

/** Like `compile`; throws when the pattern is refused. */
export function use(pattern: string): void {
  const fault = compile(pattern);
  if (fault !== undefined) throw new Error(`${JSON.stringify(pattern)}: ${fault}`);
}

/** Whether the text matches, fed in pieces of `step` bytes (0: at once). */
export function matches(text: string | Buffer, step = 0): boolean {
  const bytes = Buffer.from(text);
  const at = put(bytes);
  wasm.reset();
  const certain = step === 0 ? wasm.feed(at, bytes.length) : wasm.feedPieces(at, bytes.length, step);
  const matched = wasm.finish() !== 0;
  if (certain !== 0 && !matched) throw new Error("feed was certain of a match that finish denies");
  return matched;
}

/** `matches`, after all splits gave the same answer. */
export function matchesEverySplit(text: string | Buffer): boolean {
  const whole = matches(text);
  for (const step of [1, 2, 7]) {
    if (matches(text, step) !== whole) throw new Error(`pieces of ${step} bytes: not ${whole}`);
  }
  return whole;
}
