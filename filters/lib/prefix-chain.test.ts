import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { body, list, object, scalar } from "../../test/lib/chat-request-arbitrary.ts";
import { bodies, schema } from "../../test/lib/chat-request-bodies.ts";
import { type Api, apis } from "../../test/lib/chat-request-driver.ts";
import { COMPLETE, type Options, put, type Read, read, wasm } from "../../test/lib/prefix-chain-driver.ts";
import { canonical, chainOf, parse } from "../../test/lib/prefix-chain-reference.ts";

/** Compared with chains built from the parsed document; every body is scanned in pieces and hashed in windows as well. */

const windows = [16, 17, 61, 300];

/** Reads `json` in every way and compares with the reference. */
function check(api: Api, json: string, options: Options = {}): Read {
  const whole = read(api, json, options);
  const expected = chainOf(canonical(api, json), options.salt ?? "", options.model ?? "");
  expect(whole.status).toBe(COMPLETE);
  expect({ hashes: whole.hashes, bytes: whole.bytes, tail: whole.tail }).toEqual(expected);
  const at = (blocks: number) => expected.hashes[Math.min(blocks, expected.hashes.length) - 1] ?? expected.tail;
  expect(whole.keys).toEqual([expected.tail, at(1), at(2), at(4), at(5000)]);
  for (const step of [1, 7]) expect(read(api, json, { ...options, step })).toEqual(whole);
  for (const window of windows) {
    const read_ = read(api, json, { ...options, window });
    expect(read_.windows).toBeGreaterThanOrEqual(0);
    expect({ ...read_, windows: 0 }).toEqual({ ...whole, windows: 0 });
  }
  return whole;
}

const ascii = (json: string) =>
  json.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
const same = (a: Read, b: Read) => expect([b.hashes, b.bytes, b.tail]).toEqual([a.hashes, a.bytes, a.tail]);
/** A text of `length` characters that has spaces. */
const prose = (length: number, word = "word") => `${word} `.repeat(length).slice(0, length);
const json = JSON.stringify;

