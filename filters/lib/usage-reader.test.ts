import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

/** Answers of real APIs, cut at every border, and a differential test against JSON.parse. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  reset(): void;
  feed(at: number, length: number): void;
  inputTokens(): number;
  outputTokens(): number;
  cachedTokens(): number;
  reasoningTokens(): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-usage-reader.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

type Usage = [input: number, output: number, cached: number, reasoning: number];

function read(answer: string, step = 0): Usage {
  const bytes = Buffer.from(answer);
  const at = wasm.allocate(bytes.length);
  new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
  wasm.reset();
  for (let offset = 0; offset < bytes.length; offset += step || bytes.length) {
    wasm.feed(at + offset, Math.min(step || bytes.length, bytes.length - offset));
  }
  return [wasm.inputTokens(), wasm.outputTokens(), wasm.cachedTokens(), wasm.reasoningTokens()];
}

function readEverySplit(answer: string): Usage {
  const whole = read(answer);
  for (const step of [1, 2, 3, 7, 16, 17, 33]) expect(read(answer, step)).toEqual(whole);
  return whole;
}

describe("answers", () => {
  const answers: [name: string, answer: string, expected: Usage][] = [
    [
      "OpenAI chat",
      '{"id":"x","object":"chat.completion","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46,"prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":5}},"model":"m"}',
      [12, 34, 8, 5],
    ],
    [
      "OpenAI SSE: null in every chunk, counts in the last",
      'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\ndata: {"choices":[{"delta":{"content":"b"}}],"usage": null}\r\n\r\ndata: {"choices":[],"usage" : { "prompt_tokens" : 7 , "completion_tokens" : 2 } }\n\ndata: [DONE]\n\n',
      [7, 2, -1, -1],
    ],
    [
      "Anthropic SSE: input first, output last",
      'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":25,"cache_read_input_tokens":10,"output_tokens":1}}}\n\nevent: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}\n\n',
      [25, 15, 10, -1],
    ],
    [
      "responses API",
      '{"object":"response","usage":{"input_tokens":3,"input_tokens_details":{"cached_tokens":1},"output_tokens":4}}',
      [3, 4, 1, -1],
    ],
    ["none", '{"choices":[]}', [-1, -1, -1, -1]],
    [
      "an answer that talks about usage",
      '{"content":"\\"usage\\":{\\"prompt_tokens\\":99}","note":"usage"}',
      [-1, -1, -1, -1],
    ],
    ["usage as a value, then as a key", '{"object":"usage","usage":{"prompt_tokens":1}}', [1, -1, -1, -1]],
    ["a list is no usage object", '{"usage":[{"prompt_tokens":1}]}', [-1, -1, -1, -1]],
    [
      "strings in it",
      '{"usage":{"tier":"a\\"}b","prompt_tokens":5,"x":true,"y":null,"completion_tokens":6}}',
      [5, 6, -1, -1],
    ],
    [
      "fractions and exponents do not run into the next key",
      '{"usage":{"time":1.5e3,"prompt_tokens":5}}',
      [5, -1, -1, -1],
    ],
    ["quotes in a row", '"""""usage":{"prompt_tokens":5}', [5, -1, -1, -1]],
    [
      "absurd numbers are cut, not wrapped",
      `{"usage":{"prompt_tokens":${"9".repeat(40)}}}`,
      [9999999999999, -1, -1, -1],
    ],
  ];
  it.each(answers)("%s", (_name, answer, expected) => {
    expect(readEverySplit(answer)).toEqual(expected);
  });
});

it("agrees with JSON.parse on any answer that holds a usage object", () => {
  const count = fc.option(fc.nat(1_000_000), { nil: undefined });
  const usage = fc.record({ prompt_tokens: count, completion_tokens: count, extra: fc.jsonValue({ maxDepth: 0 }) });
  fc.assert(
    fc.property(fc.string(), usage, fc.string({ unit: "binary" }), (before, counts, behind) => {
      const text = JSON.stringify({ before, nested: { usage: counts }, behind });
      const expected = (JSON.parse(text) as { nested: { usage: typeof counts } }).nested.usage;
      expect(readEverySplit(text).slice(0, 2)).toEqual([
        expected.prompt_tokens ?? -1,
        expected.completion_tokens ?? -1,
      ]);
    }),
  );
});

it("takes any bytes", () => {
  const pieces = fc.constantFrom('"usage"', ":", "{", "}", '"', "\\", "1", "[", '"prompt_tokens"', ",", "\n", "\u0000");
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 60 }), (parts) => void readEverySplit(parts.join(""))),
    { numRuns: 1000 },
  );
});
