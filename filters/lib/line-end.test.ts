import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, it } from "vitest";

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  simd(at: number, to: number): number;
  scalar(at: number, to: number): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-line-end.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();
const room = wasm.allocate(128);

it("finds the first CR or LF, with SIMD and without, at every alignment", () => {
  const byte = fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(0x61, 0x00, 0x0b, 0x0c, 0x8a, 0x8d, 0xff) },
    { weight: 1, arbitrary: fc.constantFrom(0x0a, 0x0d) },
  );
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 80, size: "max" }), fc.nat(15), (line, shift) => {
      const at = room + shift;
      // A line end behind the line must not be found.
      new Uint8Array(wasm.memory.buffer, at, line.length + 16).fill(10).set([...line, 0x61]);
      const found = line.findIndex((byte) => byte === 0x0a || byte === 0x0d);
      const expected = at + (found < 0 ? line.length : found);
      expect(wasm.simd(at, at + line.length)).toBe(expected);
      expect(wasm.scalar(at, at + line.length)).toBe(expected);
    }),
    { numRuns: 1000 },
  );
});
