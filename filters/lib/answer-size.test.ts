import { readFileSync } from "node:fs";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";

interface Exports {
  _initialize(): void;
  reset(): void;
  learn(api: number, stream: number, bytes: bigint, tokens: bigint): void;
  tokens(api: number, stream: number, bytes: bigint): bigint;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-answer-size.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

const [CHAT, MESSAGES] = [0, 4];
const learn = (bytes: number, tokens: number, stream = true, api = CHAT) =>
  wasm.learn(api, stream ? 1 : 0, BigInt(bytes), BigInt(tokens));
const tokens = (bytes: number, stream = true, api = CHAT) => Number(wasm.tokens(api, stream ? 1 : 0, BigInt(bytes)));

beforeEach(() => wasm.reset());

describe("tokens of an answer by its bytes", () => {
  it("start at 200 bytes a token in streams and 4 in whole answers, whole ones", () => {
    expect([tokens(0), tokens(1), tokens(200), tokens(201), tokens(-5)]).toEqual([0, 0, 1, 1, 0]);
    expect([tokens(3, false), tokens(5, false)]).toEqual([0, 1]);
  });

  it("come near what answers show, each API and kind for itself", () => {
    for (let i = 0; i < 100; i++) learn(30_000, 100);
    expect(Math.abs(tokens(30_000) - 100)).toBeLessThanOrEqual(1);
    expect(tokens(200, true, MESSAGES)).toBe(1);
    expect(tokens(400, false)).toBe(100);
  });

  it("take nothing from answers of a few tokens, or of none", () => {
    learn(1_000_000, 7);
    learn(0, 100);
    learn(-1, 100);
    learn(100, -1);
    expect(tokens(200)).toBe(1);
  });

  it("stay in their bounds, whatever upstreams report", () => {
    const any = fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n);
    fc.assert(
      fc.property(fc.array(fc.tuple(any, any, fc.nat(15))), any, (samples, bytes) => {
        for (const [size, count, api] of samples) wasm.learn(api, 1, size, count);
        for (let api = 0; api < 16; api++) {
          const got = wasm.tokens(api, 1, bytes);
          const size = bytes > 0n ? bytes : 0n;
          // Between 1 and 4096 bytes a token, as far as a double tells.
          expect(got + 1n >= size / 4097n && got <= size + size / 1000n + 1n).toBe(true);
        }
      }),
    );
  });
});
