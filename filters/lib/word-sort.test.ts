import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, it } from "vitest";
import { keysOf } from "../../test/lib/endpoint-hash-driver.ts";

/** Against the sort of JavaScript: few words, many, and words that share their leading bits. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  sort(at: number, count: number): void;
}

const file = new URL("../../build/test-wasm/lib-word-sort.wasm", import.meta.url);
const instance = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), { env: { proxy_log: () => 0 } });
const wasm = instance.exports as unknown as Exports;
wasm._initialize();
const MOST = 40_000;
const at = wasm.allocate(8 * (MOST + 2));

/** The sorted words; what lies on both sides of them must not change. */
function sorted(words: BigUint64Array): BigUint64Array {
  const memory = new BigUint64Array(wasm.memory.buffer, at, words.length + 2);
  memory.set([7n, ...words, 9n]);
  wasm.sort(at + 8, words.length);
  expect([memory[0], memory[words.length + 1]]).toEqual([7n, 9n]);
  return memory.slice(1, -1);
}

function check(words: BigUint64Array): void {
  const expected = words.slice().sort();
  expect(Buffer.compare(Buffer.from(sorted(words).buffer), Buffer.from(expected.buffer))).toBe(0);
}

it("few words, equal ones among them", () => {
  const word = fc.oneof(fc.bigInt(0n, 5n), fc.bigInt(0n, 2n ** 64n - 1n));
  fc.assert(fc.property(fc.array(word, { maxLength: 200 }), (words) => check(BigUint64Array.from(words))));
});

it.each([8191, 8192, 8193, MOST])("%i hashes", (count) => check(keysOf(count)));

it.each([
  ["one bucket", (key: bigint) => key >> 10n],
  ["two buckets", (key: bigint) => (key & 1n) << 63n],
  ["the first and the last bucket", (key: bigint) => (key & 1n ? key >> 20n : ~(key >> 20n))],
  ["equal words", () => 3n],
  ["a few buckets of a thousand", (key: bigint) => key & 0x8090_0000_0000_ffffn],
] as const)("many words: %s", (_name, of) => {
  const words = keysOf(20_000).map((key) => BigInt.asUintN(64, of(key)));
  check(words);
  check(words.slice().sort());
  check(words.slice().sort().reverse());
});
