import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

/** Differential tests against JSON.parse, on the WebAssembly that ships in the filters; every document is also fed in pieces. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  reset(): void;
  feed(at: number, length: number): number;
  resume(): void;
  consumed(): number;
  found(): number;
  kind(index: number): number;
  count(index: number): number;
  start(index: number): number;
  end(index: number): number;
  value(index: number): number;
  length(index: number): number;
  flags(index: number): number;
  beginString(): void;
  skipString(at: number, length: number, vectors: number): number;
  stringClosed(): number;
}

const statuses = ["need-more", "found", "invalid", "limit", "complete"] as const;
const kinds = ["absent", "string", "number", "literal", "object", "array"] as const;

const logged: string[] = [];
const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-json-scanner.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, {
  env: { proxy_log: (_level: number, at: number, size: number) => logged.push(bytesAt(at, size).toString()) && 0 },
}).exports as unknown as Exports;
wasm._initialize();

function bytesAt(at: number, size: number): Buffer {
  return Buffer.from(new Uint8Array(wasm.memory.buffer, at, size));
}

interface Found {
  kind: (typeof kinds)[number];
  value: string;
  raw: string;
  truncated: boolean;
  malformed: boolean;
}

interface Scan {
  status: (typeof statuses)[number];
  consumed: number;
  model: Found[];
  stream: Found[];
}

/** Feeds `body` in pieces of `step` bytes (0: at once), going on behind every value found. */
function scan(body: Buffer | string, step = 0): Scan {
  const bytes = Buffer.from(body);
  const at = wasm.allocate(bytes.length);
  new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
  wasm.reset();
  const result: Scan = { status: "need-more", consumed: 0, model: [], stream: [] };
  let offset = 0;
  let status = 0;
  do {
    const size = step === 0 ? bytes.length - offset : Math.min(step, bytes.length - offset);
    status = wasm.feed(at + offset, size);
    if (statuses[status] === "found") {
      const index = wasm.found();
      const raw = bytes.subarray(wasm.start(index), wasm.end(index)).toString("latin1");
      const value = bytesAt(wasm.value(index), wasm.length(index)).toString();
      const flags = wasm.flags(index);
      const kind = kinds[wasm.kind(index)] ?? "absent";
      (index === 0 ? result.model : result.stream).push({
        kind,
        value,
        raw,
        truncated: (flags & 1) !== 0,
        malformed: (flags & 2) !== 0,
      });
      wasm.resume();
      offset = wasm.consumed();
      continue;
    }
    offset += size;
  } while (offset < bytes.length && statuses[status] !== "invalid" && statuses[status] !== "limit");
  result.status = statuses[status] === "found" ? "need-more" : (statuses[status] ?? "invalid");
  if (statuses[status] === "found") {
    wasm.resume();
    result.status = statuses[wasm.feed(at, 0)] ?? "invalid";
  }
  result.consumed = wasm.consumed();
  return result;
}

const steps = [1, 2, 3, 7, 16, 64];

function scanEverySplit(body: Buffer | string): Scan {
  const whole = scan(body);
  for (const step of steps) expect(scan(body, step)).toEqual(whole);
  return whole;
}

function models(body: Buffer | string): string[] {
  return scanEverySplit(body).model.map((found) => found.value);
}

