/** filters/lib/pick on Node: pools by number, one request at a time, tickets by number. Times are ms; hashes are bigint. */
import { readFileSync } from "node:fs";

export interface PickExports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  reset(): void;
  chainAt(): number;
  begin(policy: number, capacity: number): void;
  setBounds(bound: number, least: number, maxInflight: number, clockwise: boolean): void;
  setAffinity(threshold: number, slack: number, queue: number, requestTokens: number): void;
  setIndex(blocks: number, pairs: number, news: number): void;
  setStart(slowStartMs: bigint): void;
  setPreferences(lora: boolean, preferLocality: boolean, locality: number, foreignLoad: boolean): void;
  setHash(method: number, points: number): void;
  open(): number;
  add(pool: number, address: bigint, weight: number, priority: number, locality: number, now: number): number;
  build(pool: number): void;
  remove(pool: number, slot: number): void;
  find(pool: number, address: bigint): number;
  ask(now: number, random: bigint): void;
  askKey(key: bigint): void;
  askPrompt(blocks: number, tokens: number, blockTokens: number): void;
  askModel(model: bigint, adapter: bigint): void;
  askSubset(slot: number): void;
  pick(pool: number): number;
  listCount(): number;
  listSlot(index: number): number;
  listMatched(): number;
  listBest(): number;
  listUncached(): number;
  listDesperate(): number;
  sent(pool: number, ticket: number): void;
  served(pool: number, ticket: number, slot: number, blocks: number, now: number): void;
  firstByte(pool: number, ticket: number, now: number): void;
  done(pool: number, ticket: number, now: number, outcome: number): void;
  cached(pool: number, ticket: number, blocks: number): void;
  fill(pool: number, ticket: number, blocks: number): void;
  correct(pool: number, ticket: number, predicted: number, cachedTokens: number): void;
  ticketSlot(ticket: number): number;
  ticketPredicted(ticket: number): number;
  trust(pool: number, slot: number): number;
  learn(pool: number, slot: number, count: number): void;
  setBlocks(pool: number, slot: number, blocks: number): void;
  indexCountOf(pool: number, slot: number): number;
  saturation(pool: number, now: number, waiting: number, kvPermille: number): number;
  inflight(pool: number, slot: number): number;
  pending(pool: number, slot: number): number;
  ownInflight(pool: number, slot: number): number;
  ownPending(pool: number, slot: number): number;
  setOthers(pool: number, slot: number, count: number, tokens: number): void;
  setHealthy(pool: number, slot: number, healthy: boolean, now: number): void;
  setDraining(pool: number, slot: number, draining: boolean): void;
  addModel(pool: number, slot: number, model: bigint): number;
  clearModels(pool: number, slot: number): void;
  setSnapshot(
    pool: number,
    slot: number,
    at: number,
    waiting: number,
    running: number,
    kv: number,
    adapters: number,
  ): void;
  addAdapter(pool: number, slot: number, hash: bigint, active: boolean): void;
  quarantineEnd(pool: number, slot: number): number;
  learnQuarantine(pool: number, slot: number, until: number, failures: number): void;
  failures(pool: number, slot: number): number;
  onProbation(pool: number, slot: number): number;
  power(pool: number, slot: number, now: number): number;
  responseTime(pool: number, slot: number, now: number): number;
  newsCount(pool: number): number;
  newsSlot(pool: number, at: number): number;
  newsHash(pool: number, at: number): bigint;
  newsLost(pool: number): bigint;
  newsTake(pool: number, count: number): void;
  pickMany(pool: number, count: number): number;
  serveMany(pool: number, count: number, now: number): void;
  heapTop(): number;
  indexOpen(capacity: number, pairs: number, limit: number): number;
  indexLimit(slot: number, blocks: number): void;
  indexInsert(slot: number, hash: bigint): number;
  indexInsertChain(slot: number, blocks: number): void;
  indexNow(now: number): void;
  indexAge(slot: number): number;
  indexFill(slot: number, blocks: number): void;
  indexClear(slot: number): void;
  indexHas(slot: number, hash: bigint): number;
  indexCount(slot: number): number;
  indexPairs(): number;
  indexBlocks(): number;
  amongClear(): void;
  amongAdd(slot: number): void;
  indexMatch(blocks: number): number;
  indexLength(slot: number): number;
  maskAdd(slot: number): void;
  maskRemove(slot: number): void;
  maskHas(slot: number): number;
  maskClear(): void;
  maskCount(): number;
  maskIsEmpty(): number;
  maskNext(from: number): number;
  maskAt(rank: number): number;
  setDegraded(pool: number, slot: number, degraded: boolean): void;
  levelsBegin(): void;
  levelsAdd(priority: number, usable: boolean, degraded: boolean): void;
  levelsChoose(draw: bigint): number;
}

export const wasm = new WebAssembly.Instance(
  new WebAssembly.Module(readFileSync(new URL("../../build/test-wasm/lib-pick.wasm", import.meta.url))),
  { env: { proxy_log: () => 0 } },
).exports as unknown as PickExports;
wasm._initialize();

export const policies = [
  "prefix-affinity",
  "consistent-hash",
  "round-robin",
  "random",
  "least-request",
  "least-response-time",
  "weighted-round-robin",
] as const;
export type PolicyName = (typeof policies)[number];

export const Outcome = { Success: 0, Failure: 1, Abandoned: 2 } as const;

