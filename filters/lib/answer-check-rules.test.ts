import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { answers, verdictOf, wholeStreams } from "../../test/lib/answer-check-corpus.ts";
import {
  type Answer,
  type Api,
  begin,
  type Form,
  judge,
  judgePieces,
  type Verdict,
  wasm,
} from "../../test/lib/answer-check-driver.ts";

describe("an answer", () => {
  const event = (document: object) => `data: ${JSON.stringify(document)}\n\n`;
  const of = (api: Api, form: Form, body: string): Answer => ({ api, form, bytes: Buffer.from(body) });
  const done = "data: [DONE]\n\n";

  it("of some kinds can never be whole, and says so at once", () => {
    const known = (["chat", "completions", "responses", "anthropic", "gemini", "embeddings", "other"] as Api[]).map(
      (api) =>
        (["document", "events", "array"] as Form[]).map((form) => {
          const can = begin({ api, form });
          expect(wasm.hopeless() === 0).toBe(can);
          return can;
        }),
    );
    expect(known).toEqual([
      [true, true, false],
      [true, true, false],
      [true, true, false],
      [true, true, false],
      [true, true, true],
      [true, false, false],
      [false, false, false],
    ]);
    expect(judge(of("embeddings", "events", ""))).toBe("unknown");
  });

  it("that is empty, only a role, or only comments is truncated", () => {
    for (const api of ["chat", "completions", "responses", "anthropic", "gemini"] as Api[]) {
      for (const body of ["", "\n", ": keep-alive\n\n", "\r\n\r\n", "\ufeff", "id: 1\n\n"]) {
        expect([api, body, judge(of(api, "events", body))]).toEqual([api, body, "truncated"]);
      }
      expect(judge(of(api, "document", ""))).toBe("truncated");
    }
    const role = event({ choices: [{ index: 0, delta: { role: "assistant" }, finish_reason: null }] });
    expect(judge(of("chat", "events", role + done))).toBe("truncated");
    expect(judge(of("chat", "events", event({ choices: [] }) + done))).toBe("truncated");
    expect(judge(of("chat", "events", done))).toBe("truncated");
  });

  it("with a member twice is unknown: clients differ in which they take", () => {
    const twice: [Api, Form, string][] = [
      ["chat", "document", '{"choices":[{"message":{},"finish_reason":"stop"}],"choices":[]}'],
      ["chat", "document", '{"choices":[{"message":{},"finish_reason":null,"finish_reason":"stop"}]}'],
      ["chat", "document", '{"choices":[{"message":{},"message":{},"finish_reason":"stop"}]}'],
      ["chat", "document", '{"choices":[{"message":{},"finish_reason":"stop"}],"choices":null}'],
      ["chat", "events", `data: {"choices":[{"index":1,"index":0,"finish_reason":"stop"}]}\n\n${done}`],
      ["responses", "document", '{"status":"in_progress","status":"completed","output":[{}]}'],
      ["anthropic", "document", '{"content":[],"stop_reason":null,"stop_reason":"end_turn"}'],
      ["embeddings", "document", '{"data":[{"embedding":[],"embedding":[1]}]}'],
    ];
    for (const [api, form, body] of twice) expect([body, judge(of(api, form, body))]).toEqual([body, "unknown"]);
  });

  it("needs what its end is the end of", () => {
    const bare: [Api, string, Verdict][] = [
      ["chat", '{"choices":[{"finish_reason":"stop"}]}', "unknown"],
      ["chat", '{"choices":[{"message":null,"finish_reason":"stop"}]}', "unknown"],
      ["completions", '{"choices":[{"text":null,"finish_reason":"stop"}]}', "unknown"],
      ["responses", '{"status":"completed","output":[]}', "unknown"],
      ["responses", '{"status":"completed"}', "unknown"],
      [
        "responses",
        '{"status":"in_progress","output":[{}],"incomplete_details":{"reason":"max_output_tokens"}}',
        "truncated",
      ],
      ["anthropic", '{"stop_reason":"end_turn"}', "unknown"],
      ["embeddings", '{"data":[]}', "unknown"],
      ["embeddings", '{"data":[{"embedding":[1]},{"embedding":null}]}', "unknown"],
      ["gemini", '{"candidates":[]}', "unknown"],
      ["gemini", '{"usageMetadata":{}}', "unknown"],
      ["gemini", '{"promptFeedback":{"blockReason":"SAFETY"}}', "filtered"],
    ];
    for (const [api, body, verdict] of bare) expect([body, judge(of(api, "document", body))]).toEqual([body, verdict]);
  });

  it("ends for a reason that is known to the letter", () => {
    const reasons: [string, Verdict][] = [
      ["stop", "whole"],
      ["model_context_window_exceeded", "whole"],
      ["FINISH_REASON_UNSPECIFIED", "truncated"],
      ["content_filter*", "filtered"],
      [`content_filter: ${"x".repeat(100)}`, "filtered"],
    ];
    for (const word of [
      "sto",
      "stops",
      "Stop",
      " ",
      "stop ",
      "*",
      "stop 2tool_calls",
      "2stop",
      "FINISH_REASON_UNSPECIFIED ",
      "content_filte",
    ]) {
      reasons.push([word, "unknown"], [`${word} 2stop`, "unknown"]);
    }
    for (const [reason, verdict] of reasons) {
      const body = JSON.stringify({ choices: [{ message: {}, finish_reason: reason }] });
      expect([reason, judge(of("chat", "document", body))]).toEqual([reason, verdict]);
    }
  });

  it("has the names of its members however they are spelled", () => {
    expect(judge(of("chat", "document", '{"ch\\u006fices":[{"message":{},"finish\\u005freason":"st\\u006fp"}]}'))).toBe(
      "whole",
    );
    expect(judge(of("chat", "document", '{"choices":[{"message":{},"finish_reason":"stop"}],"\\u0065rror":{}}'))).toBe(
      "error",
    );
  });

  it("has at most 128 choices", () => {
    const choices = (count: number) =>
      Array.from({ length: count }, (_, index) => ({ index, message: {}, text: "", finish_reason: "stop" }));
    for (const api of ["chat", "completions"] as Api[]) {
      for (const [count, verdict] of [
        [128, "whole"],
        [129, "unknown"],
      ] as const) {
        expect(judge(of(api, "document", JSON.stringify({ choices: choices(count) })))).toBe(verdict);
        expect(judge(of(api, "events", event({ choices: choices(count) }) + done))).toBe(verdict);
      }
      for (const [i] of choices(128).entries()) {
        const open = choices(128).map((one, index) => (index === i ? { ...one, finish_reason: null } : one));
        expect(judge(of(api, "document", JSON.stringify({ choices: open })))).toBe("truncated");
        expect(judge(of(api, "events", event({ choices: open }) + done))).toBe("truncated");
      }
    }
    const data = Array.from({ length: 2048 }, () => ({ embedding: [0] }));
    expect(judge(of("embeddings", "document", JSON.stringify({ data })))).toBe("whole");
  });

  it("of Gemini whose reason stands in every event says nothing of its end", () => {
    const part = event({ candidates: [{ content: {}, finishReason: "STOP" }] });
    expect(judge(of("gemini", "events", part))).toBe("whole");
    expect(judge(of("gemini", "events", part + part))).toBe("unknown");
    expect(judge(of("gemini", "events", part + event({ usageMetadata: {} })))).toBe("whole");
    expect(judge(of("gemini", "events", event({ usageMetadata: {} })))).toBe("truncated");
  });

  it("that is too deep or not JSON is unknown, and hopeless from there on", () => {
    for (const body of [`{"x":${"[".repeat(300)}`, "<html>", "[]", "7", '{"a" 1}', '{"choices":[}']) {
      const answer = of("chat", "document", body);
      expect([body, judgePieces(answer, 1)]).toEqual([body, "unknown"]);
      expect(wasm.hopeless()).toBe(1);
    }
  });

  it("is judged by itself, whatever the object has seen before", () => {
    fc.assert(
      fc.property(fc.constantFrom(...answers), fc.constantFrom(...answers), fc.nat(), (first, second, cut) => {
        const want = judge(second);
        judge({ ...first, bytes: first.bytes.subarray(0, cut % first.bytes.length) });
        expect(judge(second)).toBe(want);
        wasm.exchange();
        judge({ ...second, bytes: second.bytes.subarray(0, cut % second.bytes.length) });
        wasm.exchange();
        expect(judge(first)).toBe(verdictOf(first.name));
      }),
      { numRuns: 200 },
    );
  });

  it("is hopeless only when no bytes could make it whole", () => {
    for (const answer of answers) {
      begin(answer);
      judgePieces(answer, 50);
      if (wasm.hopeless() !== 0) expect(["error", "unknown"]).toContain(verdictOf(answer.name));
      else expect([answer.name, verdictOf(answer.name)]).not.toEqual([answer.name, "error"]);
    }
  });

  it("takes no memory of its own", () => {
    const [answer] = wholeStreams;
    if (answer === undefined) throw new Error("no transcripts");
    judge(answer);
    const pages = wasm.pages();
    for (let i = 0; i < 2000; i++) judgePieces(answer, 300);
    expect(wasm.pages()).toBe(pages);
  });
});