describe("documents", () => {
  const found: [name: string, body: string, expected: string[]][] = [
    ["first", '{"model":"gpt-4o","messages":[]}', ["gpt-4o"]],
    [
      "last, as the Python client sends it",
      '{"messages":[{"role":"user","content":"hi"}],"model":"gpt-4o"}',
      ["gpt-4o"],
    ],
    ["white space everywhere", ' \r\n\t{ "model" \n : \t "a" , "x" : 1 } \n', ["a"]],
    ["byte order mark", '\ufeff{"model":"a"}', ["a"]],
    ["nested model is another key", '{"tools":[{"model":"no"}],"x":{"model":"no"},"model":"yes"}', ["yes"]],
    ["model as a value", '{"object":"model","model":"yes"}', ["yes"]],
    ["looks like a key inside a string", '{"messages":"\\",\\"model\\":\\"no\\"","model":"yes"}', ["yes"]],
    ["escaped backslash before a quote", '{"a":"\\\\","model":"yes","b":"\\\\\\""}', ["yes"]],
    ["escaped key", '{"\\u006d\\u006Fdel":"yes"}', ["yes"]],
    ["key with an escape that is no model", '{"model\\u0000":"no","model\\n":"no"}', []],
    ["key with half a surrogate is no model", '{"model\\ud800":"no"}', []],
    [
      "escapes in the value",
      '{"model":"a\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u4e2d\\ud83d\\ude00"}',
      ['a"\\/\b\f\n\r\té中😀'],
    ],
    ["raw UTF-8 in the value", '{"model":"é中😀"}', ["é中😀"]],
    [
      "duplicates in order, the last wins as in JSON.parse",
      '{"model":"a","model":"b","\\u006dodel":"c"}',
      ["a", "b", "c"],
    ],
    ["empty string", '{"model":""}', [""]],
    ["no model", '{"messages":[]}', []],
    ["empty object", "{}", []],
    ["scalars around", '{"a":-1.5e+9,"b":true,"c":null,"model":"m","d":0}', ["m"]],
    ["key longer than any wanted one", `{"${"k".repeat(100)}":1,"model":"m"}`, ["m"]],
  ];
  it.each(found)("finds model: %s", (_name, body, expected) => {
    expect(models(body)).toEqual(expected);
    expect(scan(body).status).toBe("complete");
  });

  it("reports the kind and the raw token, for rewriting", () => {
    const body = '{"stream": true, "model" : "gp\\u0074" , "stream":0}';
    const result = scanEverySplit(body);
    expect(result.model).toEqual([
      { kind: "string", value: "gpt", raw: '"gp\\u0074"', truncated: false, malformed: false },
    ]);
    expect(result.stream.map((found) => [found.kind, found.value, found.raw])).toEqual([
      ["literal", "true", "true"],
      ["number", "0", "0"],
    ]);
    for (const [body2, kind, raw] of [
      ['{"model":{"a":[1]}}', "object", '{"a":[1]}'],
      ['{"model":["x"] }', "array", '["x"]'],
      ['{"model":null}', "literal", "null"],
    ] as const) {
      expect(scanEverySplit(body2).model[0]).toMatchObject({ kind, raw });
    }
  });

  it("cuts a value at 256 bytes and says so", () => {
    expect(scanEverySplit(`{"model":"${"a".repeat(256)}"}`).model[0]).toMatchObject({
      value: "a".repeat(256),
      truncated: false,
    });
    expect(scanEverySplit(`{"model":"${"a".repeat(257)}"}`).model[0]).toMatchObject({
      value: "a".repeat(256),
      truncated: true,
    });
  });

  it("captures half a surrogate pair as U+FFFD and says so", () => {
    expect(scanEverySplit('{"model":"a\\ud800b"}').model[0]).toMatchObject({ value: "a\ufffdb", malformed: true });
    expect(scanEverySplit('{"model":"a\\udc00"}').model[0]).toMatchObject({ value: "a\ufffd", malformed: true });
    expect(scanEverySplit('{"model":"\\ud800\\ud83d\\ude00"}').model[0]).toMatchObject({
      value: "\ufffd😀",
      malformed: true,
    });
  });

  const invalid: [body: string, at: number][] = [
    ["[]", 0],
    ["null", 0],
    ['"model"', 0],
    ["{,}", 1],
    ['{"a"}', 4],
    ['{"a":}', 5],
    ['{"a":1,}', 7],
    ['{"a":1 "b":2}', 7],
    ['{"a":[}', 6],
    ['{"a":{]}', 6],
    ['{"a":1}x', 7],
    ['{"a":1}{', 7],
    ["{'model':1}", 1],
    ['{"model\n":1}', 7],
    ['{"model":"a\u0001"}', 11],
    ['{"model":"\\x"}', 11],
    ['{"model":"\\u00g0"}', 14],
    ['{"a":[1,/*"*/2]}', 8],
    ['{"a":[1,//"\n2]}', 8],
    ['{"a":[1 #"\n]}', 8],
    ['{"a":[\'b"\',1]}', 6],
    ['{"a":[\\"b"]}', 6],
    ["\ufeff\ufeff{}", 3],
    [" \ufeff{}", 1],
  ];
  it.each(invalid)("refuses %j at byte %i", (body, at) => {
    expect(scanEverySplit(body)).toMatchObject({ status: "invalid", consumed: at });
  });

  it("wants more for every proper prefix and never calls it complete", () => {
    const body = Buffer.from('{"messages":[{"content":"a\\"}{b"},[1,2]],"n":12,"model":"gpt","s":{"t":null}}');
    for (let size = 0; size < body.length; size++)
      expect(scanEverySplit(body.subarray(0, size)).status).toBe("need-more");
  });

  it("bounds the nesting", () => {
    const nested = (depth: number) => `{"a":${"[".repeat(depth)}${"]".repeat(depth)},"model":"m"}`;
    expect(models(nested(255))).toEqual(["m"]);
    expect(scanEverySplit(nested(256)).status).toBe("limit");
    expect(scanEverySplit(`{"a":${"[{".repeat(1_000_000)}`).status).toBe("limit");
  }, 60_000);
});

