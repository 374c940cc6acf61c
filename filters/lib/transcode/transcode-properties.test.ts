import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { documents, streamOf } from "../../../test/lib/transcode-arbitrary.ts";
import { toDocument, toStream, wasm } from "../../../test/lib/transcode-driver.ts";
import { parsed, recordedAnswers } from "../../../test/lib/transcode-reference.ts";

const apis = ["chat", "completions", "anthropic", "responses"] as const;
const spaces = fc.constantFrom(undefined, 1, "\t");
/** An entry of the longest line that clients take. */
const LINE = 65536;

describe.each(apis)("%s", (api) => {
  it("a document comes back from its stream", () => {
    fc.assert(
      fc.property(documents[api], spaces, fc.boolean(), (document, space, usage) => {
        const stream = toStream(api, JSON.stringify(document, null, space), usage);
        const known: [number, number] = [5, 6];
        const back = toDocument(api, stream ?? "", known);
        const expected = JSON.parse(JSON.stringify(document)) as { usage?: unknown };
        if (!usage && (api === "chat" || api === "completions"))
          expected.usage = { prompt_tokens: 5, completion_tokens: 6, total_tokens: 11 };
        return isDeepStrictEqual(parsed(back), expected);
      }),
      { numRuns: 150 },
    );
  });

  it("a document is put together from any stream of it", () => {
    fc.assert(
      fc.property(documents[api], fc.array(fc.nat(9), { minLength: 1, maxLength: 5 }), (document, sizes) => {
        return isDeepStrictEqual(
          parsed(toDocument(api, streamOf(api, document, sizes))),
          JSON.parse(JSON.stringify(document)),
        );
      }),
      { numRuns: 150 },
    );
  });

  it("texts of any length come in lines that clients take, cut where they can be read alone", () => {
    const member = { chat: "content", completions: "text", anthropic: "text", responses: "delta" }[api];
    const unit = fc.constantFrom(
      "\ud83d\ude00",
      "\u00e9",
      "\u6771",
      "a",
      '"',
      "\\",
      "\u0001",
      "\\u00e9",
      "\\ud83d\\ude00",
    );
    fc.assert(
      fc.property(fc.array(unit, { minLength: 1, maxLength: 5 }), fc.nat(11), (units, shift) => {
        const said = `"${"x".repeat(shift)}${units
          .map((one) => (one.length > 2 ? one : JSON.stringify(one).slice(1, -1)))
          .join("")
          .repeat(20_000)}"`;
        const body = {
          chat: `{"choices":[{"index":0,"message":{"content":${said}},"finish_reason":"stop"}]}`,
          completions: `{"choices":[{"index":0,"text":${said},"finish_reason":"stop"}]}`,
          anthropic: `{"type":"message","content":[{"type":"text","text":${said}},{"type":"tool_use","input":{"a":${said}}}],"stop_reason":"end_turn","usage":{"output_tokens":1}}`,
          responses: `{"status":"completed","output":[{"id":"i","type":"message","content":[{"type":"output_text","text":${said}}]}]}`,
        }[api];
        const stream = toStream(api, body)?.toString() ?? "";
        let whole = "";
        let input = "";
        for (const line of stream.split("\n").filter((one) => one.startsWith("data: {"))) {
          if (line.includes('"delta":') || api === "completions") expect(Buffer.byteLength(line)).toBeLessThan(LINE);
          const find = (one: unknown): void => {
            if (typeof one !== "object" || one === null) return;
            for (const [name, part] of Object.entries(one)) {
              if (name === "partial_json") input += String(part);
              else if (name === member && typeof part === "string") {
                expect(part.isWellFormed()).toBe(true);
                whole += part;
              } else if (name !== "response" && name !== "item" && name !== "part") find(part);
            }
          };
          const event = JSON.parse(line.slice(6)) as { type?: string };
          if (event.type !== "response.output_text.done") find(event);
        }
        expect(whole === JSON.parse(said)).toBe(true);
        if (api === "anthropic") expect((JSON.parse(input) as { a: string }).a === JSON.parse(said)).toBe(true);
      }),
      { numRuns: 20 },
    );
  });
});

/** What comes out of anything is JSON, in lines of its own. */
function sound(bytes: Buffer | undefined, stream: boolean): void {
  if (bytes === undefined) return;
  const text = bytes.toString();
  if (!stream) {
    JSON.parse(text);
    return;
  }
  for (const line of text.split(/[\r\n]/)) {
    if (line === "" || line === "data: [DONE]" || /^event: [a-z_.]+$/.test(line)) continue;
    expect(line.slice(0, 6)).toBe("data: ");
    JSON.parse(line.slice(6));
  }
}

it("whatever one byte is changed, left out or put in, the result is sound", () => {
  const inputs = recordedAnswers.filter(({ body }) => body.length < 6000);
  const bytes = Buffer.from('"\\{}[]:,\n\r 0nt\u00e9-eu');
  let made = 0;
  for (const { api, streamed, body } of inputs) {
    for (let at = 0, turn = 0; at < body.length; at += streamed ? 13 : 3, turn++) {
      const byte = bytes.subarray(turn % bytes.length, (turn % bytes.length) + 1);
      const behind = body.subarray(turn % 3 === 0 ? at : at + 1);
      const changed = Buffer.concat([body.subarray(0, at), turn % 3 === 2 ? Buffer.alloc(0) : byte, behind]);
      const result = streamed ? toDocument(api, changed, [1, 1]) : toStream(api, changed);
      if (result !== undefined) made++;
      sound(result, !streamed);
    }
  }
  expect(made).toBeGreaterThan(500);
});

it("whatever an answer is cut to, it is refused or sound", () => {
  for (const { api, streamed, body } of recordedAnswers) {
    for (let length = 0; length < body.length; length += streamed ? 41 : 2) {
      const cut = body.subarray(0, length);
      if (streamed) sound(toDocument(api, cut, [1, 1]), false);
      else expect(body.subarray(length).toString().trim() === "" || toStream(api, cut) === undefined).toBe(true);
    }
  }
});

it("is not misled by bytes of any kind, or by the wrong API", () => {
  const soup = fc.array(
    fc.constantFrom(...'{}[]",:\\n\r0 ', '"choices"', '"index":', "data: ", "\n\n", '"message"', "[DONE]", '"type":'),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(soup, fc.constantFrom(...apis), (parts, api) => {
      sound(toStream(api, parts.join("")), true);
      sound(toDocument(api, parts.join(""), [1, 1]), false);
    }),
    { numRuns: 1500 },
  );
  for (const { streamed, body } of recordedAnswers)
    for (const api of apis) sound(streamed ? toDocument(api, body, [1, 1]) : toStream(api, body), !streamed);
});

it("takes no more memory with time", () => {
  const big = JSON.stringify({
    choices: [{ index: 0, message: { content: "x\n".repeat(400_000) }, finish_reason: "stop" }],
    usage: { prompt_tokens: 1 },
  });
  const members = `{"choices":[${Array.from({ length: 100 }, (_, i) => `{"index":${i},"x":{}}`).join()}]}`;
  const run = () => {
    const stream = toStream("chat", big) ?? Buffer.alloc(0);
    expect(toDocument("chat", stream)?.length).toBeGreaterThan(big.length);
    expect(toStream("chat", members)).toBeUndefined();
    for (const { api, streamed, body } of recordedAnswers) {
      if (streamed) toDocument(api, body, [1, 1]);
      else toStream(api, body);
    }
  };
  run();
  const before = wasm.pages();
  for (let i = 0; i < 10; i++) run();
  wasm.release();
  run();
  expect(wasm.pages()).toBe(before);
});
