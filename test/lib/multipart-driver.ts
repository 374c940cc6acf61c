import { readFileSync } from "node:fs";
import { expect } from "vitest";

/** Runs filters/lib/multipart-model, compiled, on bodies. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  begin(at: number, length: number): number;
  feed(at: number, length: number): number;
  feedPieces(at: number, length: number, step: number): number;
  consumed(): number;
  count(): number;
  start(): number;
  end(): number;
  value(): number;
  length(): number;
  defects(): number;
  stream(): number;
  sum(at: number, length: number): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-multipart-model.wasm", import.meta.url)),
);
export const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

export const statuses = ["need-more", "found", "invalid", "limit", "complete"] as const;
const flags = ["absent", true, false, "other"] as const;

export interface Found {
  status: (typeof statuses)[number];
  consumed: number;
  count: number;
  /** Raw bytes of the span. */
  raw: string;
  value: string;
  truncated: boolean;
  malformed: boolean;
  stream: (typeof flags)[number];
}

export function put(bytes: Buffer): number {
  // Behind the text stands what could be the beginning of a delimiter.
  const at = wasm.allocate(bytes.length);
  new Uint8Array(wasm.memory.buffer, at, bytes.length + 16).fill(0x0d).set(bytes);
  return at;
}

export function begin(contentType: string | Buffer): boolean {
  const bytes = Buffer.from(contentType);
  return wasm.begin(put(bytes), bytes.length) !== 0;
}

/** What is found in `body`, fed in pieces of `step` bytes (0: at once). */
function readIn(contentType: string, body: Buffer, step: number): Found {
  begin(contentType);
  const at = put(body);
  const status = step === 0 ? wasm.feed(at, body.length) : wasm.feedPieces(at, body.length, step);
  const defects = wasm.defects();
  return {
    status: statuses[status] ?? "invalid",
    consumed: wasm.consumed(),
    count: wasm.count(),
    raw: body.subarray(wasm.start(), wasm.end()).toString("latin1"),
    value: Buffer.from(new Uint8Array(wasm.memory.buffer, wasm.value(), wasm.length())).toString("latin1"),
    truncated: (defects & 1) !== 0,
    malformed: (defects & 2) !== 0,
    stream: flags[wasm.stream()] ?? "other",
  };
}

export function read(contentType: string, body: Buffer | string): Found {
  const bytes = Buffer.from(body);
  const whole = readIn(contentType, bytes, 0);
  for (const step of [1, 2, 7, 40, 100]) expect(readIn(contentType, bytes, step)).toEqual(whole);
  return whole;
}
