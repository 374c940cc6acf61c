import { readFileSync } from "node:fs";
import type { Key } from "./sip-hash-reference.ts";

/** Feeds bodies to filters/lib/request-digest, for its tests. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  select(which: number): void;
  setKey(k0: bigint, k1: bigint): void;
  ignore(at: number, length: number): number;
  reset(): void;
  feed(at: number, length: number): number;
  low(): bigint;
  high(): bigint;
  refused(): number;
  size(): number;
  maxDepth(): number;
  maxMembers(): number;
  maxNumber(): number;
  maxIgnoredName(): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-request-digest.wasm", import.meta.url)),
);
export const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

export const TEST_KEY: Key = [0x0706050403020100n, 0x0f0e0d0c0b0a0908n];
for (const which of [0, 1]) {
  wasm.select(which);
  wasm.setKey(...TEST_KEY);
}

const statuses = ["need-more", "found", "invalid", "limit", "complete"] as const;

export interface Digest {
  status: (typeof statuses)[number];
  /** 32 hex digits, empty unless complete. */
  key: string;
  size: number;
  refused: boolean;
}

/** Copies what is to be seen, between quotes that are none of it. */
export function put(bytes: Uint8Array): number {
  const at = wasm.allocate(bytes.length + 64);
  const memory = new Uint8Array(wasm.memory.buffer, at, bytes.length + 64).fill(0x22);
  memory.set(bytes, 32);
  return at + 32;
}

export function hex([low, high]: readonly [bigint, bigint]): string {
  return [low, high].map((word) => BigInt.asUintN(64, word).toString(16).padStart(16, "0")).join("");
}

function result(status: number): Digest {
  const complete = statuses[status] === "complete";
  return {
    status: statuses[status] ?? "invalid",
    key: complete ? hex([wasm.low(), wasm.high()]) : "",
    size: wasm.size(),
    refused: wasm.refused() !== 0,
  };
}

/** The pieces come one after the other, each alone in memory. `which`: 1 ignores members. */
export function digestPieces(pieces: Uint8Array[], which = 0): Digest {
  wasm.select(which);
  wasm.reset();
  let status = wasm.feed(put(new Uint8Array()), 0);
  for (const piece of pieces) status = wasm.feed(put(piece), piece.length);
  return result(status);
}

export function digest(body: string | Uint8Array, which = 0): Digest {
  return digestPieces([Buffer.from(body)], which);
}

/** In pieces of `step` bytes. */
export function digestSteps(body: string | Uint8Array, step: number, which = 0): Digest {
  const bytes = Buffer.from(body);
  const count = Math.ceil(bytes.length / step);
  return digestPieces(
    Array.from({ length: count }, (_, i) => bytes.subarray(i * step, (i + 1) * step)),
    which,
  );
}

/** Members with these names do not count for the second digest, from now on. */
export function ignore(...names: string[]): boolean[] {
  wasm.select(1);
  return names.map((name) => wasm.ignore(put(Buffer.from(name)), Buffer.byteLength(name)) !== 0);
}
