import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, it } from "vitest";

/** The probe against the definition of its candidates, and the definition against JSON.parse. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  reach(): number;
  next(at: number, last: number): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-model-probe.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

/** Offsets of all candidates; bytes behind the text are there but are no part of it. */
function probe(text: string, shift = 0): number[] {
  const bytes = Buffer.from(text, "latin1");
  const at = wasm.allocate(shift + bytes.length + wasm.reach()) + shift;
  new Uint8Array(wasm.memory.buffer, at, bytes.length + wasm.reach()).fill(0).set(bytes);
  const found: number[] = [];
  const last = at + bytes.length;
  for (let hit = wasm.next(at, last); hit < last; hit = wasm.next(hit + 1, last)) found.push(hit - at);
  return found;
}

const expected = (text: string) => [...text.matchAll(/(?="model"|\\u006)/g)].map((match) => match.index);

it("finds exactly the candidates, at every alignment", () => {
  const pieces = fc.constantFrom(
    '"model"',
    '"model',
    "model",
    '"',
    "\\",
    "\\u006",
    "\\u00",
    "6",
    "0",
    "u",
    "x",
    "m",
    "l",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), fc.nat(15), (parts, shift) => {
      const text = parts.join("");
      expect(probe(text, shift)).toEqual(expected(text));
    }),
    { numRuns: 2000 },
  );
});

it("misses no key that JSON.parse reads as model", () => {
  const letter = (char: string) =>
    fc.constantFrom(
      char,
      `\\u00${char.charCodeAt(0).toString(16)}`,
      `\\u00${char.charCodeAt(0).toString(16).toUpperCase()}`,
    );
  const key = fc.tuple(...[..."model"].map(letter)).map((letters) => letters.join(""));
  fc.assert(
    fc.property(key, fc.string(), (spelling, before) => {
      const text = `{${JSON.stringify(before)}:1,"${spelling}":2}`;
      if ((JSON.parse(text) as Record<string, unknown>).model === 2) {
        expect(probe(Buffer.from(text).toString("latin1")).length).toBeGreaterThan(0);
      }
    }),
  );
});

it("takes no text that quotes JSON for a key", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const quoted = JSON.stringify({ content: `${text}{"model":"x"}` });
      if (!/\\u006/.test(quoted)) expect(probe(Buffer.from(quoted).toString("latin1"))).toEqual([]);
    }),
  );
});
