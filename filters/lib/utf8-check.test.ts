import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

/** Differential tests against TextDecoder, on the WebAssembly that ships in the filters; every text is also fed in pieces. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  reset(): void;
  feed(at: number, length: number): number;
  feedScalar(at: number, length: number): number;
  complete(): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-utf8-check.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

/** `first` is the first piece, the others have `step` bytes. Bytes in front of each text are `0xf0`, so that looking there shows. */
function check(text: Uint8Array, step = text.length, first = step, scalar = false): boolean {
  const at = wasm.allocate(text.length + 16) + 16;
  new Uint8Array(wasm.memory.buffer, at - 16, 16).fill(0xf0);
  new Uint8Array(wasm.memory.buffer, at, text.length).set(text);
  wasm.reset();
  let alive = true;
  let size = first;
  for (let offset = 0; offset < text.length; offset += size, size = step) {
    const length = Math.min(size, text.length - offset);
    const still = (scalar ? wasm.feedScalar : wasm.feed)(at + offset, length) !== 0;
    if ((still && !alive) || (!still && wasm.complete() !== 0)) throw new Error(`wrong text became right at ${offset}`);
    alive = still;
  }
  return wasm.complete() !== 0;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
function reference(text: Uint8Array): boolean {
  try {
    decoder.decode(text);
    return true;
  } catch {
    return false;
  }
}

function expectSame(text: Uint8Array): void {
  const expected = reference(text);
  const seen = [
    check(text),
    check(text, text.length, text.length, true),
    ...[1, 2, 7, 64, 100].map((step) => check(text, step)),
  ];
  expect(seen, Buffer.from(text).toString("hex")).toEqual(seen.map(() => expected));
}

/** Texts that take each of the three ways, alone and in turns. */
const scripts = [
  "plain words, ",
  "läuft über ",
  "请用三句话",
  "한국어 하나 ",
  "हिन्दी ",
  "Tiếng Việt ",
  "😀🚀",
  "\u{10ffff}\ud7ff\ue000",
  "x".repeat(70),
];
const script = fc.constantFrom(...scripts);
const wrong = fc.constantFrom(
  ...[
    "80",
    "bf",
    "c0",
    "c1",
    "c080",
    "c1bf",
    "c2",
    "df",
    "e0",
    "e08080",
    "e09fbf",
    "e4b8",
    "e4",
    "eda080",
    "edbfbf",
    "ed",
  ],
  ...[
    "f0",
    "f0808080",
    "f08fbfbf",
    "f09f",
    "f09f98",
    "f4908080",
    "f5",
    "f8",
    "ff",
    "fe",
    "e4b8ad80",
    "c3a9a9",
    "e4c3a9",
    "f09fe4b8ad",
  ],
);

describe("UTF-8", () => {
  it("is what TextDecoder takes: every two bytes, and every three and four around the limits, between other text", () => {
    const frame = Buffer.from("é中".repeat(60));
    const bytes = new Uint8Array(frame);
    // Behind 47 two- and three-byte characters, so that they lie across the edge of two vectors.
    const at = 125;
    const limits = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe1, 0xf0, 0xff];
    const all = Array.from({ length: 256 }, (_, byte) => byte);
    for (const first of all) {
      for (const second of all) {
        for (const third of first < 0xc0 ? [0x61] : limits) {
          for (const fourth of first < 0xf0 ? [0x61] : limits) {
            bytes.set(frame);
            bytes.set([first, second, third, fourth, 0x61], at);
            // Node's own check is a hundred times faster than a decoder that throws.
            if (check(bytes) !== isUtf8(bytes)) expectSame(bytes);
          }
        }
      }
    }
  }, 120_000);

  it("is what TextDecoder takes: valid text of any script, cut anywhere", () => {
    fc.assert(
      fc.property(fc.array(script, { maxLength: 60 }), fc.nat(400), (pieces, first) => {
        const text = Buffer.from(pieces.join(""));
        expectSame(text);
        expect(check(text, text.length, 1 + first)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it("is what TextDecoder takes: text with wrong bytes in it, cut anywhere", () => {
    fc.assert(
      fc.property(
        fc.array(script, { maxLength: 40 }),
        fc.array(script, { maxLength: 40 }),
        wrong,
        fc.nat(400),
        (before, behind, bytes, first) => {
          const text = Buffer.concat([
            Buffer.from(before.join("")),
            Buffer.from(bytes, "hex"),
            Buffer.from(behind.join("")),
          ]);
          expectSame(text);
          expect(check(text, text.length, 1 + first)).toBe(reference(text));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it("is what TextDecoder takes: text with single bytes changed or lost", () => {
    const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.boolean()), { minLength: 1, maxLength: 2 });
    fc.assert(
      fc.property(fc.array(script, { minLength: 1, maxLength: 40 }), edits, (pieces, changes) => {
        let text = Buffer.from(pieces.join(""));
        for (const [where, byte, lose] of changes) {
          const at = where % text.length;
          text = Buffer.concat([
            text.subarray(0, at),
            lose ? Buffer.alloc(0) : Buffer.from([byte]),
            text.subarray(at + 1),
          ]);
        }
        expectSame(text);
      }),
      { numRuns: 3000 },
    );
  });

  it("is what TextDecoder takes: any bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => expectSame(bytes)));
  });

  it("is found out wherever a character is cut off by the end", () => {
    for (const script of scripts) {
      const text = Buffer.from(script.repeat(40));
      for (let size = 0; size <= Math.min(text.length, 700); size++) {
        expect(check(text.subarray(0, size)), `${script} ${size}`).toBe(reference(text.subarray(0, size)));
      }
    }
  });

  it("starts anew after a reset", () => {
    expect(check(Buffer.from("ff", "hex"))).toBe(false);
    expect(check(Buffer.from("e4b8", "hex"))).toBe(false);
    expect(check(Buffer.from("text"))).toBe(true);
    expect(check(Buffer.alloc(0))).toBe(true);
  });
});
