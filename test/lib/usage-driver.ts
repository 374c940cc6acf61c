import { readFileSync } from "node:fs";
import { expect } from "vitest";

/** Runs filters/lib/usage-reader, compiled, on answers. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  reset(api: number): void;
  feed(at: number, length: number): void;
  feedPieces(at: number, length: number, step: number): void;
  inputTokens(): number;
  outputTokens(): number;
  cachedTokens(): number;
  cacheWriteTokens(): number;
  reasoningTokens(): number;
  inputTotal(): number;
  outputTotal(): number;
  seen(): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-usage-reader.wasm", import.meta.url)),
);
export const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

export const apis = ["chat", "completions", "responses", "embeddings", "anthropic", "gemini", "other"] as const;
export type Api = (typeof apis)[number];

/** Tokens, -1 while unknown. */
export interface Usage {
  input: number;
  output: number;
  cached: number;
  cacheWrite: number;
  reasoning: number;
  inputTotal: number;
  outputTotal: number;
}

/** Nothing was reported. */
export const none: Usage = {
  input: -1,
  output: -1,
  cached: -1,
  cacheWrite: -1,
  reasoning: -1,
  inputTotal: -1,
  outputTotal: -1,
};

export function put(answer: Buffer): number {
  const at = wasm.allocate(answer.length);
  new Uint8Array(wasm.memory.buffer, at, answer.length).set(answer);
  return at;
}

/** What is found in `answer`, fed in pieces of `step` bytes (0: at once). Without an API the reader is reset without one. */
export function read(api: Api | undefined, answer: Buffer | string, step = 0): Usage {
  const bytes = Buffer.from(answer);
  const at = put(bytes);
  wasm.reset(api === undefined ? -1 : apis.indexOf(api));
  if (step === 0) wasm.feed(at, bytes.length);
  else wasm.feedPieces(at, bytes.length, step);
  const usage = {
    input: wasm.inputTokens(),
    output: wasm.outputTokens(),
    cached: wasm.cachedTokens(),
    cacheWrite: wasm.cacheWriteTokens(),
    reasoning: wasm.reasoningTokens(),
    inputTotal: wasm.inputTotal(),
    outputTotal: wasm.outputTotal(),
  };
  expect(wasm.seen() !== 0).toBe(usage.input >= 0 || usage.output >= 0);
  return usage;
}

export function readEverySplit(api: Api | undefined, answer: Buffer | string): Usage {
  const whole = read(api, answer);
  for (const step of [1, 2, 3, 7, 16, 17, 33]) expect(read(api, answer, step)).toEqual(whole);
  return whole;
}
