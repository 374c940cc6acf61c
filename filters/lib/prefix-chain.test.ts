import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { schema } from "../../test/lib/chat-request-bodies.ts";
import type { Api } from "../../test/lib/chat-request-driver.ts";
import { ascii, check, prose, same } from "../../test/lib/prefix-chain-check.ts";
import { type Read, read } from "../../test/lib/prefix-chain-driver.ts";
import { canonical } from "../../test/lib/prefix-chain-reference.ts";

/** The hashes of a prompt's blocks: what is one prompt, what differs, what is a prefix. */

const json = JSON.stringify;

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
