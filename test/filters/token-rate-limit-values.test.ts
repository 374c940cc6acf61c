import { describe, expect, it } from "vitest";
import { ProxyWasmHost } from "../host/index.ts";

/** What the filter makes of its configuration: amounts in units, zones in seconds, keys as headers and properties, rates by model. */

const host = await ProxyWasmHost.load("build/test-wasm/rate-limit-view.wasm", { workers: 1 });

function view(rules: readonly object[], more: object = {}): string[] {
  host.logs.length = 0;
  const config = { rules, ...more };
  host.plugin({ name: "rate-limit-view", rootId: "rate-limit-view", config }).remove();
  const lines = host.logs.filter(({ level }) => level === "info").map(({ message }) => message);
  // Every VM says the same, one behind the other.
  const again = lines.findIndex((line, index) => index > 0 && line.startsWith("config "));
  return lines.slice(0, again < 0 ? undefined : again);
}

const lines = (word: string, all: readonly string[]) =>
  all.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
const tokens = { unit: "tokens", amount: 1000, per: "minute" };
const rule = (more: object) => ({ name: "r", limits: [tokens], ...more });

describe("defaults", () => {
  it("are one shared budget that refuses", () => {
    expect(view([rule({})])).toEqual([
      "config maxKeys=65536 chat=1",
      "rule r missing=0 shadow=0 chat=1",
      "mode 0 remote=0 failure=0 lease=5 queue=0 overrun=0",
      expect.stringMatching(/^identity 7200ff/),
      "limit 0 amount=1000 per=1 rolling=0 offset=0 meter=16",
      "wire  scale=1",
    ]);
  });

  it("may be said otherwise", () => {
    expect(view([rule({ shadow: true, missingKey: "skip" })], { maxKeys: 1024 }).slice(0, 2)).toEqual([
      "config maxKeys=1024 chat=1",
      "rule r missing=1 shadow=1 chat=1",
    ]);
    expect(view([rule({ missingKey: "reject" })])[1]).toContain("missing=2");
  });
});

describe("limits", () => {
  it.each([
    [{ unit: "tokens", amount: 1, per: "second" }, "0 amount=1 per=0 rolling=0 offset=0 meter=16"],
    [{ unit: "promptTokens", amount: 1e12, per: "minute" }, "1 amount=1000000000000 per=1 rolling=0 offset=0 meter=16"],
    [
      { unit: "completionTokens", amount: 7, per: "hour", rolling: true },
      "2 amount=7 per=2 rolling=1 offset=0 meter=144",
    ],
    [{ unit: "weightedTokens", amount: 1.005, per: "day" }, "3 amount=1005 per=3 rolling=0 offset=0 meter=32"],
    [
      { unit: "requests", amount: 5, per: "day", timeZone: "-03:30" },
      "4 amount=5 per=3 rolling=0 offset=-12600 meter=32",
    ],
    [
      { unit: "requests", amount: 5, per: "month", timeZone: "+14:00" },
      "4 amount=5 per=4 rolling=0 offset=50400 meter=32",
    ],
    [{ unit: "requests", amount: 5, per: "day", timeZone: "Z" }, "4 amount=5 per=3 rolling=0 offset=0 meter=32"],
    [
      { unit: "requests", amount: 5, per: "day", timeZone: "<-03>3" },
      "4 amount=5 per=3 rolling=0 offset=-10800 meter=32",
    ],
    [
      { unit: "requests", amount: 5, per: "month", timeZone: "CET-1CEST,M3.5.0,M10.5.0/3" },
      "4 amount=5 per=4 rolling=0 offset=3600,7200,0.2.5.0/7200,0.9.5.0/10800 meter=32",
    ],
  ])("%j", (limit, expected) => {
    expect(lines("limit", view([rule({ limits: [limit] })]))).toEqual([expected]);
  });

  it.each([
    [0.1, "100000000"],
    [0.3, "300000000"],
    [1e-9, "1"],
    [1_000_000, "1000000000000000"],
    [999_999.999999999, "999999999999999"],
    [19.99, "19990000000"],
  ])("%d dollars are %s billionths", (amount, units) => {
    const limits = [{ unit: "money", amount, per: "month" }];
    const [limit] = lines("limit", view([rule({ limits, prices: [{ model: "*", input: 1, output: 1 }] })]));
    expect(limit).toContain(`amount=${units} `);
  });
});

