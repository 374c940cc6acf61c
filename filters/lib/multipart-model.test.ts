import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { begin, put, read, statuses, wasm } from "../../test/lib/multipart-driver.ts";

/** Forms that Node encodes, and what Node's own parser reads in them; every body is also fed in pieces. */

/** What Node's parser says; undefined when it refuses. */
async function reference(contentType: string, body: Buffer): Promise<FormData | undefined> {
  try {
    return await new Response(body, { headers: { "content-type": contentType } }).formData();
  } catch {
    return undefined;
  }
}

async function encode(form: FormData): Promise<[contentType: string, body: Buffer]> {
  const response = new Response(form);
  return [response.headers.get("content-type") ?? "", Buffer.from(await response.arrayBuffer())];
}

const BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW";
const TYPE = `multipart/form-data; boundary=${BOUNDARY}`;
const field = (name: string, value: string) =>
  `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const CLOSE = `--${BOUNDARY}--\r\n`;
const withHeader = (header: string) => `--${BOUNDARY}\r\n${header}\r\n\r\nm\r\n${CLOSE}`;

const one = { status: "complete", count: 1, raw: "m", value: "m", truncated: false, malformed: false };

describe("forms", () => {
  it("finds model and stream around a file", () => {
    const audio = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n\r\n--\r\n\r\n`;
    for (const body of [
      field("model", "whisper-1") + audio + field("stream", "true") + CLOSE,
      audio + field("stream", "true") + field("model", "whisper-1") + CLOSE,
    ]) {
      expect(read(TYPE, body)).toEqual({
        status: "complete",
        consumed: body.length,
        count: 1,
        raw: "whisper-1",
        value: "whisper-1",
        truncated: false,
        malformed: false,
        stream: true,
      });
    }
  });

  it.each([
    ["no field", CLOSE, { status: "complete", count: 0, stream: "absent" }],
    ["no model", field("stream", "FALSE") + CLOSE, { status: "complete", count: 0, stream: false }],
    ["other stream", field("stream", "trueish") + CLOSE, { status: "complete", stream: "other" }],
    ["long stream", field("stream", "true".padEnd(9)) + CLOSE, { status: "complete", stream: "other" }],
    ["empty", field("model", "") + CLOSE, { status: "complete", count: 1, value: "" }],
    ["two", field("model", "a") + field("model", "b") + CLOSE, { status: "complete", count: 2, value: "b" }],
    [
      "a file called model",
      withHeader('Content-Disposition: form-data; name="model"; filename="m"'),
      { status: "complete", count: 0 },
    ],
    [
      "other names",
      field("Model", "m") + field("models", "m") + field("mode", "m") + CLOSE,
      { status: "complete", count: 0 },
    ],
    ["a blank in the value", field("model", " m\t") + CLOSE, { value: " m\t" }],
    ["line breaks in the value", field("model", "\r\n\r\n-") + CLOSE, { value: "\r\n\r\n-" }],
    ["256 bytes", field("model", "x".repeat(256)) + CLOSE, { value: "x".repeat(256), truncated: false }],
    [
      "257 bytes",
      field("model", "x".repeat(257)) + CLOSE,
      { value: "x".repeat(256), raw: "x".repeat(257), truncated: true },
    ],
    ["not UTF-8", Buffer.from(field("model", "\xff") + CLOSE, "latin1"), { malformed: true }],
    ["preamble and epilogue", `hello\r\n${field("model", "m")}${CLOSE}bye\r\n--`, one],
    ["padding", field("model", "m").replace("\r\n", " \t\r\n") + CLOSE.replace("\r\n", " \r\n"), one],
    ["no line break at the end", field("model", "m") + CLOSE.trimEnd(), one],
  ])("%s", (_what, body, expected) => {
    expect(read(TYPE, body)).toMatchObject(expected);
  });

  it.each([
    ["content-disposition:form-data;name=model"],
    ['CONTENT-DISPOSITION:  FORM-DATA ;  NAME="model" ; '],
    ['Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name="model"; x=1\r\nX-Other: '],
    ['Content-Disposition: form-data; name="model"\r\nContent-Transfer-Encoding: 8bit'],
    ['Content-Disposition: form-data; name="model"\r\nContent-Length: 1'],
  ])("takes %j", (header) => {
    expect(read(TYPE, withHeader(header))).toMatchObject(one);
  });

  it.each([
    ['Content-Disposition: form-data; name="model'],
    ["Content-Disposition: form-data; name="],
    ["Content-Disposition: form-data; name"],
    ["Content-Disposition: form-data; =model"],
    ['Content-Disposition: form-data; name="model" x'],
    ['Content-Disposition: form-data; name="model", x'],
    ['Content-Disposition: form-data; name="model"; name="x"'],
    ['Content-Disposition: form-data; name="x"\r\nContent-Disposition: form-data; name="model"'],
    ["Content-Disposition: form-data; name=\"x\"; name*=utf-8''model"],
    ['Content-Disposition: form-data; name*0="mo"; name*1="del"'],
    ['Content-Disposition: form-data; name="model"; filename=""'],
    ['Content-Disposition: form-data; name="model"; filename="a"; filename=""'],
    ["Content-Disposition: form-data; name=model; filename*=utf-8''a"],
    ["Content-Disposition: form-data; name=stream; filename=a; filename*=utf-8''"],
    ['Content-Disposition: attachment; name="model"'],
    ['Content-Disposition: form-data; name="mod\\el"'],
    ["Content-Disposition: form-data"],
    ["Content-Disposition:"],
    ['Content-Disposition : form-data; name="model"'],
    ['Content-Disposition: form-data;\r\n name="model"'],
    ['Content-Disposition: form-data; name="model"\r\nContent-Transfer-Encoding: base64'],
    ['Content-Disposition: form-data; name="model"\r\nno colon'],
    ['Content-Disposition: form-data; name="model"\nX: y'],
    ['Content-Disposition: form-data; name="model"\rXY: z'],
    ['Content-Disposition: form-data; name="model\0"'],
    ["Content-Type: text/plain"],
    [`Content-Disposition: form-data; name="model"\r\nX: ${"x".repeat(8192)}`],
  ])("refuses %j", (header) => {
    expect(read(TYPE, withHeader(header)).status).toBe("invalid");
  });

  it.each([
    ["without a header", `--${BOUNDARY}\r\n\r\nm\r\n${CLOSE}`],
    ["a longer boundary", `${field("a", "b")}--${BOUNDARY}x\r\n${CLOSE}`],
    ["a bare LF before a delimiter", field("a", "b").replace(/\r\n$/, "\n") + CLOSE],
    ["a bare CR before a delimiter", field("a", "b").replace(/\r\n$/, "\r") + CLOSE],
    ["a bare LF behind a delimiter", field("a", "b").replace("\r\n", "\n") + CLOSE],
    ["a delimiter right behind the header", `${field("a", "").slice(0, -2)}${CLOSE}`],
    ["half a close", `${field("a", "b")}--${BOUNDARY}-\r\n`],
    ["a close with something behind it", `${field("a", "b")}--${BOUNDARY}--x`],
    ["a delimiter behind the close", field("a", "b") + CLOSE + field("model", "m") + CLOSE],
    ["a delimiter behind a close that ends in LF", `${field("a", "b")}${CLOSE.trimEnd()}\n${field("model", "m")}`],
    ["a delimiter in the epilogue", `${field("a", "b")}${CLOSE}x\r\n${field("model", "m")}${CLOSE}`],
    ["a delimiter further behind the close", `${field("a", "b")}${CLOSE}x\n${field("model", "m")}`],
    ["a preamble that ends in LF", `x\n${field("a", "b")}${CLOSE}`],
  ])("refuses %s", (_what, body) => {
    expect(read(TYPE, body).status).toBe("invalid");
  });

  it("waits for the close", () => {
    const body = field("model", "m") + CLOSE;
    for (let size = 0; size < body.length; size++) {
      expect(read(TYPE, body.slice(0, size)).status).toBe(size < body.length - 2 ? "need-more" : "complete");
    }
    expect(read(TYPE, body.replaceAll(BOUNDARY, "x")).status).toBe("need-more");
  });

  it("keeps what it found of the fields so far", () => {
    expect(read(TYPE, `${field("model", "m")}--${BOUNDARY}\r\n`)).toMatchObject({ ...one, status: "need-more" });
  });

  it("starts anew", () => {
    read(TYPE, `${field("model", "x".repeat(300)) + field("stream", "true")}--`);
    expect(read(TYPE, CLOSE)).toMatchObject({ count: 0, raw: "", value: "", truncated: false, stream: "absent" });
    begin("text/plain");
    expect(wasm.feed(put(Buffer.from("x")), 1)).toBe(statuses.indexOf("invalid"));
  });
});

