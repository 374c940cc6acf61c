import { describe, expect, it } from "vitest";
import { Status, type Stream } from "../host/index.ts";
import { LimitHost, midnight, outcome, told } from "./rate-limit-driver.ts";
import { chat } from "./router-driver.ts";

/** What a client sees of its budget, and what becomes of it at every end that a request can have. */

const limit = (amount: number, unit = "tokens", per = "minute", more: object = {}) => ({ unit, amount, per, ...more });
const rule = (limits: object[], more: object = {}) => ({ name: "team", key: [{ header: "x-team" }], limits, ...more });
const one = (...limits: object[]) => ({ rules: [rule(limits)] });
const team = (name: string): [string, string][] => [["x-team", name]];
/** Asks for at most `max` tokens; its prompt of 40 bytes is estimated at 10. */
const call = (max: number, more: object = {}) => ({
  model: "m",
  messages: [{ role: "user", content: "x".repeat(40) }],
  max_tokens: max,
  ...more,
});
const PROMPT = 10;

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

describe("several limits and rules", () => {
  it("all have to have room; nothing is taken where one refuses", async () => {
    const gateway = await LimitHost.start({
      rules: [rule([limit(1_000), limit(3, "requests")]), { name: "all", limits: [limit(2_000, "tokens", "hour")] }],
    });
    const stream = gateway.answer(gateway.ask(call(190), team("a")), { input: 100, output: 100 });
    expect(told(stream)).toEqual({
      "limit-tokens": "1000",
      "remaining-tokens": "800",
      "reset-tokens": "1m0s",
      "limit-requests": "3",
      "remaining-requests": "2",
      "reset-requests": "1m0s",
    });
    for (let i = 0; i < 2; i++) gateway.answer(gateway.ask(call(190), team("a")), { input: 100, output: 100 });
    const fourth = gateway.ask(call(1), team("a"));
    expect([outcome(fourth), told(fourth)["remaining-requests"]]).toEqual(["429 rate_limit_exceeded", "0"]);
    for (const name of ["b", "b", "b", "c", "c", "c"])
      gateway.answer(gateway.ask(call(190), team(name)), { input: 100, output: 100 });
    // 1,800 of 2,000 are gone for all; the refused ones took nothing from the rule that stands first.
    for (let i = 0; i < 5; i++) expect(outcome(gateway.ask(call(500), team("d")))).toBe("429 rate_limit_exceeded");
    const last = gateway.answer(gateway.ask(call(150), team("d")), { input: 0, output: 0 });
    expect(told(last)).toMatchObject({ "limit-tokens": "2000", "remaining-tokens": "40", "remaining-requests": "2" });
  });

  it("have as much left after a refusal as before", async () => {
    const gateway = await LimitHost.start({
      rules: [rule([limit(100)]), { name: "all", limits: [limit(1_000, "tokens", "hour")] }],
    });
    gateway.ask(call(790), team("b"));
    // The budget of its own would be full with this request, and has all left without it.
    expect(told(gateway.ask(call(300), team("a")))).toMatchObject({
      "limit-tokens": "1000",
      "remaining-tokens": "200",
    });
  });

  it("apply where they match, and a request that none matches is left alone", async () => {
    const gateway = await LimitHost.start({ rules: [rule([limit(100)], { match: { models: ["gpt-*"] } })] });
    gateway.answer(gateway.ask({ ...call(90), model: "gpt-4o" }, team("a")), { input: 10, output: 90 });
    expect(outcome(gateway.ask({ ...call(90), model: "gpt-5" }, team("a")))).toBe("429 rate_limit_exceeded");
    const other = gateway.answer(gateway.ask({ ...call(90), model: "llama" }, team("a")), { input: 10, output: 90 });
    expect([outcome(other), told(other)]).toEqual(["ok", {}]);
  });

  it("in shadow count and refuse nothing, and clients are not told", async () => {
    const gateway = await LimitHost.start({ rules: [rule([limit(100)], { shadow: true })] });
    for (let i = 0; i < 3; i++) {
      const stream = gateway.answer(gateway.ask(call(50), team("a")), { input: 10, output: 50 });
      expect([outcome(stream), told(stream)]).toEqual(["ok", {}]);
    }
    expect(gateway.counters("requests")).toEqual({
      "rule=team;outcome=admitted": 1,
      "rule=team;outcome=shadow_refused": 2,
    });
  });

  it("in money and in weighted tokens count by their tables", async () => {
    const prices = [
      { model: "m", input: 1, cachedInput: 0.1, output: 10 },
      { model: "*", input: 100, output: 100 },
    ];
    const money = await LimitHost.start({
      rules: [
        rule([limit(0.01, "money"), limit(1_000, "weightedTokens")], {
          prices,
          weights: { output: 4, cachedInput: 0.5 },
        }),
      ],
    });
    // 1,000 x 0.1 + 500 x 1 + 100 x 10 micro-dollars, and 500 + 500 + 400 weighted tokens.
    money.answer(money.ask(call(100), team("a")), { input: 1_500, cached: 1_000, output: 100 });
    const next = money.ask(call(1), team("a"));
    expect([outcome(next), told(next)]).toMatchObject([
      "429 rate_limit_exceeded",
      { "limit-tokens": "1000", "remaining-tokens": "0" },
    ]);
  });
});

