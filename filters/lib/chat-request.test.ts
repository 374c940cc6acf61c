import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { body, list, object, scalar } from "../../test/lib/chat-request-arbitrary.ts";
import { bodies, schema } from "../../test/lib/chat-request-bodies.ts";
import { type Api, apis, type Facts, fieldNames, put, read, wasm } from "../../test/lib/chat-request-driver.ts";
import { reference } from "../../test/lib/chat-request-reference.ts";

/** Differential tests against JSON.parse, on real and generated bodies; every body is also fed in pieces. */

function readEverySplit(api: Api, body: Buffer | string): Facts {
  const whole = read(api, body);
  for (const step of [1, 2, 7]) expect(read(api, body, step)).toEqual(whole);
  return whole;
}

const kindOf = (value: unknown) =>
  value === undefined
    ? "absent"
    : Array.isArray(value)
      ? "array"
      : value === null || typeof value === "boolean"
        ? "literal"
        : typeof value;

const flagOf = (value: unknown) =>
  typeof value === "boolean" ? value : (value ?? "absent") === "absent" ? "absent" : "other";

/** Reads `body` and compares with what JSON.parse says. */
function check(api: Api, body: string): Facts {
  const facts = readEverySplit(api, body);
  const expected = reference(api, JSON.parse(body.replace(/^\ufeff/, "")));
  expect(facts.status).toBe("complete");
  expect(facts.consumed).toBe(Buffer.byteLength(body));
  for (const name of fieldNames) {
    const field = facts.fields[name];
    const value = expected.values[name];
    expect([name, field.kind]).toEqual([name, kindOf(value)]);
    if (value === undefined) continue;
    expect(JSON.parse(field.raw)).toEqual(value);
    if (fieldNames.indexOf(name) >= fieldNames.indexOf("tools") || field.truncated) continue;
    if (typeof value === "number") {
      expect(Math.abs(field.number - value)).toBeLessThanOrEqual(Math.abs(value) * 1e-13 + 1e-300);
    } else {
      expect(field.number).toBeNaN();
    }
    if (typeof value !== "object") {
      expect(field.value).toBe(typeof value === "string" ? value.toWellFormed() : field.raw);
    }
  }
  const { stream, include_usage } = expected.values;
  expect([facts.stream, facts.includeUsage]).toEqual([flagOf(stream), flagOf(include_usage)]);
  const options = JSON.parse(body.replace(/^\ufeff/, "")).stream_options;
  expect(facts.streamOptions.kind).toBe(kindOf(options));
  if (options !== undefined) {
    expect(JSON.parse(facts.streamOptions.raw)).toEqual(options);
    expect(facts.streamOptionsEmpty).toBe(kindOf(options) === "object" && Object.keys(options).length === 0);
  }
  const { tools, images, promptBytes } = expected;
  expect(facts).toMatchObject({ tools, images, promptBytes, messages: expected.messages.length });
  expect(facts.spans.map(({ raw, role, text, index }) => ({ value: JSON.parse(raw), role, text, index }))).toEqual(
    kept(expected.messages, 8),
  );
  expect(facts.userTexts).toBe(expected.userText.length);
  expect(facts.userText.map(({ raw, index }) => ({ value: JSON.parse(raw), index }))).toEqual(
    kept(
      expected.userText.map((value) => ({ value })),
      4,
    ),
  );
  return facts;
}

function kept<T extends object>(all: T[], count: number): (T & { index: number })[] {
  const indexed = all.map((entry, index) => ({ ...entry, index }));
  return indexed.filter(({ index }) => index < count || index >= all.length - count);
}

