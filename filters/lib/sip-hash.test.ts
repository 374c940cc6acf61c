import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Key, sipHash } from "../../test/lib/sip-hash-reference.ts";

/** The vectors of the authors, and a differential test against a model over big integers: any length, key and split. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  reset(state: number, k0: bigint, k1: bigint): void;
  update(state: number, at: number, length: number): void;
  word(state: number, value: bigint): void;
  words(state: number, at: number, length: number): void;
  save(state: number): void;
  restore(state: number): void;
  finish(state: number): void;
  low(state: number): bigint;
  high(state: number): bigint;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-sip-hash.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

const unsigned = (value: bigint) => BigInt.asUintN(64, value);

function place(bytes: Uint8Array): number {
  const at = wasm.allocate(bytes.length);
  new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
  return at;
}

function finish(state = 0): [low: bigint, high: bigint] {
  wasm.finish(state);
  return [unsigned(wasm.low(state)), unsigned(wasm.high(state))];
}

/** `ends` of the pieces in ascending order; the rest is the last piece. */
function hash(bytes: Uint8Array, key: Key, ends: number[] = []): [low: bigint, high: bigint] {
  wasm.reset(0, ...key);
  let offset = 0;
  for (const end of [...ends, bytes.length]) {
    wasm.update(0, place(bytes.subarray(offset, end)), end - offset);
    offset = end;
  }
  return finish();
}

function bytesOf(result: [low: bigint, high: bigint]): Buffer {
  const bytes = Buffer.alloc(16);
  for (const [index, word] of result.entries()) bytes.writeBigUInt64LE(word, index * 8);
  return bytes;
}

/** The authors' key and input: 0, 1, 2 and so on. */
const counting = Uint8Array.from({ length: 64 }, (_, i) => i);
const countingKey: Key = [0x0706050403020100n, 0x0f0e0d0c0b0a0908n];

describe("the authors' vectors", () => {
  const vectors: [length: number, result: string][] = [
    [0, "a3817f04ba25a8e66df67214c7550293"],
    [1, "da87c1d86b99af44347659119b22fc45"],
    [7, "a1f1ebbed8dbc153c0b84aa61ff08239"],
    [8, "3b62a9ba6258f5610f83e264f31497b4"],
    [15, "5493e99933b0a8117e08ec0f97cfc3d9"],
    [63, "5150d1772f50834a503e069a973fbd7c"],
  ];
  it.each(vectors)("%i bytes", (length, result) => {
    expect(bytesOf(hash(counting.subarray(0, length), countingKey)).toString("hex")).toBe(result);
    expect(bytesOf(sipHash(counting.subarray(0, length), countingKey)).toString("hex")).toBe(result);
  });

  it("all 64 of them", () => {
    const all = Array.from({ length: 64 }, (_, length) => bytesOf(hash(counting.subarray(0, length), countingKey)));
    const sum = createHash("sha256").update(Buffer.concat(all)).digest("hex");
    expect(sum).toBe("ecfaa9fe47ff788fa834a9863ea2715a2880cd37d2b8c3c194402838428119b9");
  });
});

const word = fc.oneof(fc.constantFrom(0n, 1n, (1n << 64n) - 1n), fc.bigInt(0n, (1n << 64n) - 1n));
const key = fc.tuple(word, word);

describe("differential against the model", () => {
  it("any bytes, key and split, empty pieces included", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        key,
        fc.array(fc.nat(300), { maxLength: 8 }),
        (bytes, value, cuts) => {
          const ends = cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b);
          expect(hash(bytes, value, ends)).toEqual(sipHash(bytes, value));
        },
      ),
      { numRuns: 500 },
    );
  });

  it("whole words, with a hash set aside in between", () => {
    fc.assert(
      fc.property(fc.array(word, { maxLength: 9 }), fc.array(word, { maxLength: 9 }), key, key, (one, two, a, b) => {
        wasm.reset(0, ...a);
        for (const value of one) wasm.word(0, value);
        wasm.save(0);
        wasm.reset(0, ...b);
        wasm.words(0, place(new Uint8Array(new BigUint64Array(two).buffer)), two.length * 8);
        expect(finish()).toEqual(sipHash(new Uint8Array(new BigUint64Array(two).buffer), b));
        wasm.restore(0);
        for (const value of two) wasm.word(0, value);
        expect(finish()).toEqual(sipHash(new Uint8Array(new BigUint64Array([...one, ...two]).buffer), a));
      }),
      { numRuns: 300 },
    );
  });

  it("two at a time do not touch each other", () => {
    const bytes = counting.subarray(0, 21);
    for (const state of [0, 1]) wasm.reset(state, BigInt(state), 7n);
    for (const byte of bytes) for (const state of [0, 1]) wasm.update(state, place(Uint8Array.of(byte)), 1);
    expect(finish(1)).toEqual(sipHash(bytes, [1n, 7n]));
    expect(finish(0)).toEqual(sipHash(bytes, [0n, 7n]));
  });
});

it("a begun word does not outlive a reset, nor does a restore bring one", () => {
  wasm.reset(0, ...countingKey);
  wasm.save(0);
  wasm.update(0, place(counting), 13);
  wasm.restore(0);
  expect(finish()).toEqual(sipHash(new Uint8Array(), countingKey));
  wasm.reset(0, 1n, 2n);
  wasm.update(0, place(counting), 13);
  expect(hash(counting.subarray(0, 3), countingKey)).toEqual(sipHash(counting.subarray(0, 3), countingKey));
});