describe("an amount that the request says", () => {
  const said = async (limits: object[], headers: [string, string][], attribute?: string | Uint8Array) => {
    const gateway = await LimitHost.start({ rules: [rule(limits)] });
    const body = JSON.stringify(call(20));
    const stream = gateway.plugin.stream();
    if (attribute !== undefined) stream.setAttribute("metadata.filter_metadata.plan.tokens", attribute);
    const { length } = Buffer.from(body);
    stream.requestHeaders([...chat({ "content-length": String(length) }), ...team("a"), ...headers]);
    stream.requestBody(body, { endOfStream: true });
    return told(gateway.answer(stream, { input: 10, output: 20 }));
  };
  const double = (value: number) => new Uint8Array(new Float64Array([value]).buffer);
  const header = [limit(1_000, "tokens", "minute", { amountFrom: { header: "x-budget" } })];
  const metadata = [
    limit(1_000, "tokens", "minute", { amountFrom: { metadata: { namespace: "plan", path: ["tokens"] } } }),
  ];

  it.each<[string, string]>([
    ["500", "500"],
    ["500.9", "500"],
    ["1000000000000", "1000000000000"],
    ...["", "0", "-5", "1e3", "five", "1000000000001", "0.5", ".5", "5.5.5", "9".repeat(30)].map(
      (value): [string, string] => [value, "1000"],
    ),
  ])("in a header, as %j, is %s", async (value, amount) => {
    const sent: [string, string][] = value === "" ? [] : [["x-budget", value]];
    expect(await said(header, sent)).toMatchObject({
      "limit-tokens": amount,
      "remaining-tokens": String(Number(amount) - 30),
    });
  });

  it.each<[string | Uint8Array, string]>([
    [double(250), "250"],
    [double(12_345_678), "12345678"],
    [double(Number.NaN), "1000"],
    [double(-1), "1000"],
    [double(Number.POSITIVE_INFINITY), "1000"],
    ["77777777", "77777777"],
    ["300", "300"],
    ["many", "1000"],
  ])("in metadata, as %j, is %s", async (value, amount) => {
    expect(await said(metadata, [], value)).toMatchObject({ "limit-tokens": amount });
  });

  it("holds for that request only: the budget is the same", async () => {
    const gateway = await LimitHost.start({ rules: [rule(header)] });
    gateway.answer(gateway.ask(call(90), [...team("a"), ["x-budget", "150"]]), { input: 10, output: 90 });
    expect(outcome(gateway.ask(call(90), [...team("a"), ["x-budget", "150"]]))).toBe("429 rate_limit_exceeded");
    const other = gateway.answer(gateway.ask(call(90), team("a")), { input: 10, output: 90 });
    expect(told(other)).toMatchObject({ "limit-tokens": "1000", "remaining-tokens": "800" });
  });
});

