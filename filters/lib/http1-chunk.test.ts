import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

/** One chunk and nothing else, and its end; against a regular expression. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  endsWith(at: number, length: number, text: number, size: number): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-http1-chunk.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

/** What stands in front of the write and behind it would make a wrong one right. */
function endsWith(write: string, text: string): boolean {
  const around = `5\r\n${text}\r\n`;
  const bytes = Buffer.from(around + write + around + text, "latin1");
  const at = wasm.allocate(bytes.length);
  new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
  return wasm.endsWith(at + around.length, write.length, at + bytes.length - text.length, text.length) !== 0;
}

function expected(write: string, text: string): boolean {
  const found = /^([0-9a-fA-F]{1,8})\r\n(.*)\r\n$/s.exec(write);
  if (found === null) return false;
  const [, size = "", data = ""] = found;
  return Number.parseInt(size, 16) === data.length && data.length > 0 && data.endsWith(text);
}

const chunk = (data: string, size = data.length.toString(16)) => `${size}\r\n${data}\r\n`;
const DONE = "data: [DONE]\n\n";

describe("a chunk", () => {
  it.each([
    ["just the text", chunk(DONE), true],
    ["more in front", chunk(`data: {}\n\n${DONE}`), true],
    ["upper case and zeros", chunk(`data: {}\n\n${DONE}`.padStart(0x2c, "x"), "0002C"), true],
    ["something else", chunk("data: {}\n\n"), false],
    ["the text is not the end", chunk(`${DONE} `), false],
    ["half of the text", chunk(DONE.slice(1)), false],
    ["two chunks", chunk("a") + chunk(DONE), false],
    ["the last chunk behind it", `${chunk(DONE)}0\r\n\r\n`, false],
    ["the last chunk", "0\r\n\r\n", false],
    ["a body without chunks", DONE, false],
    ["a body that looks like a chunk", `e\n${DONE}\n`, false],
    ["no line end behind the data", `e\r\n${DONE}\n\n`, false],
    ["too long a size", chunk(DONE, "00000000e"), false],
    ["no line end behind the size", `e;;${DONE}\r\n`, false],
    ["no size", `\r\n${DONE}\r\n`, false],
    ["an extension", `e;a=b\r\n${DONE}\r\n`, false],
    ["a size beyond 31 bits", chunk(DONE, "fffffffe"), false],
    ["nothing", "", false],
    ["a head", `HTTP/1.1 200 OK\r\n\r\n${chunk(DONE)}`, false],
  ])("%s", (_, write, found) => {
    expect(endsWith(write, DONE)).toBe(found);
    expect(expected(write, DONE)).toBe(found);
  });

  it("is found where a regular expression finds it", () => {
    const piece = fc.constantFrom("a", "b", "\r", "\n", "\r\n", "0", "1", "2", "3", "8", "f", "ab", "0\r\n\r\n");
    const noise = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(""));
    const write = fc.oneof(
      noise,
      noise.map((data) => chunk(data)),
      fc.tuple(noise, noise).map(([a, b]) => chunk(a) + chunk(b)),
    );
    fc.assert(
      fc.property(write, fc.constantFrom("a", "b", "\r\n", "ab", "3\r\n"), (bytes, text) => {
        expect(endsWith(bytes, text)).toBe(expected(bytes, text));
      }),
      { numRuns: 3000 },
    );
  });
});
