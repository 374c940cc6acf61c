/** test/state/wasm/answer-slab.ts on the workers of the test host. Times are ms since 1970, keys are pairs of 64 bits. */
import { type LoadOptions, type Plugin, ProxyWasmHost } from "../host/index.ts";
import type { Hash } from "./budget-driver.ts";

export const begin = Date.UTC(2026, 10, 22, 1, 2, 3, 456);
export const second = 1000;
export const day = 86_400_000;

export type Found = "missing" | "fresh" | "stale";
export type Kept = "none" | "stored" | "newer" | "dead" | "tooLarge" | "lost" | "unavailable";
const purgeKinds = { key: 1, model: 2, tenant: 3, all: 4 } as const;
export type PurgeKind = keyof typeof purgeKinds;

export interface Meta {
  api: number;
  flags: number;
  storedAt: number;
  expiresAt: number;
  tenant: bigint;
  model: bigint;
  /** input, output, cached. */
  tokens: readonly [number, number, number];
}

export interface Answer extends Meta {
  contentType: string;
  body: Buffer;
}

export interface FoundAnswer extends Answer {
  found: Found;
  staleUntil: number;
  entry: Uint8Array;
}

export const answer = (more: Partial<Answer> = {}): Answer => ({
  api: 0,
  flags: 0,
  storedAt: begin,
  expiresAt: begin + 60 * second,
  tenant: 0x7e7a7n,
  model: 0x30de1n,
  tokens: [12, 34, 5],
  contentType: "application/json",
  body: Buffer.from('{"id":"1"}'),
  ...more,
});

const kinds: readonly Found[] = ["missing", "fresh", "stale"];
const outcomes: readonly Kept[] = ["none", "stored", "newer", "dead", "tooLarge", "lost", "unavailable"];

export class AnswerWorker {
  readonly #host: ProxyWasmHost;
  readonly #worker: number;
  readonly #rootId: number;

  constructor(host: ProxyWasmHost, worker: number, plugin: Plugin) {
    this.#host = host;
    this.#worker = worker;
    this.#rootId = plugin.rootId(worker);
  }