describe("keys", () => {
  const bearers = "authorization x-api-key api-key x-goog-api-key";
  const dynamic = "2 metadata|filter_metadata|";
  it.each([
    [{ header: "x-user" }, "0 x-user x-user"],
    [{ apiKey: true }, `1 ${bearers} `],
    [{ claim: "sub" }, `${dynamic}envoy.filters.http.jwt_authn|payload|sub`],
    [
      { claim: "https://a.test/plan", payloadKey: "jwt" },
      `${dynamic}envoy.filters.http.jwt_authn|jwt|https://a.test/plan`,
    ],
    [{ payloadKey: "jwt", claim: "sub" }, `${dynamic}envoy.filters.http.jwt_authn|jwt|sub`],
    [{ metadata: { path: ["a", "b"], namespace: "com.acme" } }, `${dynamic}com.acme|a|b`],
    [{ clientAddress: true }, "3 source|address"],
    [{ model: true }, "4 "],
    [{ tenant: true }, "5 x-tenant "],
    [{ session: true }, "6 "],
    [{ constant: "é" }, "7 é"],
  ])("%j", (part, expected) => {
    expect(lines("key", view([rule({ key: [part] })], { tenantHeader: "x-tenant" }))).toEqual([expected]);
  });

  it.each([
    [{ header: "x-user" }, "x-user", 0],
    [{ apiKey: true }, "api_key", 1],
    [{ claim: "https://a.test/plan", payloadKey: "jwt" }, "https://a.test/plan", 0],
    [{ metadata: { path: ["a", "b.c", "d"], namespace: "com.acme" } }, "a.b.c.d", 0],
    [{ metadata: { namespace: "com.acme", path: ["a"] } }, "a", 0],
    [{ clientAddress: true }, "client_address", 0],
    [{ model: true }, "model", 0],
    [{ tenant: true }, "tenant", 0],
    [{ session: true }, "session", 0],
    [{ constant: "é" }, "constant", 0],
  ])("%j is called %s", (part, label, secret) => {
    const key = [part, { model: true }, part];
    expect(lines("label", view([rule({ key })], { tenantHeader: "x-tenant" }))).toEqual([
      `${label} secret=${secret}`,
      "model secret=0",
      `${label} secret=${secret}`,
    ]);
  });
});

describe("a service", () => {
  const strict = rule({ mode: "strict" });
  const service = (more: object) => lines("service", view([strict], { service: { cluster: "c", ...more } }))[0];

  it("is not there by default, and has defaults", () => {
    expect(lines("service", view([rule({})]))).toEqual([]);
    expect(service({})).toBe("c domain=tokenmesh timeout=250 ledger=1 overrides=1 refunds=0");
  });

  it.each([
    [{ domain: "é" }, "c domain=é timeout=250 ledger=1 overrides=1 refunds=0"],
    [{ timeoutMs: 10_000 }, "c domain=tokenmesh timeout=10000 ledger=1 overrides=1 refunds=0"],
    [{ protocol: "ledger" }, "c domain=tokenmesh timeout=250 ledger=1 overrides=1 refunds=0"],
    [{ protocol: "envoy" }, "c domain=tokenmesh timeout=250 ledger=0 overrides=1 refunds=0"],
    [{ refunds: true, protocol: "envoy" }, "c domain=tokenmesh timeout=250 ledger=0 overrides=1 refunds=1"],
    [{ override: false }, "c domain=tokenmesh timeout=250 ledger=1 overrides=0 refunds=0"],
  ])("%j", (more, expected) => {
    expect(service(more)).toBe(expected);
  });

  it.each([
    [{}, "0 remote=0 failure=0 lease=5 queue=0 overrun=0"],
    [{ queueMs: 60_000, overrun: "pace" }, "0 remote=0 failure=0 lease=5 queue=60000 overrun=2"],
    [{ mode: "strict", onFailure: "closed", overrun: "stop" }, "1 remote=1 failure=2 lease=5 queue=0 overrun=1"],
    [{ mode: "leased", onFailure: "open" }, "2 remote=1 failure=1 lease=5 queue=0 overrun=0"],
    [{ leasePercent: 50, mode: "leased" }, "2 remote=1 failure=0 lease=50 queue=0 overrun=0"],
  ])("a rule with %j", (more, expected) => {
    expect(lines("mode", view([rule(more), { ...strict, name: "s" }], { service: { cluster: "c" } }))[0]).toBe(
      expected,
    );
  });
});

