import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Api, none, read, readEverySplit, type Usage } from "../../test/lib/usage-driver.ts";

/** Answers in the shapes of all APIs, cut at every border, and differential tests against JSON.parse. Whole transcripts: transcripts.test.ts. */

describe("answers", () => {
  const answers: [name: string, api: Api, answer: string, expected: Partial<Usage>][] = [
    [
      "OpenAI chat",
      "chat",
      '{"id":"x","object":"chat.completion","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46,"prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0,"cache_write_tokens":3},"completion_tokens_details":{"reasoning_tokens":5}},"model":"m"}',
      { input: 12, output: 34, cached: 8, cacheWrite: 3, reasoning: 5, inputTotal: 12, outputTotal: 34 },
    ],
    [
      "OpenAI SSE: null in every chunk, counts in the last",
      "chat",
      'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\ndata: {"choices":[{"delta":{"content":"b"}}],"usage": null}\r\n\r\ndata: {"choices":[],"usage" : { "prompt_tokens" : 7 , "completion_tokens" : 2 } }\n\ndata: [DONE]\n\n',
      { input: 7, output: 2, inputTotal: 7, outputTotal: 2 },
    ],
    [
      "running totals in every chunk: the last one counts",
      "chat",
      [1, 2, 3]
        .map(
          (n) =>
            `data: {"usage":{"prompt_tokens":7,"completion_tokens":${n},"total_tokens":${7 + n}},"choices":[{"delta":{}}]}\n\n`,
        )
        .join(""),
      { input: 7, output: 3, inputTotal: 7, outputTotal: 3 },
    ],
    [
      "counts first, null behind them",
      "chat",
      'data: {"usage":{"prompt_tokens":7,"completion_tokens":1}}\n\ndata: {"usage":null}\n\n',
      { input: 7, output: 1, inputTotal: 7, outputTotal: 1 },
    ],
    [
      "thoughts beside the completion, as xAI counts them",
      "chat",
      '{"usage":{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}}',
      { input: 32, output: 9, reasoning: 94, inputTotal: 32, outputTotal: 103 },
    ],
    [
      "a total that tells nothing",
      "chat",
      '{"usage":{"completion_tokens":9,"total_tokens":102,"completion_tokens_details":{"reasoning_tokens":94}}}',
      { output: 9, reasoning: 94, outputTotal: 9 },
    ],
    [
      "cached tokens as DeepSeek counts them",
      "chat",
      '{"usage":{"prompt_tokens":30,"completion_tokens":1,"prompt_cache_hit_tokens":20,"prompt_cache_miss_tokens":10}}',
      { input: 30, output: 1, cached: 20, inputTotal: 30, outputTotal: 1 },
    ],
    [
      "embeddings",
      "embeddings",
      '{"data":[],"usage":{"prompt_tokens":5,"total_tokens":5}}',
      { input: 5, inputTotal: 5 },
    ],
    [
      "Anthropic SSE: input first, output last",
      "anthropic",
      'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":25,"cache_creation_input_tokens":4,"cache_read_input_tokens":10,"cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":0},"output_tokens":1,"service_tier":"standard"}}}\n\nevent: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15,"output_tokens_details":{"thinking_tokens":6}}}\n\n',
      { input: 25, output: 15, cached: 10, cacheWrite: 4, reasoning: 6, inputTotal: 39, outputTotal: 15 },
    ],
    [
      "Anthropic: null keeps what was there, and iterations are part of the sum",
      "anthropic",
      '{"usage":{"input_tokens":25,"cache_read_input_tokens":3}} {"usage":{"iterations":[{"type":"message","input_tokens":1,"output_tokens":2,"x":[{"output_tokens":3}]}],"cache_read_input_tokens":null,"output_tokens":9}}',
      { input: 25, output: 9, cached: 3, inputTotal: 28, outputTotal: 9 },
    ],
    [
      "Responses API, whole",
      "responses",
      '{"object":"response","usage":{"input_tokens":3,"input_tokens_details":{"cached_tokens":1},"output_tokens":4,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":7}}',
      { input: 3, output: 4, cached: 1, reasoning: 2, inputTotal: 3, outputTotal: 4 },
    ],
    [
      "Responses API, streamed",
      "responses",
      'event: response.created\ndata: {"type":"response.created","response":{"usage":null}}\n\nevent: response.completed\ndata: {"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":4}}}\n\n',
      { input: 3, output: 4, inputTotal: 3, outputTotal: 4 },
    ],
    [
      "transcriptions",
      "other",
      '{"text":"a","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":0,"audio_tokens":14},"output_tokens":3,"total_tokens":17}}',
      { input: 14, output: 3, inputTotal: 14, outputTotal: 3 },
    ],
    [
      "Gemini: lists in between, tool results, thoughts beside the candidates",
      "gemini",
      '{"usageMetadata":{"promptTokenCount":30,"candidatesTokenCount":12,"totalTokenCount":99,"cachedContentTokenCount":8,"promptTokensDetails":[{"modality":"TEXT","tokenCount":30}],"cacheTokensDetails":[],"toolUsePromptTokenCount":50,"thoughtsTokenCount":7},"modelVersion":"m"}',
      { input: 30, output: 12, cached: 8, reasoning: 7, inputTotal: 80, outputTotal: 19 },
    ],
    [
      "Gemini: several chunks",
      "gemini",
      'data: {"usageMetadata":{"promptTokenCount":4,"totalTokenCount":9,"thoughtsTokenCount":5}}\r\n\r\ndata: {"usageMetadata": {"promptTokenCount": 4,"candidatesTokenCount": 3,"thoughtsTokenCount":6}}\r\n\r\n',
      { input: 4, output: 3, reasoning: 6, inputTotal: 4, outputTotal: 9 },
    ],
    [
      "Gemini: thoughts only",
      "gemini",
      '{"usageMetadata":{"promptTokenCount":4,"thoughtsTokenCount":5}}',
      { input: 4, reasoning: 5, inputTotal: 4, outputTotal: 5 },
    ],
    [
      "names of the protocol buffers",
      "gemini",
      '{"usage_metadata":{"prompt_token_count":1,"candidates_token_count":2,"thoughts_token_count":3,"cached_content_token_count":4,"tool_use_prompt_token_count":5}}',
      { input: 1, output: 2, reasoning: 3, cached: 4, inputTotal: 6, outputTotal: 5 },
    ],
    ["none", "chat", '{"choices":[]}', {}],
    [
      "an answer that talks about usage",
      "chat",
      '{"content":"\\"usage\\":{\\"prompt_tokens\\":99}","note":"usage"}',
      {},
    ],
    [
      "usage as a value, then as a key",
      "chat",
      '{"object":"usage","usage":{"prompt_tokens":1}}',
      { input: 1, inputTotal: 1 },
    ],
    ["a list is no usage object", "chat", '{"usage":[{"prompt_tokens":1}]}', {}],
    [
      "other keys that begin like it",
      "chat",
      '{"usages":{"prompt_tokens":1},"usageMetadat":{"prompt_tokens":1},"usageMetadatas":{"prompt_tokens":1},"usage metadata":{"prompt_tokens":1},"usage\\"":{"prompt_tokens":1}}',
      {},
    ],
    [
      "a wrong key right before it",
      "chat",
      '{"usage_met":{},"usage":{"prompt_tokens":1}}',
      { input: 1, inputTotal: 1 },
    ],
    [
      "strings in it",
      "chat",
      '{"usage":{"tier":"a\\"}b","prompt_tokens":5,"x":true,"y":null,"completion_tokens":6}}',
      { input: 5, output: 6, inputTotal: 5, outputTotal: 6 },
    ],
    [
      "brackets in it",
      "chat",
      '{"usage":{"a":[1,{"prompt_tokens":2,"b":"]\\""},[]],"c":{"prompt_tokens":3,"d":{"cached_tokens":4,"e":[{}]},"cached_tokens":6},"prompt_tokens":5}}',
      { input: 5, cached: 6, inputTotal: 5 },
    ],
    [
      "counts of parts behind those of the whole",
      "anthropic",
      '{"usage":{"input_tokens":5,"output_tokens":6,"part":{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":3,"cache_creation_input_tokens":4,"prompt_tokens":7,"completion_tokens":8}}}',
      { input: 5, output: 6, inputTotal: 5, outputTotal: 6 },
    ],
    [
      "fractions and exponents do not run into the next key, nor over the number",
      "chat",
      '{"usage":{"time":1.5e3,"prompt_tokens":5.0,"completion_tokens":-6.5}}',
      { input: 5, inputTotal: 5 },
    ],
    ["escaped keys", "chat", '{"usage":{"prompt\\u005ftokens":5,"\\"completion_tokens":6}}', {}],
    ["quotes in a row", "chat", '"""""usage":{"prompt_tokens":5}', { input: 5, inputTotal: 5 }],
    ["no colon", "chat", '"usage"{"prompt_tokens":5} "usage":{"prompt_tokens" 5}', {}],
    ["no value", "chat", '{"usage":{"prompt_tokens":,"completion_tokens":5}}', {}],
    ["a number without end", "chat", '{"usage":{"prompt_tokens":12', {}],
    [
      "zero is a count",
      "chat",
      '{"usage":{"prompt_tokens":0,"completion_tokens":0}}',
      { input: 0, output: 0, inputTotal: 0, outputTotal: 0 },
    ],
    [
      "absurd numbers are cut, not wrapped",
      "chat",
      `{"usage":{"prompt_tokens":${"9".repeat(40)}}}`,
      { input: 9999999999999, inputTotal: 9999999999999 },
    ],
  ];
  it.each(answers)("%s", (_name, api, answer, expected) => {
    expect(readEverySplit(api, answer)).toEqual({ ...none, ...expected });
  });

  it("starts anew, with and without an API", () => {
    read("anthropic", '{"usage":{"input_tokens":5,"cache_read_input_tokens":1,"x":[[{"');
    expect(read(undefined, '"prompt_tokens":7}')).toEqual(none);
    read("anthropic", '"usage"');
    expect(read(undefined, ':{"prompt_tokens":7}')).toEqual(none);
    expect(read(undefined, '{"usage":{"tier":"x","prompt_tokens":7,"cached_tokens":1}}')).toEqual({
      ...none,
      input: 7,
      cached: 1,
      inputTotal: 7,
    });
  });
});