/** SplitMix64: the same numbers in every run. */
export function randomBits(seed: bigint): () => bigint {
  let state = seed;
  return () => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let bits = state;
    bits = BigInt.asUintN(64, (bits ^ (bits >> 30n)) * 0xbf58476d1ce4e5b9n);
    bits = BigInt.asUintN(64, (bits ^ (bits >> 27n)) * 0x94d049bb133111ebn);
    return bits ^ (bits >> 31n);
  };
}

/** Puts a chain where the module reads it. */
export function putChain(hashes: readonly bigint[]): void {
  new BigUint64Array(wasm.memory.buffer, wasm.chainAt(), hashes.length).set(hashes);
}

/** `length` blocks of the text `name`: texts with the same name begin alike. A tail differs. */
export function chainOf(name: number, length: number, tail = 0, tailFrom = length): bigint[] {
  const hash = (text: number, at: number) => BigInt.asUintN(64, BigInt(text) * 0x9e3779b97f4a7c15n + BigInt(at));
  return Array.from({ length }, (_, at) => hash(at < tailFrom ? name : name + tail * 1000, at));
}

export interface PoolShape {
  policy: PolicyName;
  capacity?: number;
  bound?: number;
  least?: number;
  maxInflight?: number;
  clockwise?: boolean;
  threshold?: number;
  slack?: number;
  queue?: number;
  requestTokens?: number;
  blocks?: number;
  pairs?: number;
  news?: number;
  slowStartMs?: number;
  lora?: boolean;
  preferLocality?: boolean;
  locality?: number;
  foreignLoad?: boolean;
  method?: number;
}

export interface Asked {
  now?: number;
  key?: bigint;
  chain?: readonly bigint[];
  tokens?: number;
  blockTokens?: number;
  model?: bigint;
  adapter?: bigint;
  subset?: readonly number[];
}

/** One pool, with the random numbers of its requests. */
export class TestPool {
  readonly #pool: number;
  readonly #random: () => bigint;

  constructor(shape: PoolShape, seed = 1n) {
    wasm.begin(policies.indexOf(shape.policy), shape.capacity ?? 64);
    wasm.setBounds(shape.bound ?? 1.5, shape.least ?? 16, shape.maxInflight ?? 0, shape.clockwise ?? false);
    wasm.setAffinity(shape.threshold ?? 0.5, shape.slack ?? 1024, shape.queue ?? 40_000, shape.requestTokens ?? 64);
    wasm.setIndex(shape.blocks ?? 100, shape.pairs ?? 10_000, shape.news ?? 1000);
    wasm.setStart(BigInt(shape.slowStartMs ?? 0));
    wasm.setPreferences(
      shape.lora ?? false,
      shape.preferLocality ?? false,
      shape.locality ?? 0,
      shape.foreignLoad ?? true,
    );
    wasm.setHash(shape.method ?? 0, 256);
    this.#pool = wasm.open();
    this.#random = randomBits(seed);
  }

  get id(): number {
    return this.#pool;
  }

  add(address: number, { weight = 1, priority = 0, locality = 0, now = 0 } = {}): number {
    return wasm.add(this.#pool, addressOf(address), weight, priority, locality, now);
  }

  /** Endpoints 1, 2, ... with these weights, and the tables built. */
  fill(weights: readonly number[]): this {
    for (const [at, weight] of weights.entries()) this.add(at + 1, { weight });
    wasm.build(this.#pool);
    return this;
  }

  /** The list; empty when nobody is eligible. */
  pick(asked: Asked = {}): number[] {
    wasm.ask(asked.now ?? 0, this.#random());
    if (asked.key !== undefined) wasm.askKey(asked.key);
    const chain = asked.chain ?? [];
    putChain(chain);
    wasm.askPrompt(chain.length, asked.tokens ?? chain.length * 64, asked.blockTokens ?? 64);
    wasm.askModel(asked.model ?? 0n, asked.adapter ?? 0n);
    if (asked.subset !== undefined) {
      wasm.askSubset(-1);
      for (const slot of asked.subset) wasm.askSubset(slot);
    }
    const picked = wasm.pick(this.#pool) === 1;
    const list = Array.from({ length: wasm.listCount() }, (_, at) => wasm.listSlot(at));
    if (picked !== list.length > 0) throw new Error("pick and its list do not agree");
    return list;
  }

  /** Picks and sends; the slot, or -1. */
  send(ticket: number, asked: Asked = {}): number {
    const slot = this.pick(asked)[0] ?? -1;
    if (slot >= 0) wasm.sent(this.#pool, ticket);
    return slot;
  }

  /** A request that fails at the slot. */
  fail(slot: number, now: number, ticket = 4000): void {
    if (this.send(ticket, { now, subset: [slot] }) !== slot) throw new Error(`slot ${slot} was not chosen`);
    wasm.done(this.#pool, ticket, now, Outcome.Failure);
  }

  /** How often each slot came first in `times` picks. */
  counts(times: number, asked: (at: number) => Asked = () => ({}), slots = 64): number[] {
    const counts = new Array<number>(slots).fill(0);
    for (let at = 0; at < times; at++) {
      const slot = this.pick(asked(at))[0];
      if (slot !== undefined) counts[slot] = (counts[slot] ?? 0) + 1;
    }
    return counts;
  }

  inflights(slots: number): number[] {
    return Array.from({ length: slots }, (_, slot) => wasm.inflight(this.#pool, slot));
  }
}

export function addressOf(endpoint: number): bigint {
  return randomBits(BigInt(endpoint) * 977n)();
}
