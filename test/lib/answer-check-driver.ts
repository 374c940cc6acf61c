import { readFileSync } from "node:fs";

/** Runs filters/lib/answer-check, compiled, on answers. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  begin(api: number, form: number, allowLength: boolean): number;
  feed(at: number, length: number): number;
  feedAll(at: number, length: number, step: number, verdicts: number): number;
  end(): number;
  hopeless(): number;
  exchange(): void;
  pages(): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-answer-check.wasm", import.meta.url)),
);
export const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

export const apis = ["chat", "completions", "responses", "embeddings", "anthropic", "gemini", "other"] as const;
export type Api = (typeof apis)[number];
export const forms = ["document", "events", "array"] as const;
export type Form = (typeof forms)[number];
/** In the order of `AnswerVerdict`. */
export const verdicts = ["truncated", "unknown", "filtered", "error", "whole"] as const;
export type Verdict = (typeof verdicts)[number];

export interface Answer {
  readonly api: Api;
  readonly form: Form;
  readonly bytes: Buffer;
  /** Default true. */
  readonly allowLength?: boolean;
}

/** How the names of configurations are spelled here. */
export const shortNames: Record<string, Api> = {
  "openai.chat": "chat",
  "openai.completions": "completions",
  "openai.responses": "responses",
  "openai.embeddings": "embeddings",
  "anthropic.messages": "anthropic",
  "gemini.generate": "gemini",
};

const verdict = (value: number): Verdict => verdicts[value] as Verdict;

export function begin({ api, form, allowLength = true }: Omit<Answer, "bytes">): boolean {
  return wasm.begin(apis.indexOf(api), forms.indexOf(form), allowLength) !== 0;
}

function put(bytes: Uint8Array, room = 0): number {
  const at = wasm.allocate(bytes.length + room);
  new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
  return at;
}

/** What an answer in pieces that end at `ends` is; without these, in one. */
export function judge(answer: Answer, ends: readonly number[] = []): Verdict {
  const at = put(answer.bytes);
  begin(answer);
  let from = 0;
  for (const to of [...ends, answer.bytes.length]) {
    wasm.feed(at + from, to - from);
    from = to;
  }
  return verdict(wasm.end());
}

/** What it is in pieces of `step` bytes. */
export function judgePieces(answer: Answer, step: number): Verdict {
  const at = put(answer.bytes);
  begin(answer);
  return verdict(wasm.feedAll(at, answer.bytes.length, step, 0));
}

/** What it would be if it ended behind the first byte, the second, and so on; fed byte by byte. */
export function judgeEveryCut(answer: Answer): Verdict[] {
  const { length } = answer.bytes;
  const at = put(answer.bytes, length);
  begin(answer);
  wasm.feedAll(at, length, 1, at + length);
  return [...new Uint8Array(wasm.memory.buffer, at + length, length)].map(verdict);
}
