import { describe, expect, it } from "vitest";
import { type Api, LIMIT, toDocument, toStream, wasm } from "../../../test/lib/transcode-driver.ts";
import { choice, dataOf, head, message, parsed, response, usage } from "../../../test/lib/transcode-reference.ts";

describe("a document", () => {
  const cases: [string, Api, unknown][] = [
    ["of another API", "embeddings", { data: [] }],
    ["of Gemini", "gemini", { candidates: [] }],
    ["that is an error", "chat", { error: { message: "no" } }],
    ["that is another object", "chat", { ...head, object: "list", choices: [choice] }],
    ["without choices", "chat", { ...head, choices: [] }],
    ["with a choice that goes on", "chat", { ...head, choices: [{ ...choice, finish_reason: null }] }],
    ["with a choice twice", "chat", { ...head, choices: [choice, choice] }],
    ["with content in parts", "chat", { ...head, choices: [{ ...choice, message: { content: [{ text: "a" }] } }] }],
    ["with audio", "chat", { ...head, choices: [{ ...choice, message: { content: null, audio: { id: "a" } } }] }],
    [
      "with a call of a custom tool",
      "chat",
      { ...head, choices: [{ ...choice, message: { tool_calls: [{ id: "t", type: "custom", custom: {} }] } }] },
    ],
    ["with a message that is none", "chat", { ...head, choices: [{ ...choice, message: "hi" }] }],
    ["of messages, that is an error", "anthropic", { type: "error", error: { type: "overloaded_error" } }],
    ["of messages, that goes on", "anthropic", { ...message, stop_reason: null }],
    ["of messages, without usage", "anthropic", { ...message, usage: null }],
    [
      "of messages, with an input that is no object",
      "anthropic",
      { ...message, content: [{ type: "tool_use", id: "t", name: "n", input: [] }] },
    ],
    ["of responses, that has failed", "responses", { ...response, status: "failed" }],
    ["of responses, with an error", "responses", { ...response, error: { code: "x" } }],
    ["of responses, with an item without an id", "responses", { ...response, output: [{ type: "message" }] }],
    [
      "of responses, with an unknown part",
      "responses",
      { ...response, output: [{ type: "message", id: "i", content: [{ type: "audio", data: "" }] }] },
    ],
  ];
  it.each(cases)("%s is refused", (_name, api, document) => {
    expect(toStream(api, JSON.stringify(document))).toBeUndefined();
    expect(wasm.size()).toBe(0);
  });

  it.each([
    ["a member twice", '{"id":"a","id":"b","choices":[],"object":"chat.completion"}'],
    [
      "a choice's member twice",
      `{"choices":[{"index":0,"message":{"content":"a","content":"b"},"finish_reason":"stop"}]}`,
    ],
    ["an escape in a name", `{"choices":[{"index":0,"message":{"c\\u006fntent":"a"},"finish_reason":"stop"}]}`],
    ["a line end in a string", `{"choices":[{"index":0,"message":{"content":"a\ndata: b"},"finish_reason":"stop"}]}`],
    ["a wrong number", `{"created":01,"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}]}`],
    ["something behind it", `${JSON.stringify({ ...head, choices: [choice] })}{}`],
    ["no end", JSON.stringify({ ...head, choices: [choice] }).slice(0, -1)],
    ["nothing", ""],
    ["nesting", `{"choices":${JSON.stringify([choice])},"deep":${"[".repeat(200)}${"]".repeat(200)}}`],
    [
      "too many members",
      `{"choices":${JSON.stringify([choice])}${Array.from({ length: 80 }, (_, i) => `,"m${i}":0`).join("")}}`,
    ],
  ])("with %s is refused", (_name, document) => {
    expect(toStream("chat", document)).toBeUndefined();
  });

  it("of 128 choices passes, one of 129 does not", () => {
    const of = (count: number) =>
      JSON.stringify({ ...head, choices: Array.from({ length: count }, (_, index) => ({ ...choice, index })), usage });
    expect(parsed(toDocument("chat", toStream("chat", of(128)) ?? ""))).toEqual(JSON.parse(of(128)));
    expect(toStream("chat", of(129))).toBeUndefined();
  });

  it("keeps the spelling of numbers and strings", () => {
    const spelled = `{"id":"\\u0061\\/","object":"chat.completion","created":12345678901234567890,"model":"m","x":1.0e+1,
      "choices":[{"index":0,"message":{"role":"assistant","content":"\\ud83d\\ude00\\u00e9"},"finish_reason":"stop","seed":-0.0}],
      "usage":{"prompt_tokens":3, "cost":1E400}}`;
    const back = toDocument("chat", toStream("chat", spelled) ?? "")?.toString();
    for (const value of ['"\\u0061\\/"', "12345678901234567890", "1.0e+1", "-0.0", "1E400", '"\\ud83d\\ude00\\u00e9"'])
      expect(back).toContain(value);
  });

  it("has usage in its stream only when asked", () => {
    const document = JSON.stringify({ ...head, choices: [choice], usage });
    expect(dataOf(toStream("chat", document, false)).some((one) => "usage" in one)).toBe(false);
    const asked = dataOf(toStream("chat", document, true));
    expect(asked.map((one) => one.usage)).toEqual([...asked.slice(1).map(() => null), usage]);
    expect(asked.at(-1)).toMatchObject({ choices: [], id: "c", created: 1, model: "m" });
  });

  it("has logprobs once, and not in the first chunk", () => {
    const logprobs = { content: [{ token: "hi", logprob: -1, bytes: null, top_logprobs: [] }], refusal: null };
    const said = (content: string | null) =>
      dataOf(
        toStream("chat", JSON.stringify({ ...head, choices: [{ ...choice, logprobs, message: { content } }] })),
      ).map((one) => (one.choices as { logprobs?: unknown }[])[0]?.logprobs);
    expect(said("hi").slice(0, 3)).toEqual([null, logprobs, null]);
    expect(said(null).slice(0, 2)).toEqual([null, logprobs]);
  });

  it("has members of unknown tools, blocks and items in its stream as they are", () => {
    const result = {
      type: "web_search_tool_result",
      tool_use_id: "s",
      content: [{ url: "u", index: 5 }],
      text: "no delta",
    };
    const stream = dataOf(toStream("anthropic", JSON.stringify({ ...message, content: [result] })));
    expect(stream[1]).toEqual({ type: "content_block_start", index: 0, content_block: result });
    expect(stream.map((one) => one.type).filter((type) => type === "content_block_delta")).toEqual([]);

    const item = { id: "w", type: "web_search_call", status: "completed", action: { query: "q", input: "x" } };
    const searched = dataOf(toStream("responses", JSON.stringify({ ...response, output: [item] })));
    expect(searched[2]).toMatchObject({ output_index: 0, item: { ...item, status: "in_progress" } });
    expect(searched[3]).toMatchObject({ type: "response.output_item.done", output_index: 0, item });
  });

  it("of messages begins without output", () => {
    const content = [{ type: "text", text: "a" }];
    const stream = dataOf(toStream("anthropic", JSON.stringify({ ...message, container: { id: "k" }, content })));
    const before = { ...message, stop_reason: null, container: null, usage: { input_tokens: 1, output_tokens: 0 } };
    expect(stream[0]).toEqual({ type: "message_start", message: before });
    expect(stream.at(-2)).toEqual({
      type: "message_delta",
      delta: { stop_reason: "end_turn", stop_sequence: null, container: { id: "k" } },
      usage: { output_tokens: 2 },
    });
  });

  it("of responses begins without output, and its events are numbered", () => {
    const annotations = [{ type: "url_citation", url: "a" }, { type: "file_citation" }];
    const part = { type: "output_text", text: "a", annotations, logprobs: [] };
    const item = { id: "i", type: "message", role: "assistant", status: "completed", content: [part] };
    const stream = dataOf(toStream("responses", JSON.stringify({ ...response, output: [item] })));
    expect(stream.map(({ sequence_number }) => sequence_number)).toEqual([...stream.keys()]);
    expect(stream[0]?.response).toEqual({ ...response, status: "in_progress" });
    expect(stream[2]?.item).toEqual({ ...item, status: "in_progress", content: [] });
    expect(stream[3]?.part).toEqual({ ...part, text: "", annotations: [] });
    const place = { item_id: "i", output_index: 0, content_index: 0 };
    expect(stream.slice(4, 8)).toMatchObject([
      { type: "response.output_text.delta", ...place, delta: "a", logprobs: [] },
      { type: "response.output_text.annotation.added", ...place, annotation_index: 0, annotation: annotations[0] },
      { type: "response.output_text.annotation.added", ...place, annotation_index: 1, annotation: annotations[1] },
      { type: "response.output_text.done", ...place, text: "a", logprobs: [] },
    ]);
  });

  it("of more members than there is room for is refused", () => {
    const members = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`m${i}`, 1]));
    const of = (count: number) =>
      JSON.stringify({
        ...head,
        choices: Array.from({ length: count }, (_, index) => ({ ...choice, ...members, index })),
      });
    expect(toStream("chat", of(10))).toBeDefined();
    const large = Buffer.from(of(128));
    const at = wasm.allocate(large.length);
    const input = () => Buffer.from(wasm.memory.buffer, at, large.length);
    input().set(large);
    expect(wasm.toStream(0, at, large.length, true, LIMIT)).toBe(0);
    expect(input().equals(large)).toBe(true);
  });
});
