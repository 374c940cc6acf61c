import { readFileSync } from "node:fs";

/** Runs filters/lib/transcode, compiled. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  toStream(api: number, from: number, length: number, usage: boolean, limit: number): number;
  toDocument(api: number, from: number, length: number, input: number, output: number, limit: number): number;
  text(): number;
  size(): number;
  release(): void;
  pages(): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-transcode.wasm", import.meta.url)),
);
export const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

/** By their numbers in filters/lib/llm-api. */
export const apis = ["chat", "completions", "responses", "embeddings", "anthropic", "gemini", "other"] as const;
export type Api = (typeof apis)[number];

export const LIMIT = 1 << 24;

function put(bytes: Uint8Array): number {
  const at = wasm.allocate(bytes.length);
  new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
  return at;
}

function result(done: number): Buffer | undefined {
  if (done === 0) return undefined;
  return Buffer.from(new Uint8Array(wasm.memory.buffer, wasm.text(), wasm.size()));
}

/** The answer as a stream; undefined when it has none. */
export function toStream(api: Api, document: string | Uint8Array, usage = true, limit = LIMIT): Buffer | undefined {
  const bytes = Buffer.from(document as string);
  return result(wasm.toStream(apis.indexOf(api), put(bytes), bytes.length, usage, limit));
}

/** The stream as an answer. `tokens`: input and output, when the caller knows them. */
export function toDocument(
  api: Api,
  stream: string | Uint8Array,
  tokens: readonly [number, number] = [-1, -1],
  limit = LIMIT,
): Buffer | undefined {
  const bytes = Buffer.from(stream as string);
  return result(wasm.toDocument(apis.indexOf(api), put(bytes), bytes.length, tokens[0], tokens[1], limit));
}
