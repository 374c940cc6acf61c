import { readFileSync } from "node:fs";

/** Runs filters/lib/stream-ending, compiled, the way a filter does: pieces pass until one is to be the last. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  begin(api: number, array: boolean): number;
  feed(at: number, length: number): number;
  feedAll(at: number, length: number, step: number): void;
  openBytes(): number;
  over(): number;
  end(usage: boolean, input: number, output: number): number;
  text(): number;
  otherBegin(api: number, array: boolean): number;
  otherFeed(at: number, length: number): void;
  pages(): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-stream-ending.wasm", import.meta.url)),
);
export const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

export const apis = ["chat", "completions", "responses", "embeddings", "anthropic", "gemini", "other"] as const;
export type Api = (typeof apis)[number];

export interface Stream {
  readonly api: Api;
  /** Gemini without `alt=sse`. */
  readonly array?: boolean;
  readonly bytes: Buffer;
}

/** What `end` is told. */
export interface Usage {
  readonly asked: boolean;
  readonly input: number;
  readonly output: number;
}

/** After a piece. */
export interface Moment {
  /** Where the stream can be cut, from its beginning; undefined when it cannot. */
  readonly cut: number | undefined;
  readonly over: boolean;
  /** What belongs behind the cut. */
  readonly ending: string;
}

const noUsage: Usage = { asked: false, input: 0, output: 0 };

export function begin({ api, array = false }: Stream): boolean {
  return wasm.begin(apis.indexOf(api), array) !== 0;
}

export function put(bytes: Uint8Array): number {
  const at = wasm.allocate(bytes.length);
  new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
  return at;
}

export function end({ asked, input, output }: Usage): string {
  const length = wasm.end(asked, input, output);
  return Buffer.from(wasm.memory.buffer, wasm.text(), length).toString();
}

/** The stream in pieces that end at `ends`, and how it could be ended after each of them. */
export function* moments(stream: Stream, ends: readonly number[], usage = noUsage): Generator<Moment> {
  const at = put(stream.bytes);
  begin(stream);
  let from = 0;
  for (const to of ends) {
    const cut = wasm.feed(at + from, to - from);
    yield { cut: cut < 0 ? undefined : from + cut, over: wasm.over() !== 0, ending: end(usage) };
    from = to;
  }
}

/** Ends of pieces of `step` bytes. */
export function piecesOf(length: number, step: number): number[] {
  const ends: number[] = [];
  for (let at = step; at < length; at += step) ends.push(at);
  return [...ends, length];
}
