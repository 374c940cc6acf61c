/** filters/lib/{rendezvous,hash-ring,maglev} on Node, over their compiled module. Slots are 0..255, a set of slots is an array. */
import { readFileSync } from "node:fs";
import type { HashFunction } from "./hash-functions-driver.ts";

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  release(at: number): void;
  collect(): void;
  heapTop(): number;
  create(method: number, fn: number, points: number): number;
  createRing(fn: number, bits: number, separator: number, points: number, minimum: number, maximum: number): number;
  createMaglev(fn: number, entries: number): number;
  free(): void;
  size(hash: number): number;
  has(hash: number, slot: number): number;
  put(hash: number, slot: number, name: number, length: number, weight: number): void;
  putHash(hash: number, slot: number, addressHash: bigint, weight: number): void;
  drop(hash: number, slot: number): void;
  build(hash: number): void;
  join(hash: number, slot: number, name: number, length: number, weight: number): void;
  joinHash(hash: number, slot: number, addressHash: bigint, weight: number): void;
  leave(hash: number, slot: number): void;
  pick(hash: number, key: bigint, accept: number): number;
  order(hash: number, key: bigint, accept: number, slots: number, limit: number): number;
  pickBounded(hash: number, key: bigint, accept: number, room: number, jump: number): number;
  pickAll(hash: number, keys: number, count: number, accept: number, slots: number): void;
  pickMany(hash: number, first: bigint, count: number, accept: number): number;
  orderMany(hash: number, first: bigint, count: number, accept: number, slots: number, limit: number): number;
  points(hash: number): number;
  pointsOf(hash: number, slot: number): number;
}

const file = new URL("../../build/test-wasm/lib-endpoint-hash.wasm", import.meta.url);
const module = new WebAssembly.Module(readFileSync(file));

/** As in the module. */
export const HashMethod = { Rendezvous: 0, Ring: 1, Maglev: 2 } as const;
export type HashMethod = (typeof HashMethod)[keyof typeof HashMethod];

export interface RingOptions {
  readonly fn: HashFunction;
  readonly bits?: 32 | 64;
  readonly separator?: ":" | "_";
  /** For each unit of weight. */
  readonly points?: number;
  /** Of the whole ring, as Envoy counts. */
  readonly minimum?: number;
  readonly maximum?: number;
}

export interface Member {
  readonly slot: number;
  readonly name: string;
  /** Default 1. */
  readonly weight?: number;
}

export const everySlot: readonly number[] = Array.from({ length: 256 }, (_, slot) => slot);
const MASK_BYTES = 32;
const NAME_BYTES = 1024;

export class EndpointHashDriver {
  readonly #wasm: Exports;
  readonly #make: (wasm: Exports) => number;
  readonly #hash: number;
  readonly #accept: number;
  readonly #room: number;
  readonly #slots: number;
  readonly #name: number;

  /** Each has a module of its own, so that memory can be compared. */
  private constructor(make: (wasm: Exports) => number) {
    const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
    wasm._initialize();
    this.#wasm = wasm;
    this.#make = make;
    this.#hash = make(wasm);
    this.#accept = wasm.allocate(MASK_BYTES);
    this.#room = wasm.allocate(MASK_BYTES);
    this.#slots = wasm.allocate(256);
    this.#name = wasm.allocate(NAME_BYTES);
  }

  static of(method: HashMethod, fn: HashFunction = 0, points = 1024): EndpointHashDriver {
    return new EndpointHashDriver((wasm) => wasm.create(method, fn, points));
  }

  static ring(options: RingOptions): EndpointHashDriver {
    const { fn, bits = 64, separator = "_", points = 1024, minimum = 0, maximum = 1 << 18 } = options;
    return new EndpointHashDriver((wasm) =>
      wasm.createRing(fn, bits, separator.charCodeAt(0), points, minimum, maximum),
    );
  }

  static maglev(fn: HashFunction, entries: number): EndpointHashDriver {
    return new EndpointHashDriver((wasm) => wasm.createMaglev(fn, entries));
  }

  get size(): number {
    return this.#wasm.size(this.#hash);
  }

  /** Points of a ring. */
  get points(): number {
    return this.#wasm.points(this.#hash);
  }

  get memoryBytes(): number {
    return this.#wasm.memory.buffer.byteLength;
  }

  get heapTop(): number {
    return this.#wasm.heapTop();
  }