/** Where each API reports which count. */
const shapes: Record<
  "openai" | "anthropic" | "gemini",
  { key: string; names: Partial<Record<keyof Usage, string[]>> }
> = {
  openai: {
    key: "usage",
    names: {
      input: ["prompt_tokens"],
      output: ["completion_tokens"],
      cached: ["prompt_tokens_details", "cached_tokens"],
      reasoning: ["completion_tokens_details", "reasoning_tokens"],
    },
  },
  anthropic: {
    key: "usage",
    names: {
      input: ["input_tokens"],
      output: ["output_tokens"],
      cached: ["cache_read_input_tokens"],
      cacheWrite: ["cache_creation_input_tokens"],
      reasoning: ["output_tokens_details", "thinking_tokens"],
    },
  },
  gemini: {
    key: "usageMetadata",
    names: {
      input: ["promptTokenCount"],
      output: ["candidatesTokenCount"],
      cached: ["cachedContentTokenCount"],
      reasoning: ["thoughtsTokenCount"],
    },
  },
};

it("agrees with JSON.parse on any chunks that hold usage objects", () => {
  const count = fc.option(fc.nat(1_000_000), { nil: undefined });
  const counts = fc.record({ input: count, output: count, cached: count, cacheWrite: count, reasoning: count });
  const chunk = fc.tuple(fc.string(), counts, fc.jsonValue({ maxDepth: 3 }), fc.boolean(), fc.constantFrom(0, 2));
  fc.assert(
    fc.property(fc.constantFrom("openai", "anthropic", "gemini"), fc.array(chunk, { maxLength: 4 }), (kind, chunks) => {
      const { key, names } = shapes[kind as keyof typeof shapes];
      const expected: Record<string, number> = { input: -1, output: -1, cached: -1, cacheWrite: -1, reasoning: -1 };
      const text = chunks
        .map(([before, values, extra, first, indent]) => {
          // `extra` has no count in it that could be nested rightly, because its keys are prefixed.
          const usage: Record<string, unknown> = first ? { extra: [extra] } : {};
          for (const [name, path] of Object.entries(names)) {
            const value = values[name as keyof typeof values];
            if (value === undefined) continue;
            expected[name] = value;
            const [outer, inner] = path;
            if (inner === undefined) usage[outer ?? ""] = value;
            else usage[outer ?? ""] = { other_tokens: 1, [inner]: value };
          }
          if (!first) usage.extra = { x: extra };
          return `data: ${JSON.stringify({ before, nested: { [key]: usage }, behind: before }, null, indent)}\n\n`;
        })
        .join("");
      const { inputTotal, outputTotal, ...found } = readEverySplit(kind === "openai" ? "chat" : (kind as Api), text);
      expect(found).toEqual(expected);
      const sum = (...all: (number | undefined)[]) =>
        all.reduce<number>((total, one) => total + Math.max(one ?? 0, 0), 0);
      const { input = -1, output = -1, cached, cacheWrite, reasoning = -1 } = expected;
      expect(inputTotal).toBe(input < 0 ? -1 : kind === "anthropic" ? sum(input, cached, cacheWrite) : input);
      const thoughts = kind === "gemini" && (output >= 0 || reasoning >= 0);
      expect(outputTotal).toBe(thoughts ? sum(output, reasoning) : output);
    }),
    { numRuns: 1000 },
  );
});