describe("differential against JSON.parse", () => {
  const object = fc
    .dictionary(
      fc.oneof(fc.constantFrom("model", "stream", "messages", "Model", "model "), fc.string({ unit: "binary" })),
      fc.oneof(
        fc.jsonValue({ maxDepth: 4 }),
        fc.string({ unit: "binary" }),
        fc.constantFrom("gpt-4o", '"', "\\", "model"),
      ),
    )
    .map((value) => JSON.stringify(value));

  it("finds what JSON.parse finds in every valid object", () => {
    fc.assert(
      fc.property(object, fc.constantFrom(undefined, 1, 2), (text, indent) => {
        const body = indent === undefined ? text : JSON.stringify(JSON.parse(text), null, indent);
        const parsed = JSON.parse(body) as Record<string, unknown>;
        const result = scanEverySplit(body);
        expect(result.status).toBe("complete");
        const model = Object.hasOwn(parsed, "model") ? parsed.model : undefined;
        expect(result.model.length).toBe(model === undefined ? 0 : 1);
        if (typeof model === "string" && Buffer.byteLength(model) <= 256 && model.isWellFormed()) {
          expect(result.model[0]?.value).toBe(model);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("never accepts fewer documents than JSON.parse, and never traps, on mutated input", () => {
    fc.assert(
      fc.property(
        object,
        fc.array(fc.tuple(fc.nat(), fc.constantFrom(...'{}[]",:\\u0e ')), { maxLength: 4 }),
        (text, edits) => {
          let body = text;
          for (const [where, char] of edits) {
            const at = where % (body.length + 1);
            body = body.slice(0, at) + char + body.slice(at + (where % 3 === 0 ? 1 : 0));
          }
          const result = scanEverySplit(body);
          let parsed: unknown;
          try {
            parsed = JSON.parse(Buffer.from(body).toString());
          } catch {
            return;
          }
          if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
            expect(result.status).toBe("invalid");
            return;
          }
          expect(result.status).toBe("complete");
          const model = (parsed as Record<string, unknown>).model;
          if (typeof model === "string" && model.isWellFormed() && Buffer.byteLength(model) <= 256)
            expect(result.model.at(-1)?.value).toBe(model);
        },
      ),
      { numRuns: 2000 },
    );
    expect(logged).toEqual([]);
  });

  it("takes any bytes without a trap", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const body = Buffer.concat([Buffer.from('{"'), bytes]);
        scanEverySplit(body);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("long documents", () => {
  const text = fc
    .array(fc.constantFrom("plain words ", '"', "\\", '\\"', "\\\\", "{[", "}]", "é中😀", "x".repeat(70), "\n"), {
      maxLength: 60,
    })
    .map((pieces) => pieces.join(""));
  const value = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      text,
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.constantFrom(true, false, null),
      fc.array(tie("value"), { maxLength: 6 }),
      fc.dictionary(fc.constantFrom("role", "model", 'q"', "content"), tie("value"), { maxKeys: 4 }),
    ),
  })).value;

  it("are read the same however they are cut, and as JSON.parse reads them", () => {
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 12 }),
        value,
        fc.constantFrom(0, 1),
        (messages, tools, indent) => {
          const body = Buffer.from(JSON.stringify({ messages, model: "m", tools, stream: true }, null, indent));
          const whole = scan(body);
          for (const step of [1, 2, 7, 61, 64, 200, 1024]) expect(scan(body, step)).toEqual(whole);
          expect(whole).toMatchObject({ status: "complete", consumed: body.length });
          expect(whole.model.map((found) => found.value)).toEqual(["m"]);
          expect(whole.stream.map((found) => found.raw)).toEqual(["true"]);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("with one byte changed are refused at the same byte however they are cut", () => {
    fc.assert(
      fc.property(value, fc.nat(), fc.constantFrom(..."\"\\{}[],:/#'x+ "), (messages, where, char) => {
        const body = Buffer.from(JSON.stringify({ messages: [messages, { a: [1e30, "b"] }], model: "m" }));
        body.write(char, where % body.length, "latin1");
        const whole = scan(body);
        for (const step of [1, 2, 7, 61, 64, 200]) expect(scan(body, step)).toEqual(whole);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("string-end", () => {
  /** Offset behind the closing quote, or -1. */
  function reference(bytes: Buffer): number {
    for (let at = 0; at < bytes.length; at++) {
      if (bytes[at] === 0x22) return at + 1;
      if (bytes[at] === 0x5c) at++;
    }
    return -1;
  }

  function skip(bytes: Buffer, shift: number, step: number, vectors: 0 | 1): number {
    const start = wasm.allocate(bytes.length + 16) + shift;
    // What stands in front of a window must not count.
    new Uint8Array(wasm.memory.buffer, start - shift, shift).fill(0x5c);
    new Uint8Array(wasm.memory.buffer, start, bytes.length).set(bytes);
    wasm.beginString();
    for (let at = 0; at < bytes.length; at += step) {
      const end = at + wasm.skipString(start + at, Math.min(step, bytes.length - at), vectors);
      if (wasm.stringClosed()) return end;
    }
    return -1;
  }

  const piece = fc.constantFrom(
    "\\",
    "\\\\",
    '\\"',
    '\\\\\\"',
    "\\n",
    "text ",
    "x".repeat(130),
    "é",
    "\\".repeat(63),
    "\\".repeat(64),
  );
  it("finds the closing quote that stands behind any escapes, at every alignment and cut", () => {
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 30 }),
        fc.constantFrom("", '"', '""', 'a"b"'),
        fc.nat(15),
        (pieces, end, shift) => {
          const bytes = Buffer.from(pieces.join("") + end + "z".repeat(70));
          const expected = reference(bytes);
          for (const step of [1, 2, 7, 64, 65, 200, bytes.length]) {
            expect(skip(bytes, shift, step, 1)).toBe(expected);
            expect(skip(bytes, shift, step, 0)).toBe(expected);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  it("finds it at every offset", () => {
    for (let size = 0; size < 2200; size += size < 300 ? 1 : 37) {
      for (const before of ["", '\\"', "\\\\", '\\\\\\"']) {
        const bytes = Buffer.from(`${before}${"x".repeat(size)}"${'"'.repeat(80)}`);
        expect(skip(bytes, size % 16, bytes.length, 1)).toBe(before.length + size + 1);
      }
    }
  });
});

describe("memory", () => {
  it("does not grow over a 10 MB document", () => {
    const body = Buffer.from(
      `{"messages":[${'{"role":"user","content":"lorem \\"ipsum\\" dolor\\n"},'.repeat(200_000)}0],"model":"m"}`,
    );
    scan(body);
    const before = wasm.memory.buffer.byteLength;
    expect(scan(body, 65536).model.map((found) => found.value)).toEqual(["m"]);
    expect(wasm.memory.buffer.byteLength).toBe(before);
  });
});
