import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

/** Which stream a text ends, in writes of whole frames; everything else is lost. Against a reader of frames as lists. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  begin(text: number, size: number): void;
  read(at: number, length: number): number;
  stream(): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-http2-frames.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: string;
}

const [DATA, HEADERS, SETTINGS, WINDOW_UPDATE, CONTINUATION] = [0, 1, 4, 8, 9];
const END_STREAM = 1;
const END_HEADERS = 4;

const data = (stream: number, payload: string, flags = 0): Frame => ({ type: DATA, flags, stream, payload });
const other = (type: number, stream: number, flags = 0, payload = "pppp"): Frame => ({ type, flags, stream, payload });

function bytesOf(frames: readonly Frame[]): Buffer {
  return Buffer.concat(
    frames.map(({ type, flags, stream, payload }) => {
      const head = Buffer.alloc(9);
      head.writeUIntBE(payload.length, 0, 3);
      head.writeUInt8(type, 3);
      head.writeUInt8(flags, 4);
      head.writeUInt32BE(stream, 5);
      return Buffer.concat([head, Buffer.from(payload, "latin1")]);
    }),
  );
}

const PLACES = ["open", "found", "lost"] as const;
type Result = `found ${number}` | "open" | "lost";

/** Reads writes until something is decided. Behind each write stands the text once more. */
function find(text: string, writes: readonly Buffer[]): Result {
  const wanted = Buffer.from(text, "latin1");
  const all = Buffer.concat([wanted, ...writes, bytesOf([data(77, text)])]);
  const base = wasm.allocate(all.length);
  new Uint8Array(wasm.memory.buffer, base, all.length).set(all);
  wasm.begin(base, wanted.length);
  let at = base + wanted.length;
  for (const write of writes) {
    const place = PLACES[wasm.read(at, write.length)];
    if (place === "found") return `found ${wasm.stream()}`;
    if (place === "lost" || place === undefined) return "lost";
    at += write.length;
  }
  return "open";
}

/** The same from the frames themselves: whole frames, one write after the other. */
function expected(text: string, writes: readonly (readonly Frame[])[]): Result {
  let owner = 0;
  let got = "";
  for (const frames of writes) {
    let block = false;
    for (const { type, flags, stream, payload } of frames) {
      if (block !== (type === CONTINUATION) || type > CONTINUATION || stream > 0x7fffffff) return "lost";
      if ([HEADERS, 5, CONTINUATION].includes(type)) block = (flags & END_HEADERS) === 0;
      if (type !== DATA) {
        if (owner !== 0 && stream === owner) return "lost";
        continue;
      }
      if (stream % 2 === 0 || ![0, END_STREAM].includes(flags)) return "lost";
      if (stream === owner) {
        if (flags !== 0 || payload === "" || !text.startsWith(got + payload)) return "lost";
        got += payload;
      } else if (flags === 0 && payload !== "") {
        const whole = payload.endsWith(text);
        if (!whole && !text.startsWith(payload)) continue;
        if (owner !== 0) return "lost";
        owner = stream;
        got = whole ? text : payload;
      }
    }
    if (block) return "lost";
    if (owner !== 0 && got === text) return `found ${owner}`;
  }
  return "open";
}

const TEXT = "data: {}\n\ndata: [DONE]\n\n";

