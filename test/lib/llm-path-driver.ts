import { readFileSync } from "node:fs";

/** Runs filters/lib/llm-path, compiled, on paths. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  read(at: number, length: number): void;
  end(): number;
  method(): number;
  modelStart(): number;
  modelEnd(): number;
  value(): number;
  length(): number;
  defects(): number;
  api(at: number, length: number): number;
  name(api: number, to: number): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-llm-path.wasm", import.meta.url)),
);
export const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

const methods = ["none", "generate", "invalid", "stream"] as const;

export interface Path {
  end: number;
  method: (typeof methods)[number];
  /** The model as it stands in the path. */
  raw: string;
  model: Buffer;
  truncated: boolean;
  malformed: boolean;
}

export function put(bytes: Buffer): number {
  // Behind the text stands what a reader that goes too far would take for more of it.
  const at = wasm.allocate(bytes.length);
  new Uint8Array(wasm.memory.buffer, at, bytes.length + 16).fill(0x41).set(bytes);
  return at;
}

export function read(path: Buffer | string): Path {
  const bytes = Buffer.from(path);
  wasm.read(put(bytes), bytes.length);
  const defects = wasm.defects();
  return {
    end: wasm.end(),
    method: methods[wasm.method()] ?? "invalid",
    raw: bytes.subarray(wasm.modelStart(), wasm.modelEnd()).toString("latin1"),
    model: Buffer.from(new Uint8Array(wasm.memory.buffer, wasm.value(), wasm.length())),
    truncated: (defects & 1) !== 0,
    malformed: (defects & 2) !== 0,
  };
}

/** Name of the API that a path ends in. */
export function apiOf(suffix: string): string {
  const bytes = Buffer.from(suffix);
  const api = wasm.api(put(bytes), bytes.length);
  const at = wasm.allocate(32);
  const length = wasm.name(api, at);
  return Buffer.from(new Uint8Array(wasm.memory.buffer, at, length)).toString();
}