describe("differential against the parsed document", () => {
  it.each(bodies)("%s", (_name, api, value) => {
    const compact = typeof value === "string" ? value : json(value);
    const whole = check(api, compact, { salt: "tenant", model: "gpt-4o" });
    if (!compact.startsWith("\ufeff")) same(whole, check(api, ascii(compact), { salt: "tenant", model: "gpt-4o" }));
    if (typeof value !== "string") same(whole, check(api, json(value, null, 2), { salt: "tenant", model: "gpt-4o" }));
  });

  it("generated bodies of all APIs", () => {
    fc.assert(
      fc.property(fc.constantFrom(...apis), body, (api, text) => {
        check(api, text);
      }),
      { numRuns: 800 },
    );
  });

  const word = fc.oneof(
    { weight: 6, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
    { weight: 3, arbitrary: fc.string({ minLength: 200, maxLength: 400 }) },
    { weight: 1, arbitrary: fc.nat(4000).map((length) => prose(length)) },
    { weight: 1, arbitrary: fc.nat(4000).map((length) => prose(length, 'a"\n\\é')) },
    { weight: 2, arbitrary: fc.integer({ min: 1000, max: 1060 }).map((length) => "A/".repeat(length / 2)) },
    { weight: 1, arbitrary: fc.constantFrom("\ud83d\ude00".repeat(100), "\ud83d", "\u4e2d".repeat(400), "é\ud800\n") },
  );
  /** JSON of a string with any character escaped or not. */
  const spelled = fc.tuple(word, fc.nat()).map(([text, seed]) => {
    let state = seed;
    const unit = (at: string) => {
      const code = at.charCodeAt(0).toString(16).padStart(4, "0");
      return `\\u${state & (1 << 20) ? code.toUpperCase() : code}`;
    };
    const respell = (character: string) => {
      state = (state * 1103515245 + 12345) >>> 0;
      if (character.startsWith("\\") || state >>> 29 > 1) return character;
      return character === "/" ? "\\/" : character.split("").map(unit).join("");
    };
    return json(text).replace(/\\u[0-9a-f]{4}|\\.|[^"\\]/gu, respell);
  });
  const part = object(
    ["type", fc.constantFrom('"text"', '"input_text"', '"image_url"', "5", "null")],
    ["text", spelled],
    ["text", fc.oneof(spelled, scalar)],
    ["cache_control", scalar],
    ["source", object(["data", spelled], ["data ", list(spelled)])],
    ["content", fc.oneof(spelled, list(object(["text", spelled])), scalar)],
    ["x", scalar],
  );
  const content = fc.oneof(spelled, list(fc.oneof(part, part, spelled, scalar), 4), scalar, object(["text", spelled]));
  const message = object(
    ["role", fc.constantFrom('"user"', '"us\\u0065r"', '"narrator"', '"a role of more than 16 bytes"', "7", "null")],
    ["role", fc.oneof(spelled, scalar)],
    ["content", content],
    ["content", content],
    ["name", fc.oneof(spelled, scalar)],
    ["tool_calls", list(object(["arguments", spelled]))],
    ["id", scalar],
    ["status", scalar],
    ["parts", content],
    ["y".repeat(64), scalar],
    ["y".repeat(65), scalar],
  );
  const document = (api: Api) =>
    object(
      ...[
        ["messages", api] as const,
        ["prompt", api] as const,
        ["input", api] as const,
        ["contents", api] as const,
      ].map(([key]): [string, fc.Arbitrary<string>] => [
        key,
        fc.oneof(list(fc.oneof(message, message, spelled), 5), spelled),
      ]),
      ["tools", fc.oneof(list(object(["name", spelled], ["parameters", fc.json()])), scalar)],
      ["functions", fc.oneof(list(scalar), fc.constant("null"), message)],
      ["system", content],
      ["instructions", content],
      ["systemInstruction", fc.oneof(object(["parts", content], ["role", scalar]), content)],
    );

  it("generated prompts, spelled in any way", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...apis).chain((api) => fc.tuple(fc.constant(api), document(api))),
        fc.string({ maxLength: 20 }),
        ([api, text], salt) => {
          check(api, text, { salt, model: salt });
        },
      ),
      { numRuns: 400 },
    );
  });

  it("an escape at every offset of a window, and half of one at the end", () => {
    for (const special of [
      '"',
      "\n",
      "\\",
      "é",
      "\ud83d\ude00",
      "\ud83d",
      "\ud83d\ud83d\ude00",
      "\ud83dx",
      "\ud83d\ue000",
      "\ude00",
      "/",
    ]) {
      for (let gap = 0; gap < 40; gap++) {
        const text = `${"x".repeat(gap)}${special.repeat(3)}y${special}`;
        const units = ascii(json({ messages: [{ role: "user", content: text, name: text }] }));
        check("chat", units.replaceAll("/", "\\/"));
      }
    }
  });

  it("the reference reads what JSON.parse reads", () => {
    const value = (node: ReturnType<typeof parse>): unknown =>
      node.kind === "object"
        ? Object.fromEntries([...node.members].map(([name, member]) => [name, value(member)]))
        : node.kind === "array"
          ? node.items.map(value)
          : JSON.parse(node.raw);
    fc.assert(
      fc.property(fc.oneof(body, fc.json()), (text) => {
        expect(value(parse(text))).toEqual(JSON.parse(text));
      }),
    );
  });
});