describe("a key", () => {
  const left = async (key: object[], a: [string, string][], b: [string, string][], more: object = {}) => {
    const gateway = await LimitHost.start({
      tenantHeader: "x-tenant",
      rules: [rule([limit(1_000)], { key, ...more })],
    });
    gateway.answer(gateway.ask(call(90), a), { input: 0, output: 300 });
    const stream = gateway.ask(call(90), b);
    if (outcome(stream) !== "ok") return outcome(stream);
    return told(gateway.answer(stream, { input: 0, output: 0 }))["remaining-tokens"] === "600" ? "the same" : "another";
  };
  const bearer = (value: string): [string, string][] => [["authorization", value]];

  it.each<[string, object[], [string, string][], [string, string][], string]>([
    ["credential, whatever its scheme", [{ apiKey: true }], bearer("Bearer k"), bearer("bearer k"), "the same"],
    ["credential in another header", [{ apiKey: true }], bearer("Bearer k"), [["x-api-key", "k"]], "the same"],
    ["other credential", [{ apiKey: true }], bearer("Bearer k"), bearer("Bearer l"), "another"],
    [
      "long credential that ends otherwise",
      [{ apiKey: true }],
      bearer("k".repeat(600)),
      bearer(`${"k".repeat(599)}l`),
      "another",
    ],
    ["tenant", [{ tenant: true }], [["x-tenant", "t"]], [["x-tenant", "t"]], "the same"],
    [
      "two parts that run together",
      [{ header: "x-a" }, { header: "x-b" }],
      [
        ["x-a", "1"],
        ["x-b", "23"],
      ],
      [
        ["x-a", "12"],
        ["x-b", "3"],
      ],
      "another",
    ],
    ["no part at all", [], [["x-a", "1"]], [["x-a", "2"]], "the same"],
    ["missing part, and a missing part", [{ header: "x-a" }], [], [], "the same"],
    ["missing part, and an empty one", [{ header: "x-a" }], [], [["x-a", ""]], "the same"],
    ["missing part, and one that is there", [{ header: "x-a" }], [], [["x-a", "0"]], "another"],
    ["constant", [{ constant: "all" }], [["x-a", "1"]], [["x-a", "2"]], "the same"],
  ])("by %s", async (_, key, a, b, expected) => {
    expect(await left(key, a, b)).toBe(expected);
  });

  it("that is missing may leave the rule out, or refuse", async () => {
    expect(await left([{ header: "x-a" }], [], [], { missingKey: "reject" })).toBe("401 key_required");
    const gateway = await LimitHost.start({ rules: [rule([limit(10)], { missingKey: "skip" })] });
    for (let i = 0; i < 3; i++) {
      const stream = gateway.answer(gateway.ask(call(90)), { input: 9, output: 9 });
      expect([outcome(stream), told(stream)]).toEqual(["ok", {}]);
    }
    expect(gateway.counters("requests")).toEqual({ "rule=team;outcome=key_missing": 3 });
  });

  it.each<[string, object, string, string, string, string]>([
    [
      "claim",
      { claim: "sub" },
      "metadata.filter_metadata.envoy.filters.http.jwt_authn.payload.sub",
      "u1",
      "u1",
      "the same",
    ],
    [
      "claim",
      { claim: "sub" },
      "metadata.filter_metadata.envoy.filters.http.jwt_authn.payload.sub",
      "u1",
      "u2",
      "another",
    ],
    [
      "metadata",
      { metadata: { namespace: "n", path: ["a", "b"] } },
      "metadata.filter_metadata.n.a.b",
      "1",
      "1",
      "the same",
    ],
    ["client address", { clientAddress: true }, "source.address", "10.0.0.1:1", "10.0.0.1:2", "the same"],
    ["client address", { clientAddress: true }, "source.address", "[fe80::1]:1", "[fe80::2]:1", "another"],
  ])("by %s (%j): %s", async (_, part, attribute, a, b, expected) => {
    const gateway = await LimitHost.start({ rules: [rule([limit(1_000)], { key: [part] })] });
    const ask = (value: string, output: number) => {
      const stream = gateway.plugin.stream();
      stream.setAttribute(attribute, value);
      const text = JSON.stringify(call(90));
      stream.requestHeaders([
        [":method", "POST"],
        [":path", "/v1/chat/completions"],
        [":authority", "g"],
      ]);
      return gateway.answer(stream.requestBody(text, { endOfStream: true }), { input: 0, output });
    };
    ask(a, 300);
    expect(told(ask(b, 0))["remaining-tokens"]).toBe(expected === "the same" ? "600" : "900");
  });

  it("is never logged", async () => {
    const gateway = await LimitHost.start(
      { rules: [rule([limit(10)], { key: [{ apiKey: true }] })] },
      { logLevel: "trace" },
    );
    for (let i = 0; i < 3; i++) gateway.ask(call(90), bearer("Bearer secret-key"));
    gateway.host.advance(2_000);
    expect(JSON.stringify(gateway.host.logs)).not.toContain("secret-key");
  });
});