describe("limits on the wire", () => {
  const prices = [{ model: "*", input: 1, output: 1 }];
  const wire = (limit: object, more: object = {}, units: number[] = []) =>
    view([rule({ mode: "leased", limits: [limit], ...more })], { service: { cluster: "c" }, units });

  it.each([
    [{ unit: "tokens", amount: 4_000_000_000, per: "minute" }, "tokens/minute scale=1"],
    [{ unit: "tokens", amount: 4_000_000_001, per: "second" }, "tokens/second/10 scale=10"],
    [{ unit: "promptTokens", amount: 1e12, per: "hour" }, "promptTokens/hour/1000 scale=1000"],
    [{ unit: "completionTokens", amount: 1, per: "day" }, "completionTokens/day scale=1"],
    [{ unit: "weightedTokens", amount: 4_000_000, per: "month" }, "weightedTokens/month scale=1"],
    [{ unit: "weightedTokens", amount: 1e12, per: "month" }, "weightedTokens/month/1000000 scale=1000000"],
    [{ unit: "requests", amount: 10, per: "second" }, "requests/second scale=1"],
  ])("%j", (limit, expected) => {
    expect(lines("wire", wire(limit))).toEqual([expected]);
  });

  it.each([
    [4, 1],
    [40, 10],
    [50, 100],
    [1_000_000, 1_000_000],
  ])("%d dollars: scale %d", (amount, scale) => {
    expect(lines("wire", wire({ unit: "money", amount, per: "day" }, { prices }))).toEqual([
      `money/day${scale === 1 ? "" : `/${scale}`} scale=${scale}`,
    ]);
  });

  it("what is used is rounded up, an amount down, and neither goes beyond 4e9", () => {
    const limit = { unit: "tokens", amount: 400_000_000_000, per: "day" };
    const units = [-5, 0, 1, 99, 100, 101, 400_000_000_000, 400_000_000_099, 1e15];
    expect(lines("units", wire(limit, {}, units))).toEqual([
      "-5 hits=0 amount=1",
      "0 hits=0 amount=1",
      "1 hits=1 amount=1",
      "99 hits=1 amount=1",
      "100 hits=1 amount=1",
      "101 hits=2 amount=1",
      "400000000000 hits=4000000000 amount=4000000000",
      "400000000099 hits=4000000000 amount=4000000000",
      "1000000000000000 hits=4000000000 amount=4000000000",
    ]);
  });

  it("a local limit has neither, beside a rule that does", () => {
    const limits = [{ unit: "tokens", amount: 1e12, per: "day" }];
    const all = view([rule({ limits }), rule({ name: "s", mode: "strict" })], { service: { cluster: "c" } });
    expect(lines("wire", all)).toEqual([" scale=1", "tokens/minute scale=1"]);
  });
});