describe("boundaries", () => {
  it.each([
    "multipart/form-data; boundary=x",
    "Multipart/Form-Data;BOUNDARY=x",
    'multipart/form-data; charset=utf-8; boundary="x"; q=1',
    "multipart/form-data;; boundary=x;",
    'multipart/form-data; boundary="\'()+_,-./:=? x"',
    "multipart/form-data; boundary=----=_Part_1_2.3",
    `multipart/form-data; boundary=${"x".repeat(70)}`,
  ])("takes %s", (type) => expect(begin(type)).toBe(true));

  it.each([
    "",
    "multipart/form-data",
    "multipart/form-data; boundary",
    "multipart/form-data; boundary=",
    'multipart/form-data; boundary=""',
    'multipart/form-data; boundary="x',
    'multipart/form-data; boundary="x "',
    "multipart/form-data; boundary=x*",
    "multipart/form-data; boundary=a\x80",
    'multipart/form-data; boundary="a\\"b"',
    "multipart/form-data; boundary=x; boundary=y",
    "multipart/form-data; boundary=x; boundary*=utf-8''y",
    "multipart/form-data; boundary=x y",
    "multipart/form-data, boundary=x",
    "multipart/form-data boundary=x",
    "multipart/mixed; boundary=x",
    "multipart/form-datax; boundary=x",
    "; boundary=x",
    `multipart/form-data; boundary=${"x".repeat(71)}`,
    `multipart/form-data; boundary=${"x".repeat(300)}`,
  ])("refuses %j", (type) => expect(begin(Buffer.from(type, "latin1"))).toBe(false));
});