  has(slot: number): boolean {
    return this.#wasm.has(this.#hash, slot) !== 0;
  }

  pointsOf(slot: number): number {
    return this.#wasm.pointsOf(this.#hash, slot);
  }

  /** The members and no others, in one build. */
  build(members: readonly Member[]): this {
    for (const slot of everySlot) this.#wasm.drop(this.#hash, slot);
    for (const member of members) this.put(member);
    this.#wasm.build(this.#hash);
    return this;
  }

  put({ slot, name, weight = 1 }: Member): void {
    this.#wasm.put(this.#hash, slot, this.#name, this.#place(name), weight);
  }

  putHash(slot: number, addressHash: bigint, weight = 1): void {
    this.#wasm.putHash(this.#hash, slot, addressHash, weight);
  }

  drop(slot: number): void {
    this.#wasm.drop(this.#hash, slot);
  }

  make(): void {
    this.#wasm.build(this.#hash);
  }

  join({ slot, name, weight = 1 }: Member): void {
    this.#wasm.join(this.#hash, slot, this.#name, this.#place(name), weight);
  }

  joinHash(slot: number, addressHash: bigint, weight = 1): void {
    this.#wasm.joinHash(this.#hash, slot, addressHash, weight);
  }

  leave(slot: number): void {
    this.#wasm.leave(this.#hash, slot);
  }

  pick(key: bigint, accept: readonly number[] = everySlot): number {
    return this.#wasm.pick(this.#hash, key, this.#mask(this.#accept, accept));
  }

  order(key: bigint, accept: readonly number[] = everySlot, limit = 256): number[] {
    const found = this.#wasm.order(this.#hash, key, this.#mask(this.#accept, accept), this.#slots, limit);
    return [...new Uint8Array(this.#wasm.memory.buffer, this.#slots, found)];
  }

  pickBounded(key: bigint, accept: readonly number[], room: readonly number[], jump: boolean): number {
    const [from, free] = [this.#mask(this.#accept, accept), this.#mask(this.#room, room)];
    return this.#wasm.pickBounded(this.#hash, key, from, free, jump ? 1 : 0);
  }

  /** Slots of many keys, 255 for none. */
  pickAll(keys: BigUint64Array, accept: readonly number[] = everySlot): Uint8Array {
    const wasm = this.#wasm;
    const at = wasm.allocate(keys.byteLength + keys.length);
    new BigUint64Array(wasm.memory.buffer, at, keys.length).set(keys);
    const out = at + keys.byteLength;
    wasm.pickAll(this.#hash, at, keys.length, this.#mask(this.#accept, accept), out);
    const slots = new Uint8Array(wasm.memory.buffer, out, keys.length).slice();
    wasm.release(at);
    return slots;
  }

  /** `count` lookups without leaving the module, to measure them. */
  pickMany(first: bigint, count: number, accept: readonly number[] = everySlot): void {
    this.#wasm.pickMany(this.#hash, first, count, this.#mask(this.#accept, accept));
  }

  orderMany(first: bigint, count: number, limit: number): void {
    this.#wasm.orderMany(this.#hash, first, count, this.#mask(this.#accept, everySlot), this.#slots, limit);
  }

  /** Frees it and makes another one, without members, in the same memory. */
  renew(): this {
    this.#wasm.free();
    this.#wasm.collect();
    this.#make(this.#wasm);
    return this;
  }

  #place(name: string): number {
    return new TextEncoder().encodeInto(name, new Uint8Array(this.#wasm.memory.buffer, this.#name, NAME_BYTES)).written;
  }

  #mask(at: number, slots: readonly number[]): number {
    const bytes = new Uint8Array(this.#wasm.memory.buffer, at, MASK_BYTES).fill(0);
    for (const slot of slots) bytes[slot >> 3] = (bytes[slot >> 3] ?? 0) | (1 << (slot & 7));
    return at;
  }
}

/** `count` keys of 64 random bits, always the same ones. */
export function keysOf(count: number): BigUint64Array {
  const keys = new BigUint64Array(count);
  let state = 0x9e3779b97f4a7c15n;
  for (let i = 0; i < count; i++) {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let key = BigInt.asUintN(64, (state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n);
    key = BigInt.asUintN(64, (key ^ (key >> 27n)) * 0x94d049bb133111ebn);
    keys[i] = key ^ (key >> 31n);
  }
  return keys;
}
