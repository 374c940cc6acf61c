import { describe, expect, it } from "vitest";
import { type ApiName, apiNames, cachedApis, streamingApis } from "./cache-apis.ts";
import { type Answer, CacheHost, document, events, open, say } from "./cache-driver.ts";
import { both, prompt, second } from "./cache-sharing.ts";
import type { Headers } from "./router-driver.ts";

/** What is the same question, and what is another one: every parameter of every API. */

const any = { cache: { temperature: "any", tools: true, choices: true } };

/** A value, another one, and what they mean for the answer. */
type Row = [member: string, one: unknown, two: unknown, expected?: "shared" | "bypass"];
const tool = (name: string) => ({ type: "function", function: { name, parameters: { type: "object" } } });
const ignored: Row[] = [
  ["user", "a", "b", "shared"],
  ["metadata", { user_id: "a" }, { user_id: "b" }, "shared"],
  ["safety_identifier", "a", "b", "shared"],
  ["prompt_cache_key", "a", "b", "shared"],
  ["prompt_cache_retention", "24h", "in_memory", "shared"],
  ["service_tier", "auto", "flex", "shared"],
];
const sampling: Row[] = [
  ["temperature", 0, 1],
  ["top_p", 0.1, 0.2],
  ["frequency_penalty", 0, 0.5],
  ["presence_penalty", 0, 0.5],
  ["seed", 1, 2],
  ["stop", "a", ["a"]],
  ["logit_bias", { "1": 2 }, { "1": 3 }],
  ["n", 1, 2],
  ["max_tokens", 1, 2],
  // Of model servers.
  ["top_k", 1, 2],
  ["min_p", 0.1, 0.2],
  ["repetition_penalty", 1, 1.5],
  ["guided_json", { type: "object" }, { type: "array" }],
  ["chat_template_kwargs", { enable_thinking: true }, { enable_thinking: false }],
  ["extra_body", { a: 1 }, { a: 2 }],
  ["anything", 1, 2],
];
const parameters: Record<ApiName, Row[]> = {
  chat: [
    ...ignored,
    ...sampling,
    ["model", "m", "n"],
    ["model", "m", "M"],
    ["model", "m", "m "],
    ["messages", [{ role: "user", content: "a" }], [{ role: "system", content: "a" }]],
    ["messages", [{ role: "user", content: "a" }], [{ role: "user", content: "a", name: "b" }]],
    ["messages", [{ role: "user", content: "a" }], [{ role: "user", content: [{ type: "text", text: "a" }] }]],
    [
      "messages",
      [{ role: "user", content: "ab" }],
      [
        { role: "user", content: "a" },
        { role: "user", content: "b" },
      ],
    ],
    ["messages", [{ role: "user", content: "é" }], [{ role: "user", content: "e\u0301" }]],
    [
      "messages",
      [
        { role: "system", content: "a" },
        { role: "user", content: "b" },
      ],
      [
        { role: "user", content: "b" },
        { role: "system", content: "a" },
      ],
    ],
    [
      "messages",
      [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } }] }],
      [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AAAB" } }] }],
    ],
    ["audio", { voice: "a" }, { voice: "b" }],
    ["function_call", "none", "auto"],
    ["functions", [{ name: "a" }], [{ name: "b" }]],
    ["logprobs", true, false],
    ["max_completion_tokens", 1, 2],
    ["modalities", ["text"], ["text", "audio"]],
    ["parallel_tool_calls", true, false],
    ["prediction", { type: "content", content: "a" }, { type: "content", content: "b" }],
    ["reasoning_effort", "low", "high"],
    ["response_format", { type: "text" }, { type: "json_object" }],
    ["store", true, false],
    ["stream_options", { include_usage: true }, { include_usage: false }],
    ["tool_choice", "none", "auto"],
    ["tools", [tool("a")], [tool("b")]],
    ["tools", [tool("a"), tool("b")], [tool("b"), tool("a")]],
    ["top_logprobs", 1, 2],
    ["verbosity", "low", "high"],
    ["web_search_options", null, {}, "bypass"],
  ],
  completions: [
    ...ignored,
    ...sampling,
    ["prompt", "a", "b"],
    ["prompt", "a", ["a"]],
    ["prompt", [1, 2], [12]],
    ["best_of", 1, 2],
    ["echo", true, false],
    ["logprobs", 1, 2],
    ["suffix", "a", "b"],
  ],
  responses: [
    ...ignored.map(([name, one, two]): Row => [name, one, two]),
    ...sampling,
    ["input", "a", "b"],
    ["input", "a", [{ role: "user", content: "a" }]],
    ["background", true, false],
    ["conversation", null, "conv_1", "bypass"],
    ["conversation", null, { id: "conv_1" }, "bypass"],
    ["include", ["reasoning.encrypted_content"], []],
    ["instructions", "a", "b"],
    ["max_output_tokens", 16, 17],
    ["max_tool_calls", 1, 2],
    ["parallel_tool_calls", true, false],
    ["previous_response_id", "a", "b"],
    ["prompt", { id: "a" }, { id: "b" }],
    ["reasoning", { effort: "low" }, { effort: "high" }],
    ["store", true, false],
    ["text", { format: { type: "text" } }, { format: { type: "json_object" } }],
    ["tool_choice", "none", "auto"],
    ["tools", [{ type: "function", name: "a" }], [{ type: "function", name: "b" }]],
    ["top_logprobs", 1, 2],
    ["truncation", "auto", "disabled"],
  ],
  embeddings: [
    ...ignored,
    ["input", "a", "b"],
    ["input", "a", ["a"]],
    ["input", [1, 2], [[1, 2]]],
    ["dimensions", 1, 2],
    ["encoding_format", "float", "base64"],
    ["input_type", "query", "passage"],
    ["truncate", "START", "END"],
  ],
  messages: [
    ...ignored,
    ["model", "m", "n"],
    ["max_tokens", 1, 2],
    ["messages", [{ role: "user", content: "a" }], [{ role: "user", content: [{ type: "text", text: "a" }] }]],
    ["system", "a", "b"],
    ["system", "a", [{ type: "text", text: "a" }]],
    ["system", [{ type: "text", text: "a" }], [{ type: "text", text: "a", cache_control: { type: "ephemeral" } }]],
    ["stop_sequences", ["a"], ["b"]],
    ["temperature", 0, 1],
    ["thinking", { type: "disabled" }, { type: "enabled", budget_tokens: 1024 }],
    ["tool_choice", { type: "auto" }, { type: "any" }],
    ["tools", [{ name: "a", input_schema: {} }], [{ name: "b", input_schema: {} }]],
    ["top_k", 1, 2],
    ["top_p", 0.1, 0.2],
    ["output_config", { effort: "low" }, { effort: "high" }],
    ["context_management", { edits: [] }, { edits: [{ type: "clear_tool_uses_20250919" }] }],
    ["container", null, "c", "bypass"],
    ["mcp_servers", null, [{ url: "u" }], "bypass"],
  ],
};