describe("the stream that a text ends", () => {
  it.each<[string, Frame[][], Result]>([
    ["its frame alone", [[data(5, TEXT)]], "found 5"],
    ["with something before it", [[data(5, `held${TEXT}`)]], "found 5"],
    [
      "among others",
      [[other(SETTINGS, 0), data(3, "data: 1\n\n"), data(5, TEXT), other(WINDOW_UPDATE, 0), data(7, "x")]],
      "found 5",
    ],
    ["in two frames", [[data(5, TEXT.slice(0, 10)), data(5, TEXT.slice(10))]], "found 5"],
    [
      "in three writes, others between them",
      [[data(5, TEXT.slice(0, 10))], [data(3, "x")], [data(5, TEXT.slice(10, 11)), data(5, TEXT.slice(11))]],
      "found 5",
    ],
    ["not yet", [[other(SETTINGS, 0)], [data(3, "x")]], "open"],
    ["half", [[data(5, TEXT.slice(0, 10))]], "open"],
    ["two streams with the same text", [[data(3, TEXT), data(5, TEXT)]], "lost"],
    ["two streams that begin like it", [[data(3, TEXT.slice(0, 4)), data(5, TEXT.slice(0, 4))]], "lost"],
    ["a stream that ends by itself", [[data(3, TEXT, END_STREAM)]], "open"],
    ["a stream that ends by itself, then the right one", [[data(3, TEXT, END_STREAM), data(5, TEXT)]], "found 5"],
    ["something behind the text", [[data(5, TEXT), data(5, "more")]], "lost"],
    ["an end of its own behind the text", [[data(5, TEXT), data(5, "", END_STREAM)]], "lost"],
    ["trailers behind the text", [[data(5, TEXT), other(HEADERS, 5, END_HEADERS | END_STREAM)]], "lost"],
    ["a reset behind the text", [[data(5, TEXT), other(3, 5)]], "lost"],
    ["headers of another stream behind it", [[data(5, TEXT), other(HEADERS, 7, END_HEADERS)]], "found 5"],
    ["an open header block behind it", [[data(5, TEXT), other(HEADERS, 7)]], "lost"],
    [
      "a header block in two frames",
      [[data(5, TEXT), other(HEADERS, 7), other(CONTINUATION, 7, END_HEADERS)]],
      "found 5",
    ],
    ["a continuation of nothing", [[other(CONTINUATION, 7, END_HEADERS), data(5, TEXT)]], "lost"],
    ["a frame in a header block", [[other(HEADERS, 7), data(5, TEXT), other(CONTINUATION, 7, END_HEADERS)]], "lost"],
    ["padding", [[data(5, TEXT, 8)]], "lost"],
    ["an even stream", [[data(4, TEXT)]], "lost"],
    ["no stream", [[data(0, TEXT)]], "lost"],
    ["the reserved bit", [[data(0x80000005, TEXT)]], "lost"],
    ["an unknown type", [[other(10, 0), data(5, TEXT)]], "lost"],
    ["empty frames", [[data(5, ""), data(5, TEXT)]], "found 5"],
    ["the largest stream", [[data(0x7fffffff, TEXT)]], "found 2147483647"],
    ["the text in another frame", [[other(HEADERS, 5, END_HEADERS, TEXT)]], "open"],
    [
      "a text that ends otherwise",
      [[data(5, `${TEXT} `), data(7, `x${TEXT.slice(1)}`.replace("DONE", "done"))]],
      "open",
    ],
    ["the end of the text only", [[data(5, TEXT.slice(1))]], "open"],
  ])("%s", (_, writes, result) => {
    expect(find(TEXT, writes.map(bytesOf))).toBe(result);
    expect(expected(TEXT, writes)).toBe(result);
  });

  it("is lost where a write is cut, or has a byte too many", () => {
    const whole = bytesOf([other(SETTINGS, 0), data(5, TEXT)]);
    for (let end = 1; end < whole.length; end++) {
      expect(find(TEXT, [whole.subarray(0, end)])).toBe(end === 13 ? "open" : "lost");
      expect(find(TEXT, [whole.subarray(end)])).toBe(end === 13 ? "found 5" : "lost");
      expect(find(TEXT, [Buffer.concat([whole, whole.subarray(0, end)])]).startsWith("found")).toBe(end === 13);
    }
    for (const far of [0xff, 0x7f]) {
      const long = Buffer.from(whole);
      long.writeUInt8(far, 13);
      expect(find(TEXT, [long])).toBe("lost");
    }
  });

  it("has no other than a reader of whole frames finds", () => {
    const text = "abab";
    const payload = fc.constantFrom("", "a", "ab", "aba", "abab", "xabab", "ababx", "baba", "b", "ba", "x");
    const stream = fc.constantFrom(1, 3, 5, 4);
    const frame = fc.oneof(
      { weight: 6, arbitrary: fc.tuple(stream, payload).map(([id, bytes]) => data(id, bytes)) },
      { weight: 1, arbitrary: fc.tuple(stream, payload).map(([id, bytes]) => data(id, bytes, END_STREAM)) },
      {
        weight: 1,
        arbitrary: fc
          .tuple(fc.constantFrom(1, 3, 4, 5, 8, 9, 10), stream, fc.constantFrom(0, 4, 5))
          .map(([type, id, flags]) => other(type, id, flags)),
      },
    );
    const writes = fc.array(fc.array(frame, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(writes, (all) => {
        expect(find(text, all.map(bytesOf))).toBe(expected(text, all));
      }),
      { numRuns: 5000 },
    );
  });

  it("never reads beyond a write of any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const result = find(TEXT, [Buffer.from(bytes)]);
        expect(result.startsWith("found")).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });
});
