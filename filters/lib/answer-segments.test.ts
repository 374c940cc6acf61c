import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  buffer(): number;
  openPool(maxBytes: number): number;
  setMaxBytes(pool: number, maxBytes: number): void;
  usedBytes(pool: number): number;
  closePool(pool: number): void;
  take(number: number, pool: number, most: number): void;
  begin(number: number, pool: number, most: number): void;
  append(number: number, length: number): number;
  length(number: number): number;
  overflowed(number: number): number;
  pieces(number: number): number;
  copy(number: number): void;
  giveBack(number: number): void;
  release(number: number): void;
  pages(): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-answer-segments.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

const SEGMENT = 8192;
const ROOM = SEGMENT - 4;
const segmentsOf = (bytes: number) => Math.ceil(bytes / ROOM);
const buffer = (length: number) => new Uint8Array(wasm.memory.buffer, wasm.buffer(), length);

function append(number: number, bytes: Uint8Array): boolean {
  buffer(bytes.length).set(bytes);
  const kept = wasm.append(number, bytes.length) !== 0;
  // What was appended is the recording's own.
  buffer(bytes.length).fill(0xdd);
  return kept;
}

/** All bytes, read piece by piece and at once. */
function read(number: number): Buffer {
  const length = wasm.length(number);
  expect(wasm.pieces(number)).toBe(segmentsOf(length));
  const bytes = Buffer.from(buffer(length));
  buffer(length).fill(0xdd);
  wasm.copy(number);
  expect(Buffer.from(buffer(length)).equals(bytes)).toBe(true);
  return bytes;
}

describe("recordings", () => {
  it("hold what was appended, within their bound and the pool's, whatever others do", () => {
    const size = fc.oneof(fc.nat(300), fc.constantFrom(0, 1, ROOM - 1, ROOM, ROOM + 1, 3 * ROOM, 60_000));
    const number = fc.nat(4);
    const step = fc.oneof(
      {
        weight: 1,
        arbitrary: fc.record({
          what: fc.constant("take" as const),
          number,
          most: fc.constantFrom(0, 100, ROOM, 50_000, 2 ** 31 - 1),
        }),
      },
      { weight: 6, arbitrary: fc.record({ what: fc.constant("append" as const), number, size }) },
      {
        weight: 1,
        arbitrary: fc.record({
          what: fc.constantFrom("release" as const, "giveBack" as const, "begin" as const),
          number,
        }),
      },
      { weight: 1, arbitrary: fc.record({ what: fc.constant("bound" as const), number, most: fc.nat(20) }) },
    );
    let seed = 1;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.nat(20), (steps, room) => {
        let bound = room * SEGMENT + 100;
        const pool = wasm.openPool(bound);
        const kept = new Map<number, { bytes: Buffer; most: number; overflowed: boolean }>();
        const used = () => [...kept.values()].reduce((sum, { bytes }) => sum + segmentsOf(bytes.length), 0) * SEGMENT;
        for (const one of steps) {
          const recording = kept.get(one.number);
          if (one.what === "bound") {
            bound = one.most * SEGMENT;
            wasm.setMaxBytes(pool, bound);
          } else if (one.what === "take") {
            if (recording !== undefined) wasm.release(one.number);
            wasm.take(one.number, pool, one.most);
            kept.set(one.number, { bytes: Buffer.alloc(0), most: one.most, overflowed: false });
          } else if (recording === undefined) continue;
          else if (one.what === "append") {
            const bytes = Buffer.alloc(one.size, seed);
            seed = (seed * 7 + 1) % 251;
            const after = recording.bytes.length + bytes.length;
            const more = segmentsOf(after) - segmentsOf(recording.bytes.length);
            const fits =
              !recording.overflowed &&
              (bytes.length === 0 || (after <= recording.most && (more === 0 || used() + more * SEGMENT <= bound)));
            expect(append(one.number, bytes)).toBe(fits);
            if (fits) recording.bytes = Buffer.concat([recording.bytes, bytes]);
            else kept.set(one.number, { bytes: Buffer.alloc(0), most: 0, overflowed: true });
          } else if (one.what === "release") {
            wasm.release(one.number);
            kept.delete(one.number);
          } else if (one.what === "begin") {
            wasm.begin(one.number, pool, 1000);
            kept.set(one.number, { bytes: Buffer.alloc(0), most: 1000, overflowed: false });
          } else if (one.what === "giveBack") {
            wasm.giveBack(one.number);
            wasm.giveBack(one.number);
            // Nothing fits until it begins again.
            kept.set(one.number, { bytes: Buffer.alloc(0), most: 0, overflowed: recording.overflowed });
          }
          expect(wasm.usedBytes(pool)).toBe(used());
          for (const [at, { bytes, overflowed }] of kept) {
            expect([wasm.length(at), wasm.overflowed(at) !== 0]).toEqual([bytes.length, overflowed]);
            expect(read(at).equals(bytes)).toBe(true);
          }
        }
        for (const at of kept.keys()) wasm.release(at);
        expect(wasm.usedBytes(pool)).toBe(0);
        wasm.closePool(pool);
      }),
      { numRuns: 300 },
    );
  });

  it("of a closed pool keep what they have and take no more", () => {
    const pool = wasm.openPool(10 * SEGMENT);
    wasm.take(0, pool, 100_000);
    wasm.take(1, pool, 100_000);
    append(0, Buffer.alloc(9000, 1));
    append(1, Buffer.alloc(20_000, 2));
    wasm.giveBack(1);
    wasm.closePool(pool);
    expect(read(0).equals(Buffer.alloc(9000, 1))).toBe(true);
    expect(append(0, Buffer.alloc(10, 3))).toBe(true);
    expect(append(0, Buffer.alloc(9000, 3))).toBe(false);
    expect([wasm.overflowed(0), wasm.length(0), wasm.usedBytes(pool)]).toEqual([1, 0, 0]);
    wasm.release(0);
    wasm.release(1);
  });

  it("of all pools together take at most half of the memory of a VM", () => {
    const most = 32 * 1024 * 1024;
    const first = wasm.openPool(2 ** 31);
    const second = wasm.openPool(2 ** 31);
    wasm.take(0, first, 2 ** 31 - 1);
    wasm.take(1, second, 2 ** 31 - 1);
    while (wasm.append(0, 60 * ROOM) !== 0 && wasm.length(0) < most / 2);
    while (wasm.length(1) + wasm.length(0) < (most / SEGMENT) * ROOM) expect(wasm.append(1, ROOM)).toBe(1);
    expect(wasm.usedBytes(first) + wasm.usedBytes(second)).toBe(most);
    expect(wasm.append(1, 1)).toBe(0);
    expect([wasm.overflowed(0), wasm.overflowed(1), wasm.usedBytes(second)]).toEqual([0, 1, 0]);
    expect(wasm.append(0, 1)).toBe(1);
    wasm.release(0);
    wasm.release(1);
  });

  it("take no memory but for the most at a time, over configurations as well", () => {
    const round = () => {
      const pool = wasm.openPool(40 * SEGMENT);
      for (let i = 0; i < 200; i++) {
        for (let at = 0; at < 4; at++) wasm.take(at, pool, 100_000);
        for (let piece = 0; piece < 30; piece++) for (let at = 0; at < 4; at++) wasm.append(at, 3000);
        for (let at = 0; at < 4; at++) wasm.release((at + i) % 4);
      }
      wasm.closePool(pool);
    };
    round();
    const pages = wasm.pages();
    for (let i = 0; i < 20; i++) round();
    expect(wasm.pages()).toBe(pages);
  });
});
