import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compare, text } from "../../test/lib/answer-check-corpus.ts";
import { type Api, judgeEveryCut, judgePieces, type Verdict } from "../../test/lib/answer-check-driver.ts";
import { expected } from "../../test/lib/answer-check-reference.ts";

describe("made-up answers", () => {
  const noise = fc.constantFrom(
    {},
    {},
    { error: null },
    { x: { choices: [{ index: 1, finish_reason: "stop" }], error: 7, candidates: [{ finishReason: "X" }] } },
  );
  const failure = fc.constantFrom(
    { error: { message: "m" } },
    { type: "error", error: {} },
    { error: false },
    { message: "no" },
  );
  const reason = fc.oneof(
    {
      weight: 9,
      arbitrary: fc.constantFrom<unknown>(
        null,
        "stop",
        "length",
        "tool_calls",
        "STOP",
        "MAX_TOKENS",
        "end_turn",
        "max_tokens",
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom<unknown>(
        "content_filter",
        "content_filter: SAFETY",
        "refusal",
        "pause_turn",
        "",
        "error",
        "abort",
        7,
        true,
        "SAFETY",
        "IMAGE_OTHER",
        {},
        "x".repeat(50),
      ),
    },
  );
  const index = fc.oneof(
    { weight: 9, arbitrary: fc.nat(2) },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(63, 64, 127, 128, -1, 0.5, "0", null) },
  );
  const refusal = fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom<unknown>(null, "") },
    { weight: 1, arbitrary: fc.constantFrom<unknown>("no", 7) },
  );
  const content = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 20 }),
    fc.constantFrom('"finish_reason":null}', "[DONE]", "\\"),
  );
  const message = fc.record({ content, refusal }, { requiredKeys: [] });
  const choice = fc.record(
    {
      index,
      finish_reason: reason,
      delta: message,
      message,
      text: content,
      error: fc.constantFrom(null, null, null, null, {}),
    },
    { requiredKeys: [] },
  );
  const candidate = fc.record(
    { index, finishReason: reason, content: fc.anything({ maxDepth: 2 }) },
    { requiredKeys: [] },
  );
  const oneIn = (weight: number, usual: fc.Arbitrary<unknown>, other: fc.Arbitrary<unknown>) =>
    fc.oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: other });
  const choices = oneIn(
    12,
    fc.array(oneIn(20, choice, fc.constant(7)), { maxLength: 3 }),
    fc.constantFrom(null, {}, undefined),
  );
  const item = fc.constantFrom<unknown>(
    { type: "reasoning" },
    { content: [{ type: "output_text", text: "refusal" }] },
    { content: [{ type: "refusal" }] },
    7,
  );
  const response = fc.record(
    {
      status: fc.constantFrom("completed", "completed", "incomplete", "failed", "in_progress", "length", 7),
      error: fc.constantFrom(null, null, null, {}),
      incomplete_details: fc.constantFrom<unknown>(
        null,
        null,
        { reason: "max_output_tokens" },
        { reason: "content_filter" },
        { reason: null },
        {},
      ),
      output: oneIn(9, fc.array(oneIn(9, fc.constant({ content: null }), item), { maxLength: 3 }), fc.constant(null)),
    },
    { requiredKeys: [] },
  );
  const embedding = fc.constantFrom<unknown>(
    { embedding: [1] },
    { embedding: [1] },
    { embedding: "AA==" },
    { embedding: [] },
    { embedding: "" },
    {},
    [1],
  );
  const documents: Record<string, fc.Arbitrary<object>> = {
    chat: fc.record({ choices }, { requiredKeys: [] }),
    completions: fc.record({ choices }, { requiredKeys: [] }),
    responses: response,
    embeddings: fc.record({ data: fc.array(embedding, { maxLength: 2 }) }, { requiredKeys: [] }),
    anthropic: fc.record(
      {
        type: fc.constantFrom("message", "message", "error"),
        stop_reason: reason,
        content: fc.constantFrom<unknown>([], [{}], null),
      },
      { requiredKeys: [] },
    ),
    gemini: fc.record(
      {
        candidates: fc.array(candidate, { maxLength: 3 }),
        usageMetadata: fc.constant({}),
        promptFeedback: fc.constantFrom({}, { blockReason: null }, { blockReason: "SAFETY" }),
      },
      { requiredKeys: [] },
    ),
  };
  const documentOf = (api: string) =>
    fc
      .tuple(
        noise,
        fc.oneof({ weight: 15, arbitrary: documents[api] ?? fc.constant({}) }, { weight: 1, arbitrary: failure }),
      )
      .map(([extra, document]) => ({ ...extra, ...document }));

  const type = fc.constantFrom(
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "ping",
    "new_event",
  );
  const streamed: Record<string, fc.Arbitrary<object>> = {
    chat: documents.chat as fc.Arbitrary<object>,
    completions: documents.completions as fc.Arbitrary<object>,
    gemini: documents.gemini as fc.Arbitrary<object>,
    anthropic: fc.record(
      { type, index: fc.nat(2), delta: fc.record({ stop_reason: reason }, { requiredKeys: [] }) },
      { requiredKeys: ["type"] },
    ),
    responses: fc.record(
      {
        type: fc.constantFrom(
          "response.created",
          "response.output_text.delta",
          "response.completed",
          "response.incomplete",
          "response.failed",
          "response.refusal.delta",
        ),
        response,
      },
      { requiredKeys: ["type"] },
    ),
  };
  /** Streams as they should be, which others are made of by changes. */
  const proper: Record<string, object[]> = {
    chat: [
      { choices: [{ index: 0, delta: { content: "a" } }, { index: 1 }] },
      {
        choices: [
          { index: 0, finish_reason: "stop" },
          { index: 1, finish_reason: "length" },
        ],
      },
    ],
    completions: [{ choices: [{ index: 0, text: "a" }] }, { choices: [{ index: 0, text: "", finish_reason: "stop" }] }],
    gemini: [{ candidates: [{ content: {} }] }, { candidates: [{ finishReason: "STOP" }], usageMetadata: {} }],
    anthropic: [
      { type: "message_start" },
      { type: "content_block_start", index: 0 },
      { type: "content_block_delta", index: 0, delta: {} },
      { type: "content_block_stop", index: 0 },
      { type: "message_delta", delta: { stop_reason: "end_turn" } },
      { type: "message_stop" },
    ],
    responses: [
      { type: "response.created", response: { status: "in_progress", error: null } },
      { type: "response.output_text.delta", delta: "a" },
      { type: "response.completed", response: { status: "completed", incomplete_details: null, output: [{}] } },
    ],
  };
  const lineEnd = fc.constantFrom("\n", "\n", "\n", "\r\n", "\r");
  const written = fc.record({
    before: fc.oneof(
      {
        weight: 30,
        arbitrary: fc.constantFrom(
          [],
          [": note"],
          ["event: message"],
          ["id: 7", "retry: 10"],
          ["event: error", "event: x"],
        ),
      },
      { weight: 1, arbitrary: fc.constantFrom(["event: error"], ["dat: x"]) },
    ),
    space: fc.constantFrom("", " "),
    instead: fc.oneof(
      { weight: 60, arbitrary: fc.constant(null) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          "data: {not json",
          "data: [DONE",
          "data:[]",
          "data: 7",
          ": nothing",
          "id: 1",
          "data: [DONE] ",
        ),
      },
    ),
    end: lineEnd,
  });
  const eventOf = (document: object) =>
    written.map(({ before, space, instead, end }) =>
      [...before, instead ?? `data:${space}${JSON.stringify(document)}`, "", ""].join(end),
    );

  it.each(Object.keys(documents) as Api[])("%s as documents", (api) => {
    const found = new Set<Verdict>();
    fc.assert(
      fc.property(
        documentOf(api),
        fc.constantFrom(0, 2),
        fc.integer({ min: 1, max: 40 }),
        fc.boolean(),
        (document, indent, step, allowLength) => {
          const answer = {
            api,
            form: "document",
            bytes: Buffer.from(JSON.stringify(document, null, indent)),
            allowLength,
          } as const;
          const got = judgePieces(answer, step);
          compare(answer, got);
          found.add(got);
          if (got === "whole") expect(judgeEveryCut(answer).indexOf("whole")).toBe(answer.bytes.length - 1);
        },
      ),
      { numRuns: 2000 },
    );
    expect(found.size).toBeGreaterThanOrEqual(3);
  });

  it.each(Object.keys(streamed) as Api[])("%s as events", (api) => {
    const found = new Set<Verdict>();
    const random = fc.oneof(
      { weight: 15, arbitrary: streamed[api] as fc.Arbitrary<object> },
      { weight: 1, arbitrary: failure },
    );
    const usual = proper[api] as object[];
    // Whole streams with some events changed, left out, or new.
    const list = fc
      .array(fc.tuple(fc.nat(usual.length), fc.constantFrom(0, 1), fc.option(random)), { maxLength: 2 })
      .map((changes) =>
        changes.reduce(
          (events, [at, count, event]) => events.toSpliced(at, count, ...(event === null ? [] : [event])),
          usual,
        ),
      );
    const body = fc
      .tuple(
        fc.constantFrom("", "", "\ufeff"),
        list,
        fc.constantFrom("", "data: [DONE]\n\n", "data:[DONE]\r\n\r\n", "data: [DONE]\n\ndata: [DONE]\n\n"),
        fc.constantFrom("", "", ": x\n", "\n", "data"),
      )
      .chain(([mark, events, done, tail]) =>
        fc.tuple(...events.map((event) => eventOf(event))).map((parts) => mark + parts.join("") + done + tail),
      );
    fc.assert(
      fc.property(
        body,
        fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constant(100_000)),
        fc.boolean(),
        (stream, step, allowLength) => {
          const answer = { api, form: "events", bytes: Buffer.from(stream), allowLength } as const;
          const got = judgePieces(answer, step);
          compare(answer, got);
          found.add(got);
          if (got !== "whole") return;
          for (const [i, cut] of judgeEveryCut(answer).entries()) {
            if (cut === "whole") expect(expected({ ...answer, bytes: answer.bytes.subarray(0, i + 1) })).toBe("whole");
          }
        },
      ),
      { numRuns: 2500 },
    );
    expect([...found].sort()).toEqual(["error", "filtered", "truncated", "unknown", "whole"]);
  });

  it("gemini as an array", () => {
    const found = new Set<Verdict>();
    const space = fc.constantFrom("", "\n", " ", "\r\n");
    const tail = fc.constantFrom("", "", "", "\n", "x", "[]", ",");
    const list = fc.array(fc.oneof(fc.constantFrom(...(proper.gemini as object[])), documentOf("gemini")), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(list, space, space, tail, fc.integer({ min: 1, max: 40 }), (objects, before, behind, rest, step) => {
        const all = objects.map((one) => JSON.stringify(one)).join(`${before},${behind}`);
        const answer = {
          api: "gemini",
          form: "array",
          bytes: Buffer.from(`${before}[${behind}${all}${before}]${behind}${rest}`),
        } as const;
        const got = judgePieces(answer, step);
        compare(answer, got);
        found.add(got);
        if (got === "whole") expect(judgeEveryCut(answer).indexOf("whole")).toBe(text(answer).lastIndexOf("]"));
      }),
      { numRuns: 1000 },
    );
    expect(found.has("whole")).toBe(true);
  });
});