describe("amounts of requests", () => {
  it.each([
    [{ header: "x-budget" }, "0 x-budget x-budget"],
    [{ metadata: { namespace: "com.acme", path: ["a", "b"] } }, "2 metadata|filter_metadata|com.acme|a|b"],
  ])("%j", (amountFrom, expected) => {
    expect(lines("from", view([rule({ limits: [{ ...tokens, amountFrom }, tokens] })]))).toEqual([expected]);
  });
});

describe("what of the body is needed", () => {
  const requests = { limits: [{ unit: "requests", amount: 1, per: "second" }] };
  it.each([
    ["nothing to count requests", rule(requests), "0"],
    ["nothing for a key of headers", rule({ ...requests, key: [{ header: "a" }, { model: true }] }), "0"],
    ["all for a session", rule({ ...requests, key: [{ session: true }] }), "1"],
    ["all for a condition on it", rule({ ...requests, match: { stream: true } }), "1"],
    ["all to count tokens", rule({}), "1"],
  ])("%s", (_what, one, chat) => {
    expect(view([one])[0]).toBe(`config maxKeys=65536 chat=${chat}`);
  });
});

describe("what a call costs", () => {
  const models = ["gpt-4o", "gpt-4o-mini", "gpt-5", "claude", "llama"];
  const costs = (more: object) =>
    lines("model", view([rule(more)], { models })).map((line) => line.replaceAll(/\w+=/g, ""));

  it("by plain units does not depend on the model", () => {
    const limits = ["tokens", "promptTokens", "completionTokens", "requests"].map((unit) => ({ ...tokens, unit }));
    expect(costs({ limits }).filter((line) => line.startsWith("llama"))).toEqual([
      "llama 1 1200 1200",
      "llama 1 1000 1000",
      "llama 1 200 200",
      "llama 1 1 1",
    ]);
  });

  it("by weights: 500, 400, 100, 150 and 50 tokens of the five classes", () => {
    const limits = [{ unit: "weightedTokens", amount: 1, per: "day" }];
    expect(costs({ limits })[0]).toBe("gpt-4o 1 1200000 1200000");
    expect(costs({ limits, weights: { cachedInput: 0.1, cacheWrite: 1.25, output: 4, reasoning: 5 } })[0]).toBe(
      `gpt-4o 1 ${500_000 + 40_000 + 125_000 + 600_000 + 250_000} ${1_250_000 + 1_000_000}`,
    );
  });

  it("by prices: the exact name before the longest prefix, and without a price the dearest of each class", () => {
    const limits = [{ unit: "money", amount: 1, per: "day" }];
    const prices = [
      { model: "gpt-*", input: 1, output: 1 },
      { model: "gpt-4*", input: 2, output: 2, cachedInput: 1 },
      { model: "gpt-4o", input: 4, output: 8, cacheWrite: 5, reasoning: 16 },
      { model: "claude", input: 3, output: 20 },
    ];
    expect(costs({ limits, prices })).toEqual([
      `gpt-4o 1 ${900 * 4000 + 100 * 5000 + 150 * 8000 + 50 * 16_000} ${1000 * 5000 + 200 * 16_000}`,
      `gpt-4o-mini 1 ${600 * 2000 + 400 * 1000 + 200 * 2000} ${1000 * 2000 + 200 * 2000}`,
      `gpt-5 1 ${1200 * 1000} ${1200 * 1000}`,
      `claude 1 ${1000 * 3000 + 200 * 20_000} ${1000 * 3000 + 200 * 20_000}`,
      `llama 0 ${900 * 4000 + 100 * 5000 + 200 * 20_000} ${1000 * 5000 + 200 * 20_000}`,
    ]);
    expect(costs({ limits, prices: [...prices, { model: "*", input: 0, output: 0 }] })[4]).toBe("llama 1 0 0");
  });

  it("does not depend on the order of the list", () => {
    const limits = [{ unit: "money", amount: 1, per: "day" }];
    const prices = ["*", "g*", "gpt-*", "gpt-4o*", "gpt-4o", "claude"].map((model, index) => ({
      model,
      input: index + 1,
      output: 1,
    }));
    expect(costs({ limits, prices: prices.toReversed() })).toEqual(costs({ limits, prices }));
    expect(costs({ limits, prices }).map((line) => line.split(" ")[2])).toEqual(
      [5, 4, 3, 6, 1].map((input) => String(input * 1_000_000 + 200_000)),
    );
  });
});