describe("bodies", () => {
  it.each(bodies)("%s", (_name, api, body, expected) => {
    const compact = typeof body === "string" ? body : JSON.stringify(body);
    expect(check(api, compact)).toMatchObject(expected);
    if (typeof body === "object") check(api, JSON.stringify(body, null, 2));
    if (!compact.startsWith("\ufeff")) {
      const ascii = compact.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
      expect(check(api, ascii)).toMatchObject(expected);
    }
  });

  it("takes the last of duplicate keys and counts them", () => {
    const facts = check(
      "chat",
      `{"model":"a","messages":[{"role":"user","content":"${"x".repeat(20)}"},{"role":"user","content":"y"}],"model":"b",
        "tools":[1,2],"stream_options":{"include_usage":true},"stream_options":{},"tools":[3],"\\u006dodel":"c",
        "messages":[{"role":"user","content":[{"type":"image","text":"a","text":1,"type":"text"}],"role":"tool","content":"z"}]}`,
    );
    expect(facts.fields.model).toMatchObject({ value: "c", count: 3, raw: '"c"' });
    expect(facts.fields.messages.count).toBe(2);
    expect(facts).toMatchObject({ messages: 1, tools: 1, images: 0, promptBytes: 1, includeUsage: "absent" });
    expect(facts.streamOptions).toMatchObject({ kind: "object", count: 2, raw: "{}" });
  });

  it("cuts long values and says so", () => {
    const facts = readEverySplit("chat", `{"user":"${"é".repeat(200)}","n":${"1".repeat(300)},"model":"\\ud800"}`);
    expect(facts.fields.user).toMatchObject({ truncated: true, malformed: false });
    expect(Buffer.byteLength(facts.fields.user.raw)).toBe(402);
    expect(facts.fields.n).toMatchObject({ kind: "number", truncated: true, number: Number.NaN });
    expect(facts.fields.model).toMatchObject({ malformed: true, value: "\ufffd" });
  });

  it("reads numbers as JSON.parse does, and no others", () => {
    const number = (text: string) => wasm.parseNumber(put(Buffer.from(text)), text.length);
    for (const text of [
      "0",
      "-0",
      "1",
      "4096",
      "0.7",
      "-1.25",
      "1e3",
      "2E-2",
      "1e+2",
      "0.1e22",
      "123456789012345",
      "0.00001",
    ]) {
      expect(number(text)).toBe(JSON.parse(text));
    }
    for (const text of ["", "-", "01", "1.", ".5", "1e", "1e+", "+1", "1a", "0x1", "--1", "1.e3"])
      expect(number(text)).toBeNaN();
    for (const text of ["1e400", "1e99999999999", "-1e400", "1e-99999999999", `1${"0".repeat(320)}`, "0e999999999"]) {
      expect(number(text)).toBe(JSON.parse(text));
    }
    const close = fc.double({ noNaN: true, noDefaultInfinity: true, min: 1e-200, max: 1e200 });
    fc.assert(fc.property(close, (value) => Math.abs(number(JSON.stringify(value)) / value - 1) < 1e-13));
  });
});

describe("errors", () => {
  const wrong: [body: string, status: string, consumed: number][] = [
    ["[]", "invalid", 0],
    ["{}x", "invalid", 2],
    ['{"messages":[{"role":"user"}}]', "invalid", 28],
    ['{"messages":[{"role":"user",}]}', "invalid", 28],
    ['{"messages":[,]}', "invalid", 13],
    ['{"messages":[{"content" "x"}]}', "invalid", 24],
    ['{"messages":[{"role":"us\ner"}]}', "invalid", 24],
    ['{"x":[{]}', "invalid", 7],
    ['{"messages":[{"content":"x"]}', "invalid", 27],
    ['{"messages":[{"content":"x"}', "need-more", 28],
    ['{"stream":tru', "need-more", 13],
    ['{"x":[\\"]}', "invalid", 6],
    [`{"x":[1,${" ".repeat(100)}\\",${" ".repeat(100)}]}`, "invalid", 108],
    [`{"x":[1,${" ".repeat(100)}}${" ".repeat(100)}]}`, "invalid", 108],
    [`{"x":${"[".repeat(255)}${"]".repeat(255)}}`, "complete", 516],
    [`{"x":${"[".repeat(256)}`, "limit", 260],
    [`{"messages":${"[".repeat(256)}`, "limit", 267],
  ];
  it.each(wrong)("%s", (body, status, consumed) => {
    expect(readEverySplit("chat", body)).toMatchObject({ status, consumed });
  });

  it("refuses what is too long", () => {
    const body = '{"model":"a","x":1}';
    wasm.maxBytes(body.length);
    expect(readEverySplit("chat", body).status).toBe("complete");
    wasm.maxBytes(body.length - 1);
    expect(readEverySplit("chat", body)).toMatchObject({ status: "limit", consumed: body.length - 1 });
    wasm.maxBytes(1 << 30);
  });
});