describe.each(apiNames)("a request of %s", (name) => {
  const api = cachedApis[name];
  const headers: Headers = [[":path", api.path]];
  const answers: [string, string] = [api.document("of the first"), api.document("of the next")];

  it("is another one with another value, or without it", async () => {
    const cache = await CacheHost.start(open(any));
    for (const [member, one, two, expected = "apart"] of parameters[name]) {
      let text = prompt();
      const body = (value: object) => ({ ...api.request("q"), x_case: text, ...value });
      const pair = (first: object, next: object) =>
        second(cache, { body: first, headers }, { body: next, headers }, answers);
      expect([member, pair(body({ [member]: one }), body({ [member]: two }))]).toEqual([member, expected]);
      text = prompt();
      const absent = pair(body({ [member]: one }), body({ [member]: undefined }));
      const required = api.request("q")[member] !== undefined;
      if (!required)
        expect([member, absent]).toEqual([
          member,
          one === null ? "shared" : expected === "shared" ? expected : "apart",
        ]);
      text = prompt();
      expect([member, pair(body({ [member]: one }), body({ [member]: one }))]).toEqual([member, "shared"]);
    }
    expect(cache.trapped).toBe(false);
  });

  it("counts everything where nothing is ignored", async () => {
    const cache = await CacheHost.start({ ignore: [], ...open(any) });
    for (const [member, one, two] of ignored) {
      const body = (value: unknown) => ({ ...api.request(prompt().replace(/\d+/, member)), [member]: value });
      expect([member, second(cache, { body: body(one), headers }, { body: body(two), headers }, answers)]).toEqual([
        member,
        "apart",
      ]);
    }
  });

  it("is the same however it is spelled", async () => {
    const cache = await CacheHost.start(open(any));
    const { model, ...rest } = api.request('A/é\ud83d\ude00 \\"');
    const members = Object.entries({ ...rest, top_p: 0.5, seed: 10 });
    const plain = JSON.stringify({ model, ...Object.fromEntries(members) });
    const escaped = JSON.stringify({ ...Object.fromEntries(members.reverse()), model }, null, "\t ")
      .replaceAll("A", "\\u0041")
      .replaceAll("/", "\\/")
      .replaceAll("é", "\\u00E9")
      .replaceAll("\ud83d\ude00", "\\uD83D\\uDE00")
      .replace("0.5", "5.00e-1")
      .replace("10", "1.0E+1")
      .replace('"model"', '"\\u006dodel"')
      .replace("{", '\r\n {"absent": null, ');
    expect(second(cache, { body: plain, headers }, { body: `${escaped} \n`, headers }, answers)).toBe("shared");
  });

  it("that names a member twice shares with nobody but itself", async () => {
    const cache = await CacheHost.start({ duplicateModel: "lastWins", ...open(any) });
    for (const [member, first, last] of [
      ["model", "x", "m"],
      ["model", "m", "m"],
      ["temperature", 1, 0],
      ["user", "a", "a"],
      ["n", 1, 1],
    ] as const) {
      const text = prompt();
      const base = JSON.stringify({ ...api.request(text), [member]: last });
      const twice = base.replace("{", `{${JSON.stringify(member)}:${JSON.stringify(first)},`);
      const outcome = second(cache, { body: base, headers }, { body: twice, headers }, answers);
      const isIgnored = member === "user" && name !== "responses";
      expect([member, outcome]).toEqual([member, isIgnored ? "shared" : "apart"]);
      if (outcome === "apart") expect(cache.call(twice, {}, headers)).toMatchObject({ cache: "hit", body: answers[1] });
    }
  });
});

