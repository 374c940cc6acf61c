import { readFileSync } from "node:fs";

/** Feeds bodies to filters/lib/chat-request and reads back what it found, for its tests. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  reset(api: number): void;
  maxBytes(value: number): void;
  feed(at: number, length: number): number;
  feedPieces(at: number, length: number, step: number): number;
  consumed(): number;
  firstMember(): number;
  kind(field: number): number;
  count(field: number): number;
  start(field: number): number;
  end(field: number): number;
  value(field: number): number;
  length(field: number): number;
  defects(field: number): number;
  streamOptionsEmpty(): number;
  number(field: number): number;
  flag(field: number): number;
  tools(): number;
  images(): number;
  promptBytes(): number;
  spans(list: number): number;
  select(list: number, index: number): number;
  spanStart(): number;
  spanEnd(): number;
  spanRole(): number;
  spanText(): number;
  parseNumber(at: number, length: number): number;
  decode(at: number, length: number): number;
  collect(): void;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-chat-request.wasm", import.meta.url)),
);
export const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

export const apis = ["chat", "completions", "responses", "embeddings", "anthropic", "gemini"] as const;
export type Api = (typeof apis)[number];

export const fieldNames = [
  "model",
  "stream",
  "max_tokens",
  "max_completion_tokens",
  "max_output_tokens",
  "n",
  "temperature",
  "user",
  "user_id",
  "safety_identifier",
  "prompt_cache_key",
  "session_id",
  "include_usage",
  "tools",
  "functions",
  "messages",
  "system",
] as const;
export type FieldName = (typeof fieldNames)[number];

const statuses = ["need-more", "found", "invalid", "limit", "complete"] as const;
const kinds = ["absent", "string", "number", "literal", "object", "array"] as const;
const flags = ["absent", true, false, "other"] as const;
export const roles = [
  "absent",
  "system",
  "developer",
  "user",
  "assistant",
  "tool",
  "function",
  "model",
  "other",
] as const;

export interface Field {
  kind: (typeof kinds)[number];
  count: number;
  raw: string;
  /** Captured bytes; empty for objects and arrays. */
  value: string;
  number: number;
  truncated: boolean;
  malformed: boolean;
}

export interface Span {
  index: number;
  start: number;
  raw: string;
  role: (typeof roles)[number];
  text: number;
}

export interface Facts {
  status: (typeof statuses)[number];
  consumed: number;
  firstMember: number;
  fields: Record<FieldName, Field>;
  stream: (typeof flags)[number];
  includeUsage: (typeof flags)[number];
  streamOptions: Omit<Field, "number">;
  streamOptionsEmpty: boolean;
  tools: number;
  images: number;
  promptBytes: number;
  messages: number;
  spans: Span[];
  userTexts: number;
  userText: Span[];
}

export function put(body: Buffer): number {
  const at = wasm.allocate(body.length);
  new Uint8Array(wasm.memory.buffer, at, body.length).set(body);
  return at;
}

/** What is found in `body`, fed in pieces of `step` bytes (0: at once). */
export function read(api: Api, body: Buffer | string, step = 0): Facts {
  const bytes = Buffer.from(body);
  const at = put(bytes);
  wasm.reset(apis.indexOf(api));
  const status = step === 0 ? wasm.feed(at, bytes.length) : wasm.feedPieces(at, bytes.length, step);
  const fields = {} as Record<FieldName, Field>;
  for (const [index, name] of fieldNames.entries()) fields[name] = fieldAt(index, bytes);
  return {
    status: statuses[status] ?? "invalid",
    consumed: wasm.consumed(),
    firstMember: wasm.firstMember(),
    fields,
    stream: flags[wasm.flag(fieldNames.indexOf("stream"))] ?? "absent",
    includeUsage: flags[wasm.flag(fieldNames.indexOf("include_usage"))] ?? "absent",
    streamOptions: tokenAt(fieldNames.length, bytes),
    streamOptionsEmpty: wasm.streamOptionsEmpty() !== 0,
    tools: wasm.tools(),
    images: wasm.images(),
    promptBytes: wasm.promptBytes(),
    messages: wasm.spans(0),
    spans: spansOf(0, bytes),
    userTexts: wasm.spans(1),
    userText: spansOf(1, bytes),
  };
}

function fieldAt(index: number, bytes: Buffer): Field {
  return { ...tokenAt(index, bytes), number: wasm.number(index) };
}

function tokenAt(index: number, bytes: Buffer): Omit<Field, "number"> {
  const kind = kinds[wasm.kind(index)] ?? "absent";
  const defects = wasm.defects(index);
  return {
    kind,
    count: wasm.count(index),
    raw: kind === "absent" ? "" : bytes.subarray(wasm.start(index), wasm.end(index)).toString(),
    value: Buffer.from(new Uint8Array(wasm.memory.buffer, wasm.value(index), wasm.length(index))).toString(),
    truncated: (defects & 1) !== 0,
    malformed: (defects & 2) !== 0,
  };
}

function spansOf(list: number, bytes: Buffer): Span[] {
  const found: Span[] = [];
  const count = wasm.spans(list);
  for (let index = 0; index < count; index++) {
    if (wasm.select(list, index) === 0) {
      index = Math.max(index, count - 9 - 1);
      continue;
    }
    const start = wasm.spanStart();
    const raw = bytes.subarray(start, wasm.spanEnd()).toString();
    found.push({ index, start, raw, role: roles[wasm.spanRole()] ?? "other", text: wasm.spanText() });
  }
  return found;
}
