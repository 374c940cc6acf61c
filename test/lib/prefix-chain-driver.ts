import { readFileSync } from "node:fs";
import { type Api, apis } from "./chat-request-driver.ts";
import type { Chain } from "./prefix-chain-reference.ts";

/** Scans bodies with filters/lib/chat-request, hashes their prompts with filters/lib/prefix-chain and reads the chain back. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  records(value: number): void;
  scan(api: number, at: number, length: number, step: number): number;
  begin(salt: number, saltLength: number, model: number, modelLength: number): void;
  hash(at: number, length: number): number;
  hashWindows(at: number, length: number, size: number): number;
  start(): number;
  feed(at: number, offset: number, length: number): number;
  blocks(): number;
  chain(): number;
  bytes(): number;
  key(prefixBlocks: number): bigint;
  pieces(list: number): number;
  stopped(list: number): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-prefix-chain.wasm", import.meta.url)),
);
export const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();
wasm.records(1);

export interface Options {
  salt?: string;
  model?: string;
  /** Bytes of a piece for the scanner, 0: all at once. */
  step?: number;
  /** Bytes of a window for the chain, 0: all at once. */
  window?: number;
}

export interface Read extends Chain {
  status: number;
  windows: number;
  keys: bigint[];
}

export const COMPLETE = 4;

export function put(body: Buffer | string, ...more: string[]): number {
  const all = Buffer.concat([Buffer.from(body), ...more.map((text) => Buffer.from(text))]);
  const at = wasm.allocate(all.length);
  new Uint8Array(wasm.memory.buffer, at, all.length).set(all);
  return at;
}

export function read(api: Api, body: Buffer | string, options: Options = {}): Read {
  const { salt = "", model = "", step = 0, window = 0 } = options;
  const length = Buffer.byteLength(body);
  const at = put(body, salt, model);
  const status = wasm.scan(apis.indexOf(api), at, length, step);
  const saltLength = Buffer.byteLength(salt);
  wasm.begin(at + length, saltLength, at + length + saltLength, Buffer.byteLength(model));
  const windows = window === 0 ? Math.min(wasm.hash(at, length), 1) : wasm.hashWindows(at, length, window);
  const blocks = wasm.blocks();
  const hashes = [...new BigUint64Array(wasm.memory.buffer.slice(wasm.chain(), wasm.chain() + blocks * 8))];
  const keys = [0, 1, 2, 4, 5000].map((prefix) => BigInt.asUintN(64, wasm.key(prefix)));
  return { status, windows, hashes, bytes: wasm.bytes(), tail: keys[0] ?? 0n, keys };
}
