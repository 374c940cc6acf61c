import { describe, expect, it } from "vitest";
import { LIMIT, toDocument, toStream } from "../../../test/lib/transcode-driver.ts";
import { choice, head, parsed, recordedAnswers, response } from "../../../test/lib/transcode-reference.ts";

/** Streams that are not turned into a document, and why. */
const refused: Record<string, string> = {
  "anthropic-messages-stream-error": "it ends with an error",
  "compatible-chat-stream-cumulative": "there is no [DONE]",
  "recorded-dynamo-chat-stream-broken": "it has an error",
  "recorded-dynamo-messages-stream-broken": "it has an error",
  "recorded-litellm-chat-stream-from-messages": "thinking_blocks are pieces of something",
};

describe.each(recordedAnswers)("$name", ({ name, api, streamed, body }) => {
  it("comes back from its other form", () => {
    if (streamed) {
      const document = toDocument(api, body, [7, 8]);
      if (name in refused) {
        expect(document).toBeUndefined();
        return;
      }
      const again = toStream(api, document ?? "");
      expect(parsed(toDocument(api, again ?? ""))).toEqual(parsed(document));
    } else {
      const stream = toStream(api, body);
      expect(parsed(toDocument(api, stream ?? ""))).toEqual(JSON.parse(body.toString()));
    }
  });
});

it("writes no more than the limit", () => {
  for (const { api, streamed, body } of recordedAnswers) {
    const made = (limit: number) =>
      streamed ? toDocument(api, body, [1, 1], limit) : toStream(api, body, true, limit);
    const size = made(LIMIT)?.length;
    if (size === undefined) continue;
    // The input of a tool is written as it was spelled before it is decoded.
    const room = streamed && api === "anthropic" ? 2 * size : size;
    expect(made(room)?.length).toBe(size);
    expect(made(size - 1)).toBeUndefined();
    expect(made(0)).toBeUndefined();
  }
});

it("does not begin with an answer that is larger than an entry can be, and makes none that is too large for a reply", () => {
  const of = (size: number) => JSON.stringify({ ...head, choices: [choice], pad: "x".repeat(size) });
  const around = of(0).length;
  expect(toStream("chat", of((1 << 22) - around))).toBeDefined();
  expect(toStream("chat", of((1 << 22) - around + 1))).toBeUndefined();
  expect(toDocument("chat", " ".repeat((1 << 22) + 1))).toBeUndefined();
  const item = { id: "i", type: "custom_tool_call", input: "x".repeat(1 << 21) };
  expect(toStream("responses", JSON.stringify({ ...response, output: [item] }), true, 2 ** 31 - 1)).toBeUndefined();
});
