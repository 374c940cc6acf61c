import { describe, expect, it } from "vitest";
import type { Stream } from "../host/index.ts";
import { LimitHost, outcome, told } from "./rate-limit-driver.ts";
import { call, limit, one, PROMPT, team } from "./rate-limit-requests.ts";

/** What a client sees of a budget of tokens, and what becomes of it at every end that a request can have. */

describe("a budget of tokens", () => {
  it("takes the estimate first, and what was used in the end; the next call sees it", async () => {
    const gateway = await LimitHost.start(one(limit(1_000)));
    const first = gateway.ask(call(200), team("a"));
    gateway.answer(first, { input: 12, output: 30 });
    expect(told(first)).toEqual({ "limit-tokens": "1000", "remaining-tokens": "790", "reset-tokens": "1m0s" });
    gateway.host.advance(1_500);
    const second = gateway.answer(gateway.ask(call(100), team("a")), { input: 12, output: 30 });
    expect(told(second)).toEqual({
      "limit-tokens": "1000",
      "remaining-tokens": String(1000 - 42 - 110),
      "reset-tokens": "58.5s",
    });
    expect(told(gateway.answer(gateway.ask(call(90), team("a")), { input: 0, output: 0 }))).toMatchObject({
      "remaining-tokens": String(1000 - 84 - 100),
    });
    expect(told(gateway.answer(gateway.ask(call(90), team("b")), { input: 0, output: 0 }))).toMatchObject({
      "remaining-tokens": "900",
    });
  });

  it("refuses what does not fit beside what runs, and says when to come again", async () => {
    const gateway = await LimitHost.start(one(limit(1_000)));
    gateway.host.advance(20_000);
    const running = [gateway.ask(call(390), team("a")), gateway.ask(call(390), team("a"))];
    expect(running.map(outcome)).toEqual(["ok", "ok"]);
    const refused = gateway.ask(call(300), team("a"));
    expect(outcome(refused)).toBe("429 rate_limit_exceeded");
    expect(told(refused)).toEqual({
      "limit-tokens": "1000",
      "remaining-tokens": "200",
      "reset-tokens": "40s",
      "retry-after": "40",
      "retry-after-ms": "40000",
    });
    expect(JSON.parse(Buffer.from(refused.localReply?.body ?? []).toString())).toEqual({
      error: {
        message: "Rate limit reached; try again later: 'team'",
        type: "rate_limit_error",
        param: null,
        code: "rate_limit_exceeded",
      },
    });
    expect(outcome(gateway.ask(call(190), team("a")))).toBe("ok");
    expect(outcome(gateway.ask(call(1), team("a")))).toBe("429 rate_limit_exceeded");
    for (const stream of running) gateway.answer(stream, { input: 10, output: 10 });
    expect(outcome(gateway.ask(call(500), team("a")))).toBe("ok");
  });

  it("is whole again when the window is over", async () => {
    const gateway = await LimitHost.start(one(limit(100)));
    gateway.answer(gateway.ask(call(80), team("a")), { input: 10, output: 90 });
    gateway.host.advance(59_999);
    expect(outcome(gateway.ask(call(80), team("a")))).toBe("429 rate_limit_exceeded");
    gateway.host.advance(1);
    expect(outcome(gateway.ask(call(80), team("a")))).toBe("ok");
  });

  it("always lets a first request pass, whatever it may use; then its debt counts", async () => {
    const gateway = await LimitHost.start(one(limit(100)));
    const first = gateway.ask(call(100_000), team("a"));
    expect(outcome(first)).toBe("ok");
    gateway.answer(first, { input: 10, output: 5_000 });
    const next = gateway.ask(call(1), team("a"));
    expect([outcome(next), told(next)["remaining-tokens"]]).toEqual(["429 rate_limit_exceeded", "0"]);
  });

  it.each<[string, object, number]>([
    ["the larger of two spellings", call(1, { max_completion_tokens: 600 }), 600],
    ["each of several choices", call(200, { n: 3 }), 600],
    ["its tools as prompt", call(600 - 25 - 1, { tools: ["x".repeat(101 - 4)] }), 600],
    ["what such models write, when it names no limit", { ...call(1), max_tokens: undefined }, 1024],
  ])("counts %s", async (_, body, completion) => {
    const gateway = await LimitHost.start(one(limit(10_000)));
    const stream = gateway.answer(gateway.ask(body, team("a")), { input: 1, output: 1 });
    expect(told(stream)["remaining-tokens"]).toBe(String(10_000 - PROMPT - completion));
  });

  it("expects no answer from a call that only counts, or that makes embeddings", async () => {
    const gateway = await LimitHost.start(one(limit(10_000)));
    for (const path of ["/v1/messages/count_tokens", "/v1/embeddings"]) {
      const body = { model: "m", input: "x".repeat(40), messages: [{ role: "user", content: "x".repeat(40) }] };
      const stream = gateway.ask(body, [...team(path), [":path", path]]);
      gateway.answer(stream, { input: 1, output: 0 });
      expect([path, told(stream)["remaining-tokens"]]).toEqual([path, String(10_000 - PROMPT)]);
    }
  });

  it("learns what models write and how long prompts are", async () => {
    const gateway = await LimitHost.start({ ...one(limit(1e9)), tokensPerByte: 0.5 });
    const body = { model: "m", messages: [{ role: "user", content: "x".repeat(1000) }] };
    const reserved = () => {
      const stream = gateway.ask(body, team("a"));
      const left = Number(told(gateway.answer(stream, { input: 100, output: 50 }))["remaining-tokens"]);
      return left;
    };
    const before = [reserved(), reserved()];
    expect((before[0] ?? 0) - (before[1] ?? 0)).toBeGreaterThan(100);
    for (let i = 0; i < 100; i++) reserved();
    const [a, b] = [reserved(), gateway.ask(body, team("b"))];
    expect(a).toBeGreaterThan(0);
    const left = Number(told(gateway.answer(b, { input: 100, output: 50 }))["remaining-tokens"]);
    expect(1e9 - left).toBeGreaterThanOrEqual(150);
    expect(1e9 - left).toBeLessThan(170);
  });

  it("learns nothing of prompts from bodies that it did not look into", async () => {
    const body = { model: "m", messages: Array.from({ length: 20 }, () => ({ role: "user", content: "x".repeat(8) })) };
    const gateway = await LimitHost.start(one(limit(1_000, "requests")));
    for (let i = 0; i < 50; i++) gateway.answer(gateway.ask(body, team("a")), { input: 60, output: 0 });
    gateway.plugin.update(one(limit(1_000, "promptTokens")));
    const stream = gateway.answer(gateway.ask(body, team("b")), { input: 60, output: 0 });
    expect(told(stream)["remaining-tokens"]).toBe("960");
  });
});