describe("what is one prompt", () => {
  const long = prose(3000);
  const messages = [
    { role: "system", content: `Be kind. ${long}` },
    { role: "user", content: `Ask.\n${long}é`, name: "n" },
    { role: "assistant", content: null, tool_calls: [{ id: "1", function: { name: "f", arguments: '{"a":1}' } }] },
    { role: "tool", tool_call_id: "1", content: [{ type: "text", text: "result" }] },
  ];
  const tools = [{ type: "function", function: { name: "f", parameters: schema } }];
  const base = read("chat", json({ model: "m", messages, tools }));
  const reordered = messages.map((message) => Object.fromEntries(Object.entries(message).reverse()));

  const alike: [what: string, json: string][] = [
    [
      "other settings",
      json({ temperature: 1, stream: true, messages, tools, max_tokens: 5, user: "u", metadata: { a: 1 }, seed: 7 }),
    ],
    ["members of the body in another order", json({ tools, messages })],
    ["members of messages in another order", json({ tools, messages: reordered })],
    ["white space", json({ messages, tools }, null, 4)],
    ["escapes", ascii(json({ messages, tools }).replaceAll("s", "\\u0073"))],
    ["duplicate keys", `{"tools":7,"messages":[{"role":"user","content":"z"}],${json({ tools, messages }).slice(1)}`],
    [
      "duplicate content",
      json({ tools, messages }).replace(
        '"role":"user"',
        '"content":[{"text":"x","a":1}],"name":1,"role":"tool","role":"user"',
      ),
    ],
    [
      "null members",
      json({
        tools,
        messages: messages.map((message) => ({ refusal: null, audio: null, ...message })),
        functions: null,
      }),
    ],
    [
      "content as parts",
      json({
        tools,
        messages: messages.map((message) =>
          typeof message.content === "string"
            ? { ...message, content: [{ type: "text", text: message.content }] }
            : message,
        ),
      }),
    ],
    [
      "cache marks and ids",
      json({
        tools,
        messages: messages.map((message) => ({ ...message, id: "x", status: "done", cache_control: {} })),
      }),
    ],
    ["no functions", json({ tools, messages, functions: [] })],
  ];
  it.each(alike)("alike: %s", (_what, other) => same(base, check("chat", other)));

  const change = (index: number, fields: object) => messages.map((m, i) => (i === index ? { ...m, ...fields } : m));
  const different: [what: string, json: string][] = [
    ["system prompt", json({ tools, messages: change(0, { content: `Be bold. ${long}` }) })],
    ["role", json({ tools, messages: change(0, { role: "developer" }) })],
    ["role without a number", json({ tools, messages: change(0, { role: "narrator" }) })],
    ["a name", json({ tools, messages: change(1, { name: "k" }) })],
    ["no tools", json({ messages })],
    ["another tool", json({ tools: [{ ...tools[0], type: "x" }], messages })],
    ["functions", json({ tools, functions: tools, messages })],
    ["arguments", json({ tools, messages: change(2, { tool_calls: [{ id: "1" }] }) })],
    ["the end of a text", json({ tools, messages: change(1, { content: `Ask.\n${long}e` }) })],
  ];
  it.each(different)("different from there on: %s", (_what, other) => {
    const found = check("chat", other);
    const [one, two] = [canonical("chat", json({ tools, messages })), canonical("chat", other)];
    let shared = 0;
    while (one[shared] === two[shared]) shared++;
    const blocks = Math.floor(shared / 256);
    expect(found.hashes.slice(0, blocks)).toEqual(base.hashes.slice(0, blocks));
    for (let i = blocks; i < base.hashes.length; i++) expect(found.hashes[i]).not.toBe(base.hashes[i]);
    expect(found.tail).not.toBe(base.tail);
  });

  it("salt and model differ from the first block on, and cannot be exchanged", () => {
    const of = (salt: string, model: string) => read("chat", json({ messages, tools }), { salt, model });
    const variants = [of("", ""), of("a", ""), of("", "a"), of("a", "b"), of("ab", ""), of("b", "a"), of("", "ab")];
    expect(new Set(variants.map(({ hashes }) => hashes[0])).size).toBe(variants.length);
    expect(new Set(variants.map(({ keys }) => keys[3])).size).toBe(variants.length);
    const short = variants.map((_, i) => read("chat", '{"messages":"x"}', { salt: String(i) }).keys[3]);
    expect(new Set(short).size).toBe(variants.length);
  });

  it("the same conversation by four APIs", () => {
    const talk = [
      { role: "user", content: long },
      { role: "assistant", content: "yes" },
    ];
    const chat = check("chat", json({ messages: [{ role: "system", content: "sys" }, ...talk] }));
    same(
      chat,
      check("anthropic", json({ system: [{ type: "text", text: "sys", cache_control: {} }], messages: talk })),
    );
    same(chat, check("anthropic", json({ messages: talk, system: "sys" })));
    same(chat, check("responses", json({ instructions: "sys", input: talk })));
    const contents = talk.map(({ role, content }) => ({ role, parts: [{ text: content }] }));
    same(chat, check("gemini", json({ contents, systemInstruction: { parts: [{ text: "sys" }] } })));
    same(check("chat", json({ messages: talk.slice(0, 1) })), check("responses", json({ input: long })));
    expect(check("completions", json({ prompt: long })).hashes).not.toEqual(
      check("responses", json({ input: long })).hashes,
    );
  });
});