describe("the filter", () => {
  it("shares budgets between workers, and keeps them when its configuration changes", async () => {
    const gateway = await LimitHost.start(one(limit(1_000)), { workers: 2 });
    gateway.answer(gateway.ask(call(90), team("a"), 0), { input: 0, output: 300 });
    const other = gateway.ask(call(90), team("a"), 1);
    expect(told(gateway.answer(other, { input: 1, output: 0 }))["remaining-tokens"]).toBe("600");
    expect(gateway.plugin.update(one(limit(500))).accepted).toBe(true);
    const next = gateway.ask(call(90), team("a"), 1);
    expect(told(gateway.answer(next, { input: 0, output: 0 }))).toMatchObject({
      "limit-tokens": "500",
      "remaining-tokens": "99",
    });
  });

  it("settles by the budget that a request began with, whatever configuration is in force then", async () => {
    const gateway = await LimitHost.start(one(limit(1_000)));
    const running = gateway.ask(call(500), team("a"));
    gateway.plugin.update(one(limit(2_000)));
    gateway.answer(running, { input: 0, output: 100 });
    const next = gateway.answer(gateway.ask(call(90), team("a")), { input: 0, output: 0 });
    expect(told(next)["remaining-tokens"]).toBe("1800");
  });

  it("adds 9 hostcalls to a request under a limit of tokens, 4 for one that is refused", async () => {
    const gateway = await LimitHost.start({ ...one(limit(100)), metrics: { enabled: false } });
    const calls = (stream: Stream) => stream.trace.map(({ name }) => name.replace("proxy_", ""));
    const whole = gateway.answer(gateway.ask(call(80), team("a")), { input: 10, output: 90 });
    const read = ["get_header_map_pairs", "get_buffer_bytes"];
    expect(calls(whole)).toEqual([
      ...read,
      ...["get_current_time_nanoseconds", "get_shared_data", "set_shared_data"],
      ...["replace_header_map_value", "replace_header_map_value", "replace_header_map_value"],
      "get_buffer_bytes",
      ...["get_current_time_nanoseconds", "get_shared_data", "set_shared_data"],
    ]);
    expect(calls(gateway.ask(call(80), team("a")))).toEqual([
      ...read,
      ...["get_current_time_nanoseconds", "get_shared_data", "send_local_response"],
    ]);
  });

  it("gives the answer its headers with two hostcalls where there are limits of both kinds", async () => {
    const gateway = await LimitHost.start({
      ...one(limit(100), limit(7, "requests")),
      metrics: { enabled: false },
    });
    const whole = gateway.answer(gateway.ask(call(80), team("a")), { input: 10, output: 90 });
    const calls = whole.trace.map(({ name }) => name.replace("proxy_", ""));
    expect(calls.filter((name) => name.includes("header_map"))).toEqual([
      ...["get_header_map_pairs", "get_header_map_pairs", "set_header_map_pairs"],
    ]);
    expect(told(whole)).toMatchObject({
      ...{ "limit-tokens": "100", "remaining-tokens": "10", "limit-requests": "7", "remaining-requests": "6" },
    });
  });

  it.each(["proxy_get_header_map_pairs", "proxy_set_header_map_pairs"])(
    "gives them one by one where %s is not allowed",
    async (name) => {
      const gateway = await LimitHost.start(one(limit(100), limit(7, "requests")));
      const stream = gateway.ask(call(80), team("a"));
      gateway.host.faults.inject({ call: name, status: Status.InternalFailure, times: Number.POSITIVE_INFINITY });
      gateway.answer(stream, { input: 10, output: 90 });
      expect(told(stream)).toEqual({
        ...{ "limit-tokens": "100", "remaining-tokens": "10", "reset-tokens": "1m0s" },
        ...{ "limit-requests": "7", "remaining-requests": "6", "reset-requests": "1m0s" },
      });
      expect(stream.downstream.headers?.get(":status")).toBe("200");
    },
  );

  it("tells what it did in counters that exist from the start", async () => {
    const gateway = await LimitHost.start({
      rules: [rule([limit(100)]), rule([limit(1)], { name: "idle", match: { models: ["x"] } })],
    });
    expect(gateway.host.metrics.get("tokenmesh_rate_limit_requests;rule=idle;outcome=admitted")).toBe(0);
    gateway.answer(gateway.ask(call(80), team("a")), { input: 10, output: 80 });
    gateway.ask(call(80), team("a"));
    expect(gateway.counters("requests")).toEqual({ "rule=team;outcome=admitted": 1, "rule=team;outcome=refused": 1 });
    expect(gateway.counters("tokens")).toEqual({ "rule=team;kind=reserved": 90, "rule=team;kind=used": 90 });
    expect(gateway.counters("rules")).toEqual({ "": 2 });
  });

  it("shows rules that nothing matched for an hour, and says so once for all workers", async () => {
    const rules = [rule([limit(100)]), rule([limit(1)], { name: "idle", match: { models: ["x"] } })];
    const gateway = await LimitHost.start({ rules }, { workers: 3 });
    const idle = () => gateway.counters("idle");
    const said = () => gateway.host.logs.filter(({ message }) => message.includes("no request matched rule idle"));
    gateway.host.advance(1_800_000);
    gateway.answer(gateway.ask(call(80), team("a"), 1), { input: 10, output: 80 });
    expect(idle()).toEqual({});
    gateway.host.advance(1_810_000);
    expect(idle()).toEqual({ "rule=idle": 1 });
    expect(said()).toHaveLength(1);
    gateway.ask({ ...call(80), model: "x" }, team("a"), 2);
    gateway.host.advance(3_600_000);
    expect(idle()).toEqual({});
    expect(said()).toHaveLength(1);
    gateway.host.advance(3_600_000);
    expect(idle()).toEqual({ "rule=team": 1, "rule=idle": 1 });
    expect(said()).toHaveLength(2);
  });

  it.each<[string, [string, string][]]>([
    ["Anthropic's", [[":path", "/v1/messages"]]],
    ["Gemini's", [[":path", "/v1beta/models/m:generateContent"]]],
  ])("refuses in %s shape", async (_, headers) => {
    const gateway = await LimitHost.start({ rules: [rule([limit(1, "requests")])] });
    const body = { model: "m", contents: [], messages: [] };
    gateway.ask(body, [...headers, ...team("a")]);
    const refused = gateway.ask(body, [...headers, ...team("a")]);
    expect(refused.localReply?.status).toBe(429);
    const error = JSON.parse(Buffer.from(refused.localReply?.body ?? []).toString());
    if (headers[0]?.[1] === "/v1/messages")
      expect(error).toMatchObject({ type: "error", error: { type: "rate_limit_error" } });
    else expect(error).toMatchObject({ error: { code: 429, status: "RESOURCE_EXHAUSTED" } });
    expect(told(refused)).toMatchObject({ "limit-requests": "1", "remaining-requests": "0", "retry-after": "60" });
  });

  it("knows the calendar of its limits", async () => {
    const gateway = await LimitHost.start(one(limit(1, "requests", "month", { timeZone: "+01:00" })));
    gateway.answer(gateway.ask(call(1), team("a")), { input: 1, output: 1 });
    const refused = gateway.ask(call(1), team("a"));
    const seconds = (Date.UTC(2026, 11, 1) - 3_600_000 - midnight) / 1000;
    expect(told(refused)["retry-after"]).toBe(String(seconds));
  });
});