/** Content that looks like delimiters, and is none. */
function lookAlikes(boundary: string): fc.Arbitrary<Buffer> {
  const piece = fc.oneof(
    fc.constantFrom(
      "\r\n",
      "\r",
      "\n",
      "-",
      "--",
      "\r\n--",
      "\n--",
      "\r\n\r\n",
      'Content-Disposition: form-data; name="model"',
    ),
    fc.nat(boundary.length - 1).map((length) => `\r\n--${boundary.slice(0, length)}`),
    fc.nat(boundary.length - 1).map((length) => `--${boundary.slice(0, length)}`),
    fc.nat(40).map((length) => "-".repeat(length)),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
  );
  return fc
    .array(piece, { maxLength: 12 })
    .map((pieces) => pieces.join(""))
    .filter((text) => !text.includes(boundary))
    .map((text) => Buffer.from(text, "latin1"));
}

describe("against Node", () => {
  const name = fc.oneof(
    fc.constantFrom("model", "model", "stream", "file", "Model"),
    fc.string({ maxLength: 8 }).filter((s) => !s.endsWith("\\")),
  );

  it("reads what Node encodes", async () => {
    const value = fc.oneof(
      fc.string({ unit: "binary", maxLength: 300, size: "medium" }),
      fc.constantFrom("true", "false", "\r\n--"),
    );
    // Node's boundary begins like this.
    const content = fc.oneof(value, lookAlikes("----formdata-undici-0"));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(name, content, fc.string({ minLength: 1, maxLength: 6 })), { maxLength: 6 }),
        async (entries) => {
          const form = new FormData();
          for (const [key, part, file] of entries) {
            if (typeof part === "string") form.append(key, part);
            else form.append(key, new Blob([part]), file);
          }
          const [type, body] = await encode(form);
          const found = read(type, body);
          const models =
            (await reference(type, body))?.getAll("model").filter((entry) => typeof entry === "string") ?? [];
          expect(found).toMatchObject({ status: "complete", consumed: body.length, count: models.length });
          const last = models.at(-1);
          if (last === undefined) return;
          const bytes = Buffer.from(last);
          expect(found.raw).toBe(bytes.toString("latin1"));
          expect(found.value).toBe(bytes.subarray(0, 256).toString("latin1"));
          expect([found.truncated, found.malformed]).toEqual([bytes.length > 256, false]);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("reads any boundary, and files full of look-alikes", () => {
    const letters = [..."abcXYZ019'()+_,-./:=? "];
    const boundary = fc
      .oneof(
        fc.array(fc.constantFrom(...letters), { minLength: 1, maxLength: 70 }).map((all) => all.join("")),
        fc.array(fc.constantFrom("-", "a"), { minLength: 1, maxLength: 12 }).map((all) => all.join("")),
      )
      .filter((text) => !text.endsWith(" "));
    const forms = boundary.chain((text) =>
      fc.tuple(fc.constant(text), fc.array(fc.tuple(name, lookAlikes(text)), { maxLength: 5 }), lookAlikes(text)),
    );
    fc.assert(
      fc.property(forms, ([text, fields, preamble]) => {
        fc.pre(!/["\r\n]/.test(fields.map(([key]) => key).join("")));
        const parts = fields.flatMap(([key, value]) => [
          `--${text}\r\nContent-Disposition: form-data; name="${key}"\r\n\r\n`,
          value,
          "\r\n",
        ]);
        const before = preamble.length > 0 ? [preamble, "\r\n"] : [];
        const body = Buffer.concat([...before, ...parts, `--${text}--\r\n`].map((part) => Buffer.from(part)));
        const found = read(`multipart/form-data; boundary="${text}"`, body);
        const models = fields.filter(([key]) => key === "model").map(([, value]) => value.toString("latin1"));
        expect(found).toMatchObject({
          status: "complete",
          consumed: body.length,
          count: models.length,
          raw: models.at(-1) ?? "",
        });
      }),
      { numRuns: 2000 },
    );
  });

  it("never reads another model than Node does, whatever happened to the bytes", async () => {
    const sample = Buffer.from(
      `${field("a", "x")}--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\nContent-Type: audio/wav\r\n\r\nRI\r\nFF\r\n${field("model", "whisper-1")}${field("stream", "true")}${CLOSE}`,
    );
    const snippets = [
      '; filename=""',

      "\r\n",
      "\n",
      "\r",
      "--",
      ";",
      '"',
      "\\",
      "=",
      " ",
      "x",
      "\0",
      "*",
      ":",
      "name",
      'name="model"',
      "filename",
      `--${BOUNDARY}`,
      `\r\n--${BOUNDARY}\r\n`,
      field("model", "b"),
    ];
    const edit = fc.tuple(fc.nat(), fc.nat({ max: 4 }), fc.constantFrom("", ...snippets));
    let both = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
        let text = sample.toString("latin1");
        for (const [at, cut, snippet] of edits) {
          const place = at % (text.length + 1);
          text = text.slice(0, place) + snippet + text.slice(place + cut);
        }
        const body = Buffer.from(text, "latin1");
        const found = read(TYPE, body);
        if (found.status !== "complete") return;
        const form = await reference(TYPE, body);
        if (form === undefined) return;
        both++;
        const models = form.getAll("model").filter((entry) => typeof entry === "string");
        if (found.count === 0) expect(models).toEqual([]);
        if (found.count === 1) expect(models).toEqual([Buffer.from(found.raw, "latin1").toString()]);
      }),
      { numRuns: 3000 },
    );
    expect(both).toBeGreaterThan(100);
  });

  it("takes any bytes", () => {
    const piece = fc.constantFrom(
      `--${BOUNDARY}`,
      "\r\n",
      "\n",
      "\r",
      "--",
      "Content-Disposition:",
      ' form-data; name="model"',
      "x",
      "\0",
      '"',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => void read(TYPE, pieces.join(""))),
      { numRuns: 2000 },
    );
  });
});

