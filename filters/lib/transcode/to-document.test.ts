import { describe, expect, it } from "vitest";
import { toDocument } from "../../../test/lib/transcode-driver.ts";
import {
  block,
  chunk,
  chunks,
  delta,
  done,
  events,
  head,
  last,
  message,
  parsed,
  response,
  start,
  stop,
  usage,
} from "../../../test/lib/transcode-reference.ts";

describe("a stream", () => {
  const answer = (...data: unknown[]) => parsed(toDocument("chat", chunks(...data)));
  const first = chunk({ role: "assistant", content: "" });

  it("of pieces is one document", () => {
    const call = { index: 0, id: "t", type: "function", function: { name: "f", arguments: "" } };
    const whole = answer(
      first,
      chunk({ content: "a\ud83d" }),
      chunk({ content: "\ude00b", reasoning_content: "r" }, { logprobs: { content: [{ token: "x" }] } }),
      chunk({ tool_calls: [call] }, { logprobs: { content: [{ token: "y" }], refusal: null } }),
      chunk({ tool_calls: [{ index: 0, id: "t", function: { arguments: '{"a"' } }] }),
      chunk({ tool_calls: [{ index: 0, function: { arguments: ":1}" } }] }, {}, { obfuscation: "xx", usage: null }),
      done,
    );
    expect(whole).toEqual({
      ...head,
      choices: [
        {
          index: 0,
          message: {
            role: "assistant",
            content: "a\ud83d\ude00b",
            reasoning_content: "r",
            tool_calls: [{ id: "t", type: "function", function: { name: "f", arguments: '{"a":1}' } }],
          },
          logprobs: { content: [{ token: "x" }, { token: "y" }], refusal: null },
          finish_reason: "stop",
        },
      ],
      usage,
    });
  });

  it("has its choices and calls in their order", () => {
    const other = (index: number, content: string | undefined, reason: string | null = null) => ({
      ...head,
      object: "chat.completion.chunk",
      choices: [{ index, delta: { content }, finish_reason: reason }],
    });
    const whole = answer(other(2, "c"), other(0, "a"), other(2, "C", "stop"), other(1, "b", "length"), done);
    expect(whole).toMatchObject({
      choices: [
        { index: 0, message: { content: "a" }, finish_reason: "stop" },
        { index: 1, message: { content: "b" }, finish_reason: "length" },
        { index: 2, message: { content: "cC" }, finish_reason: "stop" },
      ],
    });
  });

  it("of which the first chunk says nothing, as Azure's", () => {
    const empty = {
      choices: [],
      created: 0,
      id: "",
      model: "",
      object: "",
      prompt_filter_results: [{ prompt_index: 0 }],
    };
    expect(answer(empty, first, chunk({ content: "x" }), done)).toMatchObject({
      ...head,
      prompt_filter_results: [{ prompt_index: 0 }],
    });
  });

  it("whose chunks have parts of one object, as Groq's", () => {
    const whole = answer(chunk({ content: "x" }, {}, { x_groq: { id: "q" } }), {
      ...done,
      x_groq: { id: "q", usage: 1 },
    });
    expect(whole).toMatchObject({ x_groq: { id: "q", usage: 1 } });
  });

  it("without usage gets it from the caller, or is refused", () => {
    expect(parsed(toDocument("chat", chunks(first, last), [11, 12]))).toMatchObject({
      usage: { prompt_tokens: 11, completion_tokens: 12, total_tokens: 23 },
    });
    expect(toDocument("chat", chunks(first, last))).toBeUndefined();
    const zeros = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
    expect(toDocument("chat", chunks(first, { ...last, usage: zeros }))).toBeUndefined();
    expect(parsed(toDocument("chat", chunks(first, { ...last, usage: zeros }), [1, 2]))).toMatchObject({
      usage: { prompt_tokens: 1 },
    });
  });

  it.each<[string, unknown[]]>([
    ["two values of what is no piece", [chunk({ mystery: "a" }), chunk({ mystery: "a" }), done]],
    ["two strings of a choice", [chunk({}, { mystery: "a" }), chunk({}, { mystery: "a" }), done]],
    ["two values of the answer", [chunk({}, {}, { provider: "a" }), chunk({}, {}, { provider: "b" }), done]],
    [
      "another name of a call",
      [
        chunk({ tool_calls: [{ index: 0, id: "t", function: { name: "f" } }] }),
        chunk({ tool_calls: [{ index: 0, function: { name: "g" } }] }),
        done,
      ],
    ],
    [
      "calls with one index",
      [
        chunk({ tool_calls: [{ index: 0, id: "t", function: { name: "f" } }] }),
        chunk({ tool_calls: [{ index: 0, id: "u", function: { name: "f" } }] }),
        done,
      ],
    ],
    ["a call without an index", [chunk({ tool_calls: [{ id: "t", function: { name: "f" } }] }), done]],
    ["a call of a custom tool", [chunk({ tool_calls: [{ index: 0, id: "t", custom: {} }] }), done]],
    ["a choice without an end", [chunk({ content: "x" }), { ...done, choices: [] }]],
    ["a choice without an index", [{ ...done, choices: [{ delta: {}, finish_reason: "stop" }] }]],
    ["an index that is too high", [{ ...done, choices: [{ index: 128, delta: {}, finish_reason: "stop" }] }]],
    ["whole messages", [chunk({}, { message: { content: "x" } }), done]],
    ["an error", [first, { error: { message: "no" } }, done]],
    ["a chunk of something else", [{ ...done, object: "chat.completion" }]],
    ["an audio", [chunk({ audio: { id: "a" } }), done]],
    ["no chunks", []],
  ])("with %s is refused", (_name, data) => {
    expect(toDocument("chat", chunks(...data))).toBeUndefined();
  });

  it("whose lines end in any way is read", () => {
    const stream = chunks(first, chunk({ content: "x" }), done);
    const expected = answer(first, chunk({ content: "x" }), done);
    const read = (text: string) => parsed(toDocument("chat", text));
    expect(read(stream.replaceAll("\n", "\r\n"))).toEqual(expected);
    expect(read(stream.replaceAll("\n", "\r"))).toEqual(expected);
    expect(read(`\ufeff${stream}`)).toEqual(expected);
    expect(read(`: hello\n\nevent: x\nid: 1\nretry: 2\ndatax: 1\n\n${stream}: bye\n\n`)).toEqual(expected);
    expect(read(stream.replaceAll("data: ", "data:"))).toEqual(expected);
    expect(read(stream.trimEnd())).toEqual(expected);
  });

  it("that is cut off, goes on behind its end, or has events of several lines is refused", () => {
    const stream = chunks(first, chunk({ content: "x" }), done);
    expect(toDocument("chat", stream.replace("data: [DONE]\n\n", ""))).toBeUndefined();
    expect(toDocument("chat", `${stream}${stream}`)).toBeUndefined();
    expect(toDocument("chat", stream.replace('"id"', '\ndata: "id"'))).toBeUndefined();
    expect(toDocument("chat", stream.replaceAll("\n", "\r\n").replace("\r\n\r\n", "\r\n"))).toBeUndefined();
    expect(toDocument("chat", stream.replace("data: [DONE]", "data: [DONE]x"))).toBeUndefined();
    expect(toDocument("chat", `data\n\n${stream}`)).toBeUndefined();
  });

  const whole = (...data: { type: string }[]) => parsed(toDocument("anthropic", events(start, ...data, ...stop)));

  it("of messages is put together", () => {
    const citation = { type: "char_location", cited_text: "c" };
    const tool = { type: "content_block_start", index: 1, content_block: { type: "tool_use", id: "t", name: "n" } };
    const input = (text: string) => ({
      type: "content_block_delta",
      index: 1,
      delta: { type: "input_json_delta", partial_json: text },
    });
    const made = whole(
      { type: "ping" },
      { ...block, content_block: { type: "text", text: "", citations: [] } } as { type: string },
      delta({ type: "text_delta", text: "a" }),
      delta({ type: "citations_delta", citation }),
      delta({ type: "text_delta", text: "b" }),
      delta({ type: "citations_delta", citation }),
      tool,
      input(""),
      input('{ "a": "\\ud8'),
      input('3d\\ude00", "b\\n": [1, 2'),
      input(".50] }"),
    );
    expect(made).toEqual({
      ...message,
      content: [
        { type: "text", text: "ab", citations: [citation, citation] },
        { type: "tool_use", id: "t", name: "n", input: { a: "\ud83d\ude00", "b\n": [1, 2.5] } },
      ],
    });
  });

  it.each<[string, { type: string }[]]>([
    ["an error", [{ type: "error" }]],
    ["an unknown event", [{ type: "news" }]],
    ["an unknown delta", [block, delta({ type: "new_delta", text: "x" })]],
    ["a delta of no block", [delta({ type: "text_delta", text: "x" })]],
    ["a block twice", [block, block]],
    ["two starts", [start]],
    ["blocks with a gap", [{ ...block, index: 1 } as { type: string }]],
    ["an input that is no JSON", [block, delta({ type: "input_json_delta", partial_json: '{"a":' })]],
    ["an input that is no object", [block, delta({ type: "input_json_delta", partial_json: "[]" })]],
    ["two inputs", [block, delta({ type: "input_json_delta", partial_json: "{}{}" })]],
    ["half a character in an input", [block, delta({ type: "input_json_delta", partial_json: '{"a":"\ud83d"}' })]],
  ])("of messages, with %s is refused", (_name, data) => {
    expect(whole(...data)).toBeUndefined();
  });

  it("of messages, without an end is refused", () => {
    expect(toDocument("anthropic", events(start, block, ...stop.slice(0, 2)))).toBeUndefined();
    expect(toDocument("anthropic", events(start, block, stop[2] as { type: string }))).toBeUndefined();
    expect(toDocument("anthropic", events(start, block, ...stop, block))).toBeUndefined();
  });

  it("of responses is its last event", () => {
    const created = { type: "response.created", response: { ...response, status: "in_progress" } };
    const completed = { type: "response.completed", response };
    const added = { type: "response.output_item.done", output_index: 0, item: {} };
    const read = (...data: { type: string }[]) => parsed(toDocument("responses", events(...data)));
    expect(read(created, completed)).toEqual(response);
    expect(read(created, { ...completed, type: "response.incomplete" })).toEqual(response);
    expect(parsed(toDocument("responses", `${events(created, completed)}data: [DONE]\n\n`))).toEqual(response);
    for (const wrong of [
      [created],
      [created, { ...completed, type: "response.failed" }],
      [created, { type: "error" }, completed],
      [created, completed, completed],
      [created, added, completed],
      [created, { ...completed, response: { ...response, output: null } }],
      [{ ...completed, response: 1 }],
    ]) {
      expect(read(...wrong)).toBeUndefined();
    }
  });
});
