import { describe, expect, it } from "vitest";
import { LimitHost, outcome, told } from "./rate-limit-driver.ts";
import { call, limit, rule, team } from "./rate-limit-requests.ts";
import { chat } from "./router-driver.ts";

/** Which limits a request falls under, how much they allow, and whose budget it is. */

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