describe("growing conversations", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 30 }),
    fc.nat(900).map((length) => prose(length)),
  );
  const message = fc.record({
    role: fc.constantFrom("user", "assistant", "tool", "x"),
    content: fc.oneof(text, fc.array(fc.record({ type: fc.constant("text"), text }))),
  });
  const isPrefix = (shorter: Read, longer: Read) => {
    expect(longer.hashes.slice(0, shorter.hashes.length)).toEqual(shorter.hashes);
    expect(longer.bytes).toBeGreaterThanOrEqual(shorter.bytes);
  };

  it("each chain begins with the one before it", () => {
    fc.assert(
      fc.property(
        fc.constantFrom<Api[]>("chat", "responses", "anthropic"),
        fc.array(message, { minLength: 2, maxLength: 12 }),
        (api, all) => {
          const key = api === "responses" ? "input" : "messages";
          for (let count = 1; count < all.length; count++) {
            isPrefix(
              read(api, json({ [key]: all.slice(0, count) })),
              read(api, json({ [key]: all.slice(0, count + 1) })),
            );
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it("a longer last message, prompt or list of tokens shares the blocks of the shorter", () => {
    fc.assert(
      fc.property(fc.nat(2000), fc.nat(2000), (length, more) => {
        const shorter = prose(length);
        const longer = prose(length + more);
        const as = (content: string) => json({ messages: [{ role: "user", name: "n", content }] });
        isPrefix(read("chat", as(shorter)), read("chat", as(longer)));
        const part = (content: string) =>
          json({ messages: [{ role: "user", content: [{ x: 1, type: "text", text: content }] }] });
        isPrefix(read("chat", part(shorter)), read("chat", part(longer)));
        isPrefix(read("completions", json({ prompt: shorter })), read("completions", json({ prompt: longer })));
        const tokens = (count: number) =>
          read("completions", json({ prompt: Array.from({ length: count }, (_, i) => i) }));
        const [few, many] = [tokens(length), tokens(length + more)];
        // All but the block with the bracket.
        expect(many.hashes.slice(0, Math.max(few.hashes.length - 1, 0))).toEqual(few.hashes.slice(0, -1));
      }),
      { numRuns: 200 },
    );
  });

  it("a cache mark that moves on does not break the prefix", () => {
    const user = (content: string, mark: boolean) => ({
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "1", content, ...(mark ? { cache_control: { type: "ephemeral" } } : {}) },
      ],
    });
    const first = read("anthropic", json({ messages: [user(prose(2000), true)] }));
    isPrefix(first, read("anthropic", json({ messages: [user(prose(2000), false), user("b", true)] })));
  });
});

describe("boundaries", () => {
  it("no two different prompts have the same canonical text", () => {
    // Pieces that could pass for one another if the boundaries were made of text.
    const piece = fc.constantFrom(
      "a",
      "b",
      "",
      '"',
      "user",
      ',"role":"user"',
      "\u00ff\u0041",
      "\u00fe",
      "\\",
      "\u0001",
    );
    const part = fc.oneof(
      piece,
      fc.record({ text: piece }),
      fc.record({ text: piece, x: piece }),
      fc.record({ x: piece }),
      fc.record({ text: piece, type: piece }),
      fc.integer({ min: 0, max: 2 }),
      fc.constant([]),
    );
    const message = fc.record(
      {
        role: fc.oneof(fc.constantFrom("user", "assistant"), piece),
        content: fc.oneof(piece, fc.array(part, { maxLength: 3 })),
      },
      { requiredKeys: ["role"] },
    );
    const named = fc.oneof(
      message,
      message,
      fc.tuple(message, piece).map(([of, name]) => ({ ...of, x: name })),
    );
    const prompt = fc.record({
      messages: fc.array(named, { maxLength: 3 }),
      tools: fc.array(fc.oneof(piece, fc.constant([])), { maxLength: 2 }),
    });
    /** What a template is given. */
    const meaning = (of: { messages: object[]; tools: unknown[] }) =>
      json({ ...of, messages: of.messages.map((m) => normal(m as { content?: unknown })) });
    const normal = (m: { content?: unknown }) => {
      const parts =
        m.content === undefined ? [] : typeof m.content === "string" ? [m.content] : (m.content as unknown[]);
      return { ...m, content: undefined, parts: parts.map(plain) };
    };
    const plain = (p: unknown) => {
      if (typeof p !== "object" || p === null || Array.isArray(p)) return p;
      const { type, text, ...rest } = p as { type?: string; text?: string };
      if (text === undefined || Object.keys(rest).length > 0) return p;
      return type === undefined || type === "text" ? text : p;
    };
    const seen = new Map<string, string>();
    fc.assert(
      fc.property(prompt, (value) => {
        const { bytes, tail, hashes } = read("chat", json(value));
        const key = `${bytes} ${tail} ${hashes}`;
        const before = seen.get(key) ?? meaning(value);
        seen.set(key, before);
        expect(meaning(value)).toBe(before);
      }),
      { numRuns: 8000 },
    );
    expect(seen.size).toBeGreaterThan(1000);
  });
});

describe("data", () => {
  const image = (data: string) =>
    json({
      messages: [
        {
          role: "user",
          content: [
            { type: "image_url", image_url: { url: `data:image/png;base64,${data}` } },
            { type: "text", text: prose(600) },
          ],
        },
      ],
    });

  it("counts a few blocks, and all of it matters", () => {
    const data = Buffer.alloc(300_000, 5).toString("base64");
    const found = check("chat", image(data));
    expect(found.hashes.length).toBe(6);
    const other = check("chat", image(`${data.slice(0, -2)}Z=`));
    expect(other.hashes.slice(0, 4)).toEqual(found.hashes.slice(0, 4));
    expect(other.hashes[4]).not.toBe(found.hashes[4]);
    expect(check("chat", image(data.slice(0, -4))).hashes[4]).not.toBe(found.hashes[4]);
    same(found, check("chat", image(data).replaceAll("/", "\\/")));
  });

  it("text is none, wherever it stands", () => {
    const content = (text: string) => json({ messages: [{ role: "user", content: text }] });
    expect(check("chat", content("x".repeat(4000))).bytes).toBe(4004);
    expect(check("chat", content("\u4e2d".repeat(2000))).bytes).toBe(6004);
    const call = (text: string) => json({ messages: [{ role: "assistant", tool_calls: text }] });
    expect(check("chat", call(`${"x".repeat(1023)} ${"x".repeat(3000)}`)).bytes).toBe(4024 + 14);
    expect(check("chat", call(`${"x".repeat(1024)} ${"x".repeat(3000)}`)).bytes).toBe(1024 + 9 + 14);
    expect(check("chat", call("\u4e2d".repeat(2000))).bytes).toBe(6000 + 14);
    // The first and the last character of data, and those beside them; shown at once and byte by byte.
    for (const [character, size] of [
      ["!", 1033],
      ["~", 1033],
      [" ", 2024],
      ["\u007f", 2024],
    ] as const) {
      expect(check("chat", call(`${"x".repeat(1000)}${character}${"x".repeat(1023)}`)).bytes).toBe(size + 14);
    }
  });
});

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
