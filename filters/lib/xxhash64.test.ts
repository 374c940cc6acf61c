import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import xxhash from "xxhash-wasm";

/** Published vectors, and a differential test against another implementation: every short length, any seed, any split. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  oneShot(at: number, length: number, seed: bigint): bigint;
  reset(state: number, seed: bigint): void;
  update(state: number, at: number, length: number): void;
  digest(state: number): bigint;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-xxhash64.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();
const reference = await xxhash();

const PRIME32 = 2654435761n;
const unsigned = (hash: bigint) => BigInt.asUintN(64, hash);

/** Puts the bytes into the module's memory, `shift` bytes off its alignment. */
function place(bytes: Uint8Array, shift = 0): number {
  const at = wasm.allocate(bytes.length + shift) + shift;
  new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
  return at;
}

function hash(input: Uint8Array | string, seed = 0n): bigint {
  const bytes = Buffer.from(input);
  return unsigned(wasm.oneShot(place(bytes), bytes.length, seed));
}

/** Ends of the pieces in ascending order; the rest is the last piece. */
function hashPieces(bytes: Uint8Array, seed: bigint, ends: number[]): bigint {
  const at = place(bytes);
  wasm.reset(0, seed);
  let offset = 0;
  for (const end of [...ends, bytes.length]) {
    wasm.update(0, at + offset, end - offset);
    offset = end;
  }
  return unsigned(wasm.digest(0));
}

/** The bytes of xxHash's own sanity test. */
function sanityBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let generator = PRIME32;
  for (let i = 0; i < length; i++) {
    bytes[i] = Number(generator >> 56n);
    generator = unsigned(generator * 11400714785074694797n);
  }
  return bytes;
}

describe("published vectors", () => {
  const texts: [text: string, seed: bigint, expected: bigint][] = [
    ["", 0n, 0xef46db3751d8e999n],
    ["a", 0n, 0xd24ec4f1a98c6e5bn],
    ["as", 0n, 0x1c330fb2d66be179n],
    ["asd", 0n, 0x631c37ce72a97393n],
    ["asdf", 0n, 0x415872f599cea71en],
    ["abc", 0n, 0x44bc2cf5ad770999n],
    ["xxhash", 0n, 0x32dd38952c4bc720n],
    ["xxhash", 20141025n, 0xb559b98d844e0635n],
    ["Call me Ishmael. Some years ago--never mind how long precisely-", 0n, 0x02a2e85470d6fd96n],
  ];
  it.each(texts)("%j with seed %i", (text, seed, expected) => {
    expect(hash(text, seed)).toBe(expected);
    expect(hashPieces(Buffer.from(text), seed, [])).toBe(expected);
  });

  const sanity: [length: number, seed: bigint, expected: bigint][] = [
    [0, PRIME32, 0xac75fda2929b17efn],
    [1, 0n, 0xe934a84adb052768n],
    [1, PRIME32, 0x5014607643a9b4c3n],
    [4, 0n, 0x9136a0dca57457een],
    [14, 0n, 0x8282dcc4994e35c8n],
    [14, PRIME32, 0xc3bd6bf63deb6df0n],
    [222, 0n, 0xb641ae8cb691c174n],
    [222, PRIME32, 0x20cb8ab7ae10c14an],
  ];
  it.each(sanity)("xxHash's sanity test, %i bytes with seed %i", (length, seed, expected) => {
    expect(hash(sanityBytes(length), seed)).toBe(expected);
    expect(hashPieces(sanityBytes(length), seed, [])).toBe(expected);
  });
});

describe("differential against xxhash-wasm", () => {
  const seed = fc.oneof(fc.constantFrom(0n, 1n, 0xffffffffffffffffn, 1n << 63n), fc.bigInt(0n, 0xffffffffffffffffn));

  it("every length from 0 to 300, at once and in pieces of 1, 2, 7, 31, 32 and 33 bytes", () => {
    const bytes = sanityBytes(300);
    for (let length = 0; length <= 300; length++) {
      const part = bytes.subarray(0, length);
      const expected = unsigned(reference.h64Raw(part, 42n));
      expect(hash(part, 42n)).toBe(expected);
      for (const step of [1, 2, 7, 31, 32, 33]) {
        const ends = Array.from({ length: Math.floor(length / step) }, (_, i) => (i + 1) * step);
        expect(hashPieces(part, 42n, ends)).toBe(expected);
      }
    }
  });

  it("any bytes, seed, alignment and split, empty pieces included", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300, size: "max" }),
        seed,
        fc.nat(15),
        fc.array(fc.nat(300), { maxLength: 8, size: "max" }),
        (bytes, value, shift, cuts) => {
          const expected = unsigned(reference.h64Raw(bytes, value));
          expect(unsigned(wasm.oneShot(place(bytes, shift), bytes.length, value))).toBe(expected);
          const ends = cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b);
          expect(hashPieces(bytes, value, ends)).toBe(expected);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it("a digest after every piece changes nothing, and states do not touch each other", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 70, size: "max" }), { maxLength: 12, size: "max" }),
        seed,
        seed,
        (pieces, one, two) => {
          const references = [reference.create64(one), reference.create64(two)];
          wasm.reset(0, one);
          wasm.reset(1, two);
          for (const [index, piece] of pieces.entries()) {
            const state = index % 3 === 0 ? 1 : 0;
            wasm.update(state, place(piece), piece.length);
            references[state]?.update(piece);
            for (const which of [0, 1]) {
              expect(unsigned(wasm.digest(which))).toBe(unsigned(references[which]?.digest() ?? 0n));
              expect(wasm.digest(which)).toBe(wasm.digest(which));
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it("does not keep bytes of the input before a reset", () => {
    hashPieces(sanityBytes(100), 7n, [50]);
    expect(hashPieces(Buffer.from("abc"), 0n, [])).toBe(0x44bc2cf5ad770999n);
  });
});

it("hashes 8 MB in pieces without growing memory", () => {
  const bytes = sanityBytes(1 << 20);
  const at = place(bytes);
  const before = wasm.memory.buffer.byteLength;
  const other = reference.create64(3n);
  wasm.reset(0, 3n);
  for (let i = 0; i < 8; i++) {
    wasm.update(0, at, bytes.length - i);
    other.update(bytes.subarray(0, bytes.length - i));
  }
  expect(unsigned(wasm.digest(0))).toBe(unsigned(other.digest()));
  expect(wasm.memory.buffer.byteLength).toBe(before);
});