  get #vm() {
    return this.#host.workerVm(this.#worker);
  }

  get pages(): number {
    return this.#vm.memory.pages;
  }

  call(name: string, ...args: (number | bigint)[]): number {
    const vm = this.#vm;
    const context = vm.contexts.get(this.#rootId);
    if (!context) throw new Error("answer driver: no root");
    const result = vm.call(context, name, ...args);
    if (vm.failure) throw vm.failure;
    return (result ?? 0) | 0;
  }

  #copy(at: number, size: number): Uint8Array {
    const bytes = this.#vm.memory.copy(at, size);
    if (!bytes) throw new Error("answer driver: outside of the memory");
    return bytes;
  }

  #words(name: string): bigint[] {
    return [...new BigInt64Array(this.#copy(this.call(name), 13 * 8).buffer)];
  }

  #input(...parts: Uint8Array[]): void {
    this.#vm.memory.write(this.call("inputAt"), Buffer.concat(parts));
  }

  /** `anew`: with a list of purges that knows nothing. */
  open(maxBytes: number, maxEntryBytes: number, anew = true): void {
    this.call("open", BigInt(maxBytes), maxEntryBytes, anew ? 1 : 0);
  }

  describe({ api, flags, storedAt, expiresAt, tenant, model, tokens }: Meta): void {
    this.call("describe", api, flags, BigInt(storedAt), BigInt(expiresAt), tenant, model);
    this.call("tokens", ...tokens);
  }

  put([low, high]: Hash, stored: Answer, staleUntil: number, now: number): Kept {
    this.describe(stored);
    const contentType = Buffer.from(stored.contentType, "latin1");
    this.#input(contentType, stored.body);
    const lengths = [contentType.length, stored.body.length];
    return outcomes[this.call("put", low, high, ...lengths, BigInt(staleUntil), BigInt(now)) + 1] as Kept;
  }

  /** The bytes of an entry. */
  write(stored: Answer): Uint8Array {
    this.describe(stored);
    const contentType = Buffer.from(stored.contentType, "latin1");
    this.#input(contentType, stored.body);
    const length = this.call("write", contentType.length, stored.body.length);
    return this.#copy(this.call("outputAt"), length);
  }

  take([low, high]: Hash, entry: Uint8Array, staleUntil: number, now: number): Kept {
    this.#input(entry);
    return outcomes[this.call("take", low, high, entry.length, BigInt(staleUntil), BigInt(now)) + 1] as Kept;
  }

  takeNothing([low, high]: Hash, now: number): Kept {
    return outcomes[this.call("takeNothing", low, high, BigInt(now)) + 1] as Kept;
  }

  /** What an entry says, if it is one. */
  read(entry: Uint8Array): Omit<FoundAnswer, "found"> | undefined {
    this.#input(entry);
    return this.call("read", entry.length) !== 0 ? this.#found(entry) : undefined;
  }

  find([low, high]: Hash, now: number): FoundAnswer | undefined {
    const found = kinds[this.call("find", low, high, BigInt(now))] as Found;
    if (found === "missing") return undefined;
    const length = Number(this.#words("foundAt")[12]);
    return { found, ...this.#found(this.#copy(this.call("outputAt"), length)) };
  }

  #found(entry: Uint8Array): Omit<FoundAnswer, "found"> {
    const words = this.#words("foundAt");
    const [api = 0, flags = 0, storedAt = 0, expiresAt = 0] = words.map(Number);
    const [, , , , tenant = 0n, model = 0n] = words.map((word) => BigInt.asUintN(64, word));
    const [input = 0, output = 0, cached = 0, staleUntil = 0, contentType = 0, body = 0] = words.slice(6).map(Number);
    if (64 + contentType + body !== entry.length) throw new Error("answer driver: lengths do not add up");
    return {
      ...{ api, flags, storedAt, expiresAt, tenant, model, staleUntil, entry },
      tokens: [input, output, cached],
      contentType: Buffer.from(entry.slice(64, 64 + contentType)).toString("latin1"),
      body: Buffer.from(entry.slice(64 + contentType)),
    };
  }

  remove([low]: Hash): boolean {
    return this.call("remove", low) !== 0;
  }

  purge(kind: PurgeKind, [low, high]: Hash, at: number, now: number): boolean {
    return this.call("purge", purgeKinds[kind], low, high, BigInt(at), BigInt(now)) !== 0;
  }

  follow(epoch: bigint, sequence: bigint, now: number): boolean {
    return this.call("follow", epoch, sequence, BigInt(now)) !== 0;
  }

  readPurges(now: number): boolean {
    return this.call("readPurges", BigInt(now)) !== 0;
  }

  refreshPurges(now: number): boolean {
    return this.call("refreshPurges", BigInt(now)) !== 0;
  }

  isDead([low, high]: Hash, meta: Partial<Meta>): boolean {
    this.describe(answer(meta));
    return this.call("isDead", low, high) !== 0;
  }

  counters() {
    const numbers = this.#words("counters").map(Number);
    const [evictions = 0, contention = 0, torn = 0, purged = 0, unavailable = 0, used = 0, bytes = 0] = numbers;
    const [maxEntryBytes = 0, records = 0, epoch = 0, sequence = 0, allBefore = 0, known = 0] = numbers.slice(7);
    return {
      ...{ evictions, contention, torn, purged, unavailable, used, bytes, maxEntryBytes },
      ...{ records, epoch, sequence, allBefore, isKnown: known === 1 },
    };
  }

  /** Bytes of the scratch arena that the last call left in use. */
  scratchLeft(): number {
    return this.call("scratchLeft");
  }

  /** Names of the hostcalls since the last question, without the prefix. */
  hostcalls(): string[] {
    const context = this.#vm.contexts.get(this.#rootId);
    return (context?.trace.entries.splice(0) ?? []).map(({ name }) => name.replace(/^proxy_|_shared_data$/g, ""));
  }
}

export interface Answers {
  host: ProxyWasmHost;
  plugin: Plugin;
  workers: [AnswerWorker, AnswerWorker];
}

/** The same slab on each worker, two unless told otherwise. */
export async function startAnswers({
  maxBytes = 1 << 20,
  maxEntryBytes = 8192,
  ...options
}: LoadOptions & { maxBytes?: number; maxEntryBytes?: number } = {}): Promise<Answers> {
  const host = await ProxyWasmHost.load("build/test-wasm/answer-slab.wasm", { workers: 2, ...options });
  const plugin = host.plugin({ failurePolicy: "FAIL_RELOAD" });
  const workers = Array.from({ length: host.options.workers }, (_, index) => {
    const worker = new AnswerWorker(host, index, plugin);
    worker.open(maxBytes, maxEntryBytes);
    worker.hostcalls();
    return worker;
  });
  return { host, plugin, workers: workers as [AnswerWorker, AnswerWorker] };
}

/** Keys of shared data of the sets, and of the answers. */
export const setKeys = (host: ProxyWasmHost) =>
  host.sharedData.keys().filter((key) => /^tm\.pc\.1.{3}\..{3}$/.test(key));
export const answerKeys = (host: ProxyWasmHost) =>
  host.sharedData.keys().filter((key) => /^tm\.pc\.1.{3}\..{3}\..{2}$/.test(key));