describe("the identity of a rule's budgets", () => {
  const identity = (one: object) => lines("identity", view([one]))[0];
  const hex = (text: string) => Buffer.from(text).toString("hex");
  const first = rule({ key: [{ header: "x-user" }] });

  it("stays when only amounts, shadow, conditions, queues or overruns change", () => {
    const limits = [{ ...tokens, amount: 5, amountFrom: { header: "x-budget" } }];
    const other = { ...first, shadow: true, match: { models: ["a"] }, limits, queueMs: 5, overrun: "stop" };
    expect(identity(other)).toBe(identity(first));
  });

  it.each([
    ["name", { ...first, name: "s" }],
    ["source of a part", { ...first, key: [{ constant: "x-user" }] }],
    ["name of a part", { ...first, key: [{ header: "x-use" }] }],
    ["claim", { ...first, key: [{ claim: "sub" }] }],
    ["number of parts", { ...first, key: [{ header: "x-user" }, { model: true }] }],
    ["unit", { ...first, limits: [{ ...tokens, unit: "requests" }] }],
    ["period", { ...first, limits: [{ ...tokens, per: "hour" }] }],
    ["rolling", { ...first, limits: [{ ...tokens, rolling: true }] }],
    ["time zone", { ...first, limits: [{ ...tokens, per: "day", timeZone: "+01:00" }] }],
    ["day", { ...first, limits: [{ ...tokens, per: "day" }] }],
    ["number of limits", { ...first, limits: [tokens, tokens] }],
  ])("changes with the %s", (_what, other) => {
    expect(identity(other)).not.toBe(identity(first));
  });

  it("goes with what a time zone means, not with how it is written", () => {
    const zoned = (timeZone: string) => identity(rule({ limits: [{ ...tokens, per: "day", timeZone }] }));
    const berlin = zoned("CET-1CEST,M3.5.0,M10.5.0/3");
    expect(zoned("<+01>-1<+02>,M3.5.0,M10.5.0/3")).toBe(berlin);
    const others = [
      "Z",
      "+01:00",
      "+02:00",
      "CET-1CEST,M3.5.0,M10.5.0",
      "CET-1CEST,M3.4.0,M10.5.0/3",
      "EET-2EEST,M3.5.0,M10.5.0/3",
    ];
    expect(new Set([berlin, ...others.map(zoned)]).size).toBe(others.length + 1);
    expect(zoned("<+01>-1")).toBe(zoned("+01:00"));
    // Budgets of before there were POSIX time zones go on.
    expect(zoned("Z")).toBe(`7200ff000300${hex("0")}00`);
    expect(zoned("+01:00")).toBe(`7200ff000300${hex("3600")}00`);
    expect(zoned("-08:00")).toBe(`7200ff000300${hex(String(2n ** 64n - 28_800n))}00`);
  });

  it("differs between all of these", () => {
    const metadata = (...path: string[]) => ({ metadata: { namespace: "n", path } });
    const keys = [
      [],
      [{ constant: "ab" }],
      [{ constant: "a" }, { constant: "b" }],
      [{ header: "ab" }],
      [{ model: true }],
      [metadata("a", "b")],
      [metadata("a"), { header: "b" }],
    ];
    expect(new Set(keys.map((key) => identity(rule({ key })))).size).toBe(keys.length);
  });
});