describe("at its end a request pays", () => {
  const paid = async (
    end: (gateway: LimitHost, stream: Stream) => void,
    body: object = call(500),
    headers = team("a"),
  ) => {
    const gateway = await LimitHost.start(one(limit(10_000)));
    end(gateway, gateway.ask(body, headers));
    const next = gateway.ask(call(90), team("a"));
    gateway.answer(next, { input: 0, output: 0 });
    return 10_000 - PROMPT - 90 - Number(told(next)["remaining-tokens"]);
  };
  const headers = { ":status": "200", "content-type": "text/event-stream", date: "d", server: "s", via: "v", age: "0" };
  const event = `data: {"choices":[{"delta":{"content":"word"}}],"id":"${"i".repeat(150)}"}\n\n`;

  it("what it used", async () => {
    expect(await paid((gateway, stream) => void gateway.answer(stream, { input: 21, output: 7 }))).toBe(28);
  });

  it("what a stream reports, in the order of its API", async () => {
    const anthropic: [string, string][] = [...team("a"), [":path", "/v1/messages"]];
    const pieces = [
      'data: {"type":"message_start","message":{"usage":{"input_tokens":20,"cache_read_input_tokens":100,"output_tokens":1}}}\n\n',
      'data: {"type":"message_delta","usage":{"output_tokens":40}}\n\n',
    ];
    const used = await paid(
      (_, stream) => {
        stream.responseHeaders(headers);
        for (const piece of pieces) stream.responseBody(piece, {});
        stream.responseBody("", { endOfStream: true });
      },
      call(500, { stream: true }),
      anthropic,
    );
    expect(used).toBe(160);
  });

  it("its prompt and about what came, when the client goes away in the middle", async () => {
    const used = await paid(
      (_, stream) => {
        stream.responseHeaders(headers);
        for (let i = 0; i < 20; i++) stream.responseBody(event, {});
        stream.end();
      },
      call(500, { stream: true }),
    );
    expect(used).toBe(PROMPT + Math.floor((20 * event.length) / 200));
  });

  const anthropic: [string, string][] = [...team("a"), [":path", "/v1/messages"]];
  const begun = (input: number) =>
    `data: {"type":"message_start","message":{"usage":{"input_tokens":${input},"output_tokens":1}}}\n\n`;
  const delta = `data: {"type":"content_block_delta","delta":{"text":"${"w".repeat(150)}"}}\n\n`;

  it.each([
    ["the prompt that it has reported", 78, 78],
    ["the estimate, where a gateway reports 0", 0, PROMPT],
  ])("%s and what came behind it, when the client goes away before the end", async (_, input, prompt) => {
    const used = await paid(
      (_gateway, stream) => {
        stream.responseHeaders(headers).responseBody(begun(input), {});
        for (let i = 0; i < 10; i++) stream.responseBody(delta, {});
        stream.end();
      },
      call(500, { stream: true }),
      anthropic,
    );
    expect(used).toBe(prompt + 1 + Math.floor((10 * delta.length) / 200));
  });

  it("what was reported, when the client goes away right behind it", async () => {
    const used = await paid(
      (_, stream) => {
        stream.responseHeaders(headers);
        for (let i = 0; i < 20; i++) stream.responseBody(event, {});
        stream.responseBody('data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":21}}\n\n', {});
        stream.responseBody("data: [DONE]\n\n", {}).end();
      },
      call(500, { stream: true }),
    );
    expect(used).toBe(30);
  });

  it("the estimate for a whole answer that reports 0 and 0", async () => {
    const used = await paid(
      (_, stream) => {
        stream.responseHeaders(headers);
        for (let i = 0; i < 20; i++)
          stream.responseBody(event.replace('"id"', '"usage":{"prompt_tokens":0,"completion_tokens":0},"id"'), {});
        stream.responseBody("", { endOfStream: true });
      },
      call(500, { stream: true }),
    );
    expect(used).toBeGreaterThan(PROMPT + 20);
  });

  it("its prompt, when the client goes away before the answer, or a stream ends without usage", async () => {
    expect(await paid((_, stream) => void stream.end())).toBe(PROMPT);
    const silent = (gateway: LimitHost, stream: Stream) => void gateway.answerWith(stream, "{}");
    expect(await paid(silent)).toBe(PROMPT);
  });

  it.each(["400", "429", "500", "529"])("nothing for an error of the upstream: %s", async (status) => {
    expect(await paid((gateway, stream) => void gateway.answerWith(stream, '{"error":{}}', status))).toBe(0);
  });

  it.each<[string, number, number]>([
    ["no_healthy_upstream", 503, 0],
    ["upstream_reset_before_response_started{connection_failure}", 503, 0],
    ["upstream_response_timeout", 504, PROMPT],
  ])("when Envoy answers %s with %i: %i", async (details, status, tokens) => {
    const used = await paid((_, stream) => {
      stream.reply({ status, details, body: Buffer.from("upstream"), headers: [], grpcStatus: undefined });
    });
    expect(used).toBe(tokens);
  });

  it("once, however it ends", async () => {
    const used = await paid((gateway, stream) => {
      gateway.answer(stream, { input: 20, output: 8 });
      stream.end();
      gateway.host.advance(2_000);
    });
    expect(used).toBe(28);
  });
});
