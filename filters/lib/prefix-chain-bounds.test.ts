import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bodies, schema } from "../../test/lib/chat-request-bodies.ts";
import { apis } from "../../test/lib/chat-request-driver.ts";
import { check, prose, same } from "../../test/lib/prefix-chain-check.ts";
import { put, read, wasm } from "../../test/lib/prefix-chain-driver.ts";
import { canonical, chainOf } from "../../test/lib/prefix-chain-reference.ts";

/** How much of a prompt is read, what hostile ones do, and what it costs. */

const json = JSON.stringify;

describe("bounds", () => {
  const many = (count: number, content = "hi") =>
    json({ messages: Array.from({ length: count }, () => ({ role: "user", content })) });

  it("ends with 4,096 blocks, wherever the end falls", () => {
    for (const length of [4096 * 256 - 5, 4096 * 256 - 4, 4096 * 256 - 3, 4096 * 256 + 9000]) {
      const found = read("chat", many(1, prose(length)));
      const expected = chainOf(canonical("chat", many(1, prose(length))), "", "");
      expect([found.hashes.length, found.bytes, found.tail]).toEqual([
        expected.hashes.length,
        expected.bytes,
        expected.tail,
      ]);
      expect(found.hashes).toEqual(expected.hashes);
      expect({ ...read("chat", many(1, prose(length)), { window: 65536 }), windows: 0 }).toEqual({
        ...found,
        windows: 0,
      });
    }
    // Text behind the last block is not asked for.
    expect(read("chat", many(40, prose(65536 * 2)), { window: 65536 }).windows).toBeLessThanOrEqual(17);
  });

  it("keeps the beginning of more messages than it records", () => {
    const most = read("chat", many(8192));
    expect([wasm.pieces(1), wasm.stopped(1)]).toEqual([16384, 0]);
    const more = read("chat", many(9000));
    expect([wasm.pieces(1), wasm.stopped(1)]).toEqual([16384, 1]);
    expect(more.hashes).toEqual(most.hashes);
    expect(more.bytes).toBe(8192 * 6);
    check("chat", many(3));
    // A later list replaces one that was too long.
    same(check("chat", many(3)), read("chat", `${many(9000).slice(0, -1)},${many(3).slice(1)}`));
  });

  it("ends before a message or part with too many members, whatever their order", () => {
    const wide = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`member${i}`, i]));
    const first = { role: "user", content: prose(1000) };
    const upTo = read("chat", json({ messages: [first] }));
    const message = (count: number) => ({ ...wide(count), role: "user", content: prose(500) });
    check("chat", json({ messages: [first, message(16), first] }));
    const reversed = Object.fromEntries(Object.entries(message(17)).reverse());
    for (const last of [message(17), reversed]) same(upTo, read("chat", json({ messages: [first, last, first] })));
    const parts = (count: number) =>
      json({ messages: [{ role: "user", content: [prose(1000), wide(count), prose(900)] }, first] });
    check("chat", parts(16));
    same(upTo, read("chat", parts(17)));
    // Nothing follows a system prompt that is not known.
    const system = (count: number) => json({ messages: [first], system: ["a", wide(count)] });
    check("anthropic", system(16));
    expect(read("anthropic", system(17)).bytes).toBe(2 + 3);
  });

  it("what a later value replaces takes no room and ends nothing", () => {
    const wide = json([Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`member${i}`, i]))]);
    const full = wide.replace('"member16":16', '"type":"text"').replace('"member15":15,', "");
    const before = [`"content":${wide},`, `"content":${full},`.repeat(1200), '"content":["a"],'.repeat(20000)];
    for (const text of before)
      check("chat", `{"messages":[{"role":"user",${text}"content":[{"x":1}]},{"content":"y"}]}`);
  });

  it("takes any number of messages without content", () => {
    check("chat", json({ messages: Array.from({ length: 3000 }, () => ({ role: "user" })) }));
    check("chat", json({ messages: [{ role: "user", content: Array.from({ length: 3000 }, () => ({})) }] }));
  });

  it("reads windows of a large body once when its members come in order", () => {
    const messages = Array.from({ length: 400 }, (_, i) => ({
      role: i % 2 ? "assistant" : "user",
      content: prose(1500),
    }));
    const ordered = Buffer.from(json({ model: "m", tools: [schema], messages }));
    const needed = Math.ceil(ordered.length / 65536);
    expect(read("chat", ordered, { window: 65536 }).windows).toBeLessThanOrEqual(needed + 1);
    const late = read("anthropic", json({ messages, tools: [schema], system: "s" }), { window: 65536 });
    expect(late.windows).toBeLessThanOrEqual(needed + 3);
    // A name behind each long content: two windows for each of these at most.
    const jumps = Array.from({ length: 10 }, () => ({ role: "user", content: prose(64000), name: "n" }));
    expect(read("chat", json({ messages: jumps }), { window: 65536 }).windows).toBeLessThanOrEqual(25);
  });

  it("asks for nothing when there is no prompt", () => {
    for (const api of apis) {
      for (const empty of ["{}", '{"messages":null,"input":7,"contents":{},"prompt":true,"system":null,"tools":[]}']) {
        expect(read(api, empty, { window: 16 })).toMatchObject({ windows: 0, bytes: 0, hashes: [] });
      }
    }
  });

  it("records nothing unasked", () => {
    wasm.records(0);
    const text = json({ messages: [{ role: "user", content: prose(1000) }], tools: [1] });
    expect(read("chat", text)).toMatchObject({ bytes: 0, hashes: [] });
    wasm.records(1);
    expect(read("chat", text).bytes).toBeGreaterThan(1000);
  });

  it("takes no memory for request after request", () => {
    const texts = [
      many(9000),
      many(1, prose(300_000)),
      json({ messages: [{ role: "user", content: "x", ...{ a: 1, b: 2 } }] }),
    ];
    for (const text of texts) read("chat", text);
    const pages = wasm.memory.buffer.byteLength;
    for (let i = 0; i < 300; i++) read("chat", texts[i % 3] ?? "");
    expect(wasm.memory.buffer.byteLength).toBe(pages);
  });
});