describe("cost", () => {
  const random = Buffer.alloc(10_000_000);
  for (let i = 0, state = 1; i < random.length; i++) {
    state = (state * 48271) % 2147483647;
    random[i] = state >> 7;
  }
  const head = Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n`);
  const tail = Buffer.from(`\r\n${field("model", "whisper-1")}${CLOSE}`);

  it("takes no memory for 10 MB", () => {
    begin(TYPE);
    const body = Buffer.concat([head, random, tail]);
    const at = wasm.allocate(65536);
    const pages = wasm.memory.buffer.byteLength;
    let status = 0;
    for (let offset = 0; offset < body.length; offset += 65536) {
      const piece = body.subarray(offset, offset + 65536);
      new Uint8Array(wasm.memory.buffer, at, piece.length).set(piece);
      status = wasm.feed(at, piece.length);
    }
    expect(statuses[status]).toBe("complete");
    expect([wasm.count(), wasm.consumed()]).toEqual([1, body.length]);
    expect(wasm.memory.buffer.byteLength).toBe(pages);
  });

  it("is timed against looking at each byte", () => {
    const cases: [what: string, type: string, body: Buffer][] = [
      ["random bytes", TYPE, Buffer.concat([head, random, tail])],
      [
        "dashes, and a boundary of dashes",
        "multipart/form-data; boundary=---",
        Buffer.alloc(random.length, "-").fill("x", 0, 1),
      ],
      ["lines of dashes", TYPE, Buffer.concat([head, Buffer.alloc(random.length, "-\n--"), tail])],
    ];
    for (const [what, type, body] of cases) {
      const feed = fastest(() => {
        begin(type);
        const at = put(body);
        return () => wasm.feed(at, body.length);
      });
      const sum = fastest(() => {
        const at = put(body);
        return () => wasm.sum(at, body.length);
      });
      const rate = (ms: number) => `${(body.length / ms / 1e6).toFixed(2)} GB/s`;
      console.log(`multipart-model, 10 MB of ${what}: ${rate(feed)}, a sum of all bytes ${rate(sum)}`);
    }
  });

  function fastest(prepare: () => () => unknown): number {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 5; i++) {
      const run = prepare();
      const from = performance.now();
      run();
      best = Math.min(best, performance.now() - from);
    }
    return best;
  }
});