describe("a stream and a document", () => {
  it.each(streamingApis)("of %s are two, and one that is no boolean is neither's poison", async (name) => {
    const api = cachedApis[name];
    const cache = await CacheHost.start();
    const headers: Headers = [[":path", api.path]];
    const stream: Answer = { type: "text/event-stream", pieces: api.stream("next") };
    const body = (value: unknown) => ({ ...api.request("q"), stream: value });
    expect(
      second(cache, { body: body(false), headers }, { body: body(true), headers }, [api.document("first"), stream]),
    ).toBe("apart");
    expect(
      second(cache, { body: { ...body(null), x: 1 }, headers }, { body: { ...body(false), x: 1 }, headers }, [
        api.document("a"),
        api.document("b"),
      ]),
    ).toBe("shared");
    // A server that takes it for true answers with events, and those are nobody's.
    for (const value of [1, "true", {}]) {
      cache.call({ ...body(value), x: 2 }, stream, headers);
      expect(cache.call({ ...body(false), x: 2 }, api.document("own"), headers)).toMatchObject({
        body: api.document("own"),
      });
    }
  });

  it("are told apart by what the whole body says of it, not by half of it", async () => {
    const cache = await CacheHost.start();
    const text = JSON.stringify(say("q"));
    const twice = (first: boolean, last: boolean) => text.replace("{", `{"stream":${first},"stream":${last},`);
    const stream: Answer = { type: "text/event-stream", pieces: events("next") };
    cache.call(text, document("first"));
    cache.call(text.replace("{", '{"stream":true,'), stream);
    // Whichever a server goes by, the client must not be told what it would not have got.
    for (const body of [twice(true, false), twice(false, true)]) {
      const got = cache.call(body, document("own"));
      expect(["miss", "bypass"]).toContain(got.cache);
    }
  });
});

describe("APIs", () => {
  it("share nothing, though the body is the same", async () => {
    const cache = await CacheHost.start();
    const body = { model: "m", input: "q", prompt: "q", messages: [{ role: "user", content: "q" }], max_tokens: 5 };
    const asked = apiNames.map((name) => {
      const api = cachedApis[name];
      return cache.call(body, api.document(name), [[":path", api.path]]);
    });
    expect(asked.map(({ cache: state }) => state)).toEqual(apiNames.map(() => "miss"));
    for (const name of apiNames) {
      const api = cachedApis[name];
      expect(cache.call(body, "{}", [[":path", api.path]])).toMatchObject({ cache: "hit", body: api.document(name) });
    }
  });

  it("of Gemini name their model in the path, and their form in it", async () => {
    const cache = await CacheHost.start();
    const body = { contents: [{ role: "user", parts: [{ text: "q" }] }] };
    const to = (model: string, method = "generateContent"): Headers => [[":path", `/v1beta/models/${model}:${method}`]];
    const answer = (text: string) =>
      JSON.stringify({
        candidates: [{ content: { parts: [{ text }], role: "model" }, finishReason: "STOP", index: 0 }],
      });
    const answers: [string, string] = [answer("first"), answer("next")];
    expect(second(cache, { body, headers: to("a") }, { body, headers: to("b") }, answers)).toBe("apart");
    expect(cache.call(body, answers[1], to("a"))).toMatchObject({ cache: "hit", body: answers[0] });
    expect(cache.call(body, { pieces: [`[${answers[1]}]`] }, to("a", "streamGenerateContent"))).toMatchObject({
      cache: "miss",
    });
    expect(cache.call(body, {}, to("a", "streamGenerateContent"))).toMatchObject({
      cache: "hit",
      body: `[${answers[1]}]`,
    });
  });

  it("that have no answers of text are none of the cache's", async () => {
    const cache = await CacheHost.start();
    for (const path of ["/v1/audio/speech", "/v1/images/generations"])
      for (let i = 0; i < 2; i++)
        expect(cache.call({ model: "m", input: "q" }, both[i], [[":path", path]])).toMatchObject({
          upstream: true,
          cache: "bypass",
        });
  });
});