describe("properties", () => {
  it("finds what JSON.parse finds", () => {
    fc.assert(
      fc.property(fc.constantFrom(...apis), body, (api, json) => void check(api, json)),
      { numRuns: 3000 },
    );
  });

  it("finds the end and the size of long strings, whatever escapes are in them", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        "\\",
        "\\\\\\",
        '"',
        '\\"',
        "u",
        "\u00e9",
        "\u4e2d",
        "\ud83d\ude00",
        "\n",
        "{",
        "]",
        "}",
        "x",
        "7",
      ),
      fc.nat(70).map((length) => "y".repeat(length)),
    );
    const long = fc.tuple(fc.array(piece, { maxLength: 60 }), fc.boolean()).map(([pieces, ascii]) => {
      const json = JSON.stringify(pieces.join(""));
      return ascii
        ? json.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
        : json;
    });
    const nested = fc.array(fc.oneof(long, list(long), object(["x", long], ["y", scalar]))).map((all) => all.join(","));
    fc.assert(
      fc.property(long, nested, nested, fc.nat(64), (prompt, x, tools, gap) => {
        const messages = `[{"content":[{"text":${prompt}}]},{"role":"user","content":${prompt}}]`;
        check("chat", `{${" ".repeat(gap)}"x":[${x}],"model":${prompt},"tools":[[${tools}]],"messages":${messages}}`);
      }),
      { numRuns: 1000 },
    );
  });

  it("never traps, and answers alike for every split", () => {
    const samples = bodies.map(
      ([, api, value]) => [api, Buffer.from(typeof value === "string" ? value : JSON.stringify(value))] as const,
    );
    const edit = fc.tuple(
      fc.nat(),
      fc.nat({ max: 3 }),
      fc.constantFrom(...Buffer.from('{}[]",:\\u0\n\x00\xff', "latin1")),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...samples),
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        ([api, sample], edits) => {
          const pieces = [...sample.subarray(0, 1500)];
          for (const [at, cut, byte] of edits) pieces.splice(at % pieces.length, cut, byte);
          const facts = readEverySplit(api, Buffer.from(pieces));
          expect(["complete", "invalid", "need-more"]).toContain(facts.status);
        },
      ),
      { numRuns: 1500 },
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...apis),
        fc.uint8Array(),
        (api, bytes) => void readEverySplit(api, Buffer.from(bytes)),
      ),
    );
  });
});

describe("cost", () => {
  const prose = `${"The quick brown fox jumps over the lazy dog, and says: ".repeat(3)}"why not?"\n\tif (a["x"] == 'y') { return; }\n`;
  const long = (bytes: number) =>
    Buffer.from(
      JSON.stringify({
        model: "gpt-4o",
        messages: Array.from({ length: bytes / 4000 }, () => ({ role: "user", content: prose.repeat(16) })),
        tools: Array.from({ length: 20 }, () => ({ type: "function", function: { name: "f", parameters: schema } })),
      }),
    );

  it("takes no memory for 10 MB", () => {
    const bytes = long(10_000_000);
    const at = wasm.allocate(65536);
    const pages = wasm.memory.buffer.byteLength;
    wasm.reset(0);
    let status = 0;
    for (let offset = 0; offset < bytes.length; offset += 65536) {
      const piece = bytes.subarray(offset, offset + 65536);
      new Uint8Array(wasm.memory.buffer, at, piece.length).set(piece);
      status = wasm.feed(at, piece.length);
    }
    expect(status).toBe(4);
    expect(wasm.consumed()).toBe(bytes.length);
    expect(wasm.memory.buffer.byteLength).toBe(pages);
  });

  it("is timed against decoding to a string", () => {
    for (const size of [16_000, 1_000_000]) {
      const bytes = long(size);
      const at = put(bytes);
      const read = fastest(() => {
        wasm.reset(0);
        wasm.feed(at, bytes.length);
      });
      const decoded = fastest(() => wasm.decode(at, bytes.length));
      const rate = (ms: number) => `${(bytes.length / ms / 1e6).toFixed(2)} GB/s`;
      console.log(
        `chat-request ${bytes.length} bytes: ${rate(read)}, decoding ${rate(decoded)}, ${(decoded / read).toFixed(1)}x`,
      );
    }
  });

  function fastest(run: () => void): number {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 40; i++) {
      const from = performance.now();
      run();
      best = Math.min(best, performance.now() - from);
      wasm.collect();
    }
    return best;
  }
});