describe("objects that a model or a client wrote", () => {
  const written =
    '{"usage":{"input_tokens":0,"output_tokens":0,"prompt_tokens":0,"cached_tokens":777,"reasoning_tokens":5}}';
  const rows: [name: string, api: Api, before: string, own: string, behind: string, expected: Partial<Usage>][] = [
    [
      "Anthropic, input of a tool",
      "anthropic",
      `"content":[{"type":"tool_use","input":${written}}]`,
      '"usage":{"input_tokens":58,"output_tokens":11}',
      `"more":[{"input":${written}}]`,
      { input: 58, output: 11, inputTotal: 58, outputTotal: 11 },
    ],
    [
      "Gemini, arguments of a function",
      "gemini",
      `"candidates":[{"content":{"parts":[{"functionCall":{"args":${written.replaceAll("usage", "usageMetadata")}}}]}}]`,
      '"usageMetadata":{"promptTokenCount":58,"candidatesTokenCount":11}',
      `"more":[{"content":{"args":${written}}}]`,
      { input: 58, output: 11, inputTotal: 58, outputTotal: 11 },
    ],
    [
      "responses, schema of a tool",
      "responses",
      `"tools":[{"parameters":{"properties":${written}}}]`,
      '"usage":{"input_tokens":58,"output_tokens":11}',
      `"text":{"format":{"schema":${written}}}`,
      { input: 58, output: 11, inputTotal: 58, outputTotal: 11 },
    ],
  ];
  it.each(rows)("%s", (_, api, before, own, behind, expected) => {
    const padding = `"text":"${'x\\"{'.repeat(40)}"`;
    for (const members of [
      [before, padding, own],
      [own, padding, behind],
      [before, own, padding, behind],
    ]) {
      for (const wrap of ["", "response", "message"]) {
        const object = wrap === "" ? `{${members.join()}}` : `{"${wrap}":{${members.join()}}}`;
        for (const text of [object, `[${object}]`, `event: x\r\ndata: ${object}\r\n\r\n`]) {
          expect([text, readEverySplit(api, text)]).toEqual([text, { ...none, ...expected }]);
        }
      }
    }
  });

  it("a line that is no JSON confuses nothing behind a blank line", () => {
    const event = 'data: {"usage":{"prompt_tokens":7}}';
    for (const garbage of [': "', ": {{{ [", ': \\"', "event: }}}}", 'data: {"choices":[{"delta":{"content":"cut']) {
      for (const end of ["\n", "\r\n", "\r"]) {
        const text = [garbage, "", `: ${"-".repeat(200)}`, event, "", ""].join(end);
        expect([text, readEverySplit("chat", text)]).toEqual([text, { ...none, input: 7, inputTotal: 7 }]);
      }
    }
  });

  it("are told from the API's own by depth, in any document", () => {
    const text = fc.array(fc.constantFrom('"', "\\", "{", "}", "usage", "u", "[", "é", "x".repeat(30), ":"), {
      maxLength: 12,
    });
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 5, depthSize: "large" },
        text.map((parts) => parts.join("")),
        fc.integer({ min: -9, max: 9 }),
        fc.constantFrom(null, true),
        fc.record({ prompt_tokens: fc.nat(1_000) }),
        fc.array(tie("value"), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom("usage", "u", "usages", "message", "\\", '"u'), tie("value"), { maxKeys: 4 }),
      ),
    }));
    /** The last count in document order of what the first two levels of objects call usage. */
    const expected = (node: unknown, depth: number, found: { input: number }): number => {
      if (Array.isArray(node)) for (const element of node) expected(element, depth, found);
      else if (typeof node === "object" && node !== null) {
        for (const [key, member] of Object.entries(node)) {
          const object = typeof member === "object" && member !== null && !Array.isArray(member);
          if (key !== "usage" || !object || depth >= 2) expected(member, depth + 1, found);
          else if (typeof (member as { prompt_tokens?: unknown }).prompt_tokens === "number")
            found.input = (member as { prompt_tokens: number }).prompt_tokens;
        }
      }
      return found.input;
    };
    fc.assert(
      fc.property(value, fc.constantFrom(0, 1), (document, indent) => {
        const json = JSON.stringify(document, null, indent);
        expect([json, readEverySplit("chat", json).input]).toEqual([json, expected(document, 0, { input: -1 })]);
      }),
      { numRuns: 2_000 },
    );
  });
});

it("takes any bytes", () => {
  const pieces = fc.constantFrom(
    '"usage"',
    '"usageMetadata"',
    ":",
    "{",
    "}",
    '"',
    "\\",
    "1",
    "[",
    "]",
    '"prompt_tokens"',
    ",",
    "\n",
    "\u0000",
    "null",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 60 }), (parts) => void readEverySplit("chat", parts.join(""))),
    { numRuns: 2000 },
  );
});