describe("hostile input", () => {
  it("never traps or loops, whatever bytes and windows", () => {
    const samples = bodies.map(
      ([, api, value]) => [api, Buffer.from(typeof value === "string" ? value : json(value))] as const,
    );
    const edit = fc.tuple(
      fc.nat(),
      fc.nat({ max: 3 }),
      fc.constantFrom(...Buffer.from('{}[]",:\\ud8\n\x00\xff\xfe\xfd', "latin1")),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...samples),
        fc.array(edit, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 40 }),
        ([api, sample], edits, window) => {
          const pieces = [...sample.subarray(0, 1500)];
          for (const [at, cut, byte] of edits) pieces.splice(at % pieces.length, cut, byte);
          const bytes = Buffer.from(pieces);
          const whole = read(api, bytes);
          const cut = read(api, bytes, { window });
          expect(cut.windows).toBeGreaterThanOrEqual(0);
          if (window >= 16) expect({ ...cut, windows: 0 }).toEqual({ ...whole, windows: 0 });
        },
      ),
      { numRuns: 1500 },
    );
  });

  it("nothing is left of a chain that ended in the middle of data", () => {
    const data = Buffer.from(json({ tools: ["x".repeat(9000)] }));
    wasm.scan(0, put(data), data.length, 0);
    wasm.begin(0, 0, 0, 0);
    wasm.hash(put(data.subarray(0, 5000)), 5000);
    check("chat", json({ messages: [{ role: "user", content: prose(9000) }] }));
  });

  it("takes a type that is no string for a member", () => {
    for (const type of ['"text"', '"text","type":5', '5,"type":"text"', '"text","type":null', '"other"', "null"]) {
      check("chat", `{"messages":[{"content":[{"type":${type},"text":"a"},{"text":"b"},{"type":${type}}]}]}`);
    }
  });

  it("takes a tool result of any kind", () => {
    for (const content of ['{"a":1}', "7", "null", '"a"', '["a"]', '"a","content":null', '["a"],"content":true']) {
      check("anthropic", `{"messages":[{"content":[{"type":"tool_result","content":${content}}]}]}`);
    }
  });

  it("leaves wrong escapes as they are", () => {
    const text = '{"messages":[{"content":"\\x \\u12G4 \\ud83d\\u00zz \\"},{"content":"b"}]}';
    const expected = Buffer.concat([Buffer.from([0xff, 0x40, 0xff, 1]), Buffer.from('\\x \\u12G4 \ufffd\\u00zz "},{')]);
    expect(read("chat", text.replace('"b"', "7")).tail).toBe(chainOf(expected, "", "").tail);
  });

  it("spans of another body end at the end of this one", () => {
    const long = Buffer.from(json({ messages: [{ role: "user", content: prose(5000) }] }));
    wasm.scan(0, put(long), long.length, 0);
    wasm.begin(0, 0, 0, 0);
    const at = put(long.subarray(0, 2000));
    expect(wasm.hash(at, 2000)).toBe(7);
    expect(wasm.bytes()).toBe(2000 - '{"messages":[{"role":"user","content":"'.length + 4);
    wasm.begin(0, 0, 0, 0);
    expect(wasm.feed(at, 0, 2000)).toBe(-1);
    expect(wasm.blocks()).toBe(0);
  });
});

describe("cost", () => {
  it("is timed against the scan of the same body", () => {
    const code = `${prose(190)}why not?"\n\tif (a["x"] == 'y') { return; }\n`;
    for (const size of [4_000, 16_000, 220_000, 1_000_000]) {
      const messages = Array.from({ length: size / 800 }, () => ({ role: "user", content: code.repeat(3) }));
      const text = Buffer.from(json({ model: "m", tools: [schema, schema, schema], messages }));
      const at = put(text);
      const scan = () => wasm.scan(0, at, text.length, 0);
      wasm.records(0);
      const bare = fastest(scan);
      wasm.records(1);
      const recorded = fastest(scan);
      const hashed = fastest(() => {
        wasm.begin(0, 0, 0, 0);
        wasm.hash(at, text.length);
      });
      const us = (ms: number) => `${(ms * 1000).toFixed(1)} us`;
      console.log(
        `prefix-chain ${text.length} bytes: scan ${us(bare)}, recording ${us(recorded - bare)}, hashing ${us(hashed)}`,
      );
    }
  });

  function fastest(run: () => void): number {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 60; i++) {
      const from = performance.now();
      run();
      best = Math.min(best, performance.now() - from);
    }
    return best;
  }
});
