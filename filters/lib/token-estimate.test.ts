import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, it } from "vitest";

interface Exports {
  estimate(bytes: number, tokensPerByte: number): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-token-estimate.wasm", import.meta.url)),
);
const { estimate } = new WebAssembly.Instance(module, {}).exports as unknown as Exports;

const MAX = 2 ** 31 - 1;

it.each([
  [0, 0.25, 0],
  [1, 0.25, 1],
  [4, 0.25, 1],
  [5, 0.25, 2],
  [1000, 4, 4000],
  [67_108_864, 4, 268_435_456],
  [7, 1e-9, 1],
  [1, 2 ** 31 - 1, MAX],
  [1, 2 ** 31, MAX],
  [2 ** 32 - 1, 4, MAX],
  [2 ** 32 - 1, Number.POSITIVE_INFINITY, MAX],
  [0, Number.POSITIVE_INFINITY, 0],
  [9, Number.NaN, 0],
  [9, -1, 0],
])("%d bytes at %d tokens a byte are %d tokens", (bytes, ratio, tokens) => {
  expect(estimate(bytes, ratio)).toBe(tokens);
});

it("rounds up, and never beyond an i32", () => {
  fc.assert(
    fc.property(fc.nat(2 ** 32 - 1), fc.double({ min: 1e-6, max: 4, noNaN: true }), (bytes, ratio) => {
      expect(estimate(bytes, ratio)).toBe(Math.min(Math.ceil(bytes * ratio), MAX));
    }),
  );
});
