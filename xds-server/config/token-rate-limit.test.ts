import { describe, expect, it } from "vitest";
import { rateLimits, stageConfiguration } from "../resources/plugin-configuration.ts";
import { formatError } from "./diagnostics.ts";
import { parseConfig } from "./parse.ts";
import type { TokenRateLimitSpec } from "./rate-limit-model.ts";

/** The schema of TokenRateLimit: what is accepted, with which defaults, where each error stands, and what the filter gets of it. */

const LIMIT = `
apiVersion: tokenmesh.io/v1alpha1
kind: TokenRateLimit
metadata: {name: budgets}
spec:
  tenantHeader: x-tenant
  rules:
    - name: first
      key: [{header: x-user}]
      limits:
        - {unit: tokens, amount: 1000, per: minute}
`;

const gateway = (name: string, port: number) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}}
spec: {servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: ["*"]}]}
`;

const parse = (text: string) => parseConfig([{ file: "f.yaml", text }]);

/** `CODE line what-stands-there` of every error. */
function errors(text: string): readonly string[] {
  const result = parse(text);
  if (result.ok) return [];
  const lines = text.split("\n");
  return result.errors.map(({ line, column, code }) => {
    const word = /^("[^"]*"|'[^']*'|[^\s,:}\]]+|)/.exec(lines[line - 1]?.slice(column - 1) ?? "")?.[0] ?? "";
    return `${code.replace("TM_CONFIG_", "")} ${line} ${word}`.slice(0, 60);
  });
}

function messages(text: string): string {
  const result = parse(text);
  return result.ok ? "" : result.errors.map(formatError).join("\n");
}

function specOf(text: string): TokenRateLimitSpec {
  const result = parse(text);
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  const [limit] = result.model.tokenRateLimits;
  if (limit === undefined) throw new Error("no limit");
  return limit.spec;
}

/** The document with some lines replaced. */
const edited = (...edits: readonly (readonly [from: string, to: string])[]) =>
  edits.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`no ${from}`);
    return text.replace(from, to);
  }, LIMIT);
const field = (line: string) => edited(["spec:\n", `spec:\n  ${line}\n`]);
const inRule = (line: string) => edited(["      limits:\n", `      ${line}\n      limits:\n`]);
const key = (parts: string) => edited(["[{header: x-user}]", parts]);
const limit = (fields: string) => edited(["{unit: tokens, amount: 1000, per: minute}", fields]);
const money = (prices: string) =>
  edited(["{unit: tokens, amount: 1000, per: minute}", `{unit: money, amount: 1, per: day}\n      ${prices}`]);
const weighted = (weights: string) =>
  edited([
    "{unit: tokens, amount: 1000, per: minute}",
    `{unit: weightedTokens, amount: 1, per: day}\n      ${weights}`,
  ]);

describe("a valid TokenRateLimit", () => {
  it("has its defaults written out", () => {
    const spec = specOf(LIMIT);
    expect(spec.paths).toHaveLength(14);
    expect({ ...spec, paths: undefined }).toEqual({
      paths: undefined,
      maxBodyBytes: 10_485_760,
      tenantHeader: "x-tenant",
      tokensPerByte: 0.25,
      duplicateModel: "reject",
      accessLog: false,
      metrics: { enabled: true, models: undefined },
      rules: [
        {
          name: "first",
          match: undefined,
          key: [expect.objectContaining({ header: "x-user", claim: undefined })],
          missingKey: "shared",
          limits: [
            {
              unit: "tokens",
              amount: 1000,
              amountFrom: undefined,
              per: "minute",
              rolling: false,
              timeZone: undefined,
            },
          ],
          weights: undefined,
          prices: undefined,
          shadow: false,
          mode: "local",
          onFailure: undefined,
          leasePercent: undefined,
          queueMs: undefined,
          overrun: "allow",
        },
      ],
      maxKeys: 65_536,
      includeUsage: true,
      service: undefined,
    });
  });

  it("belongs to the Gateways of its annotation, or to all", () => {
    const gateways = (text: string) => {
      const result = parse(text);
      return result.ok ? result.model.tokenRateLimits[0]?.gateways : "refused";
    };
    const named = edited(["{name: budgets}", '{name: budgets, annotations: {tokenmesh.io/gateways: "edge, public"}}']);
    const all = [named, gateway("edge", 1), gateway("public", 2)].join("---");
    expect([gateways(all), gateways(LIMIT)]).toEqual([["edge", "public"], undefined]);
  });

  it("is the only one of its Gateways, and names none that is not there", () => {
    const second = edited(["{name: budgets}", "{name: more}"]);
    expect(errors([LIMIT, second, gateway("edge", 1)].join("---"))).toEqual([
      expect.stringMatching(/^CONFLICT \d+ more/),
    ]);
    expect(errors([LIMIT, LIMIT].join("---"))).toEqual([expect.stringMatching(/^DUPLICATE \d+ budgets/)]);
    const lost = edited(["{name: budgets}", "{name: budgets, annotations: {tokenmesh.io/gateways: nowhere}}"]);
    expect(errors(lost)).toEqual([expect.stringMatching(/^UNKNOWN_REFERENCE 4/)]);
  });

  it("prices and weights that are left out follow the others", () => {
    const prices = money("prices: [{model: m, input: 2, output: 8}, {model: '*', input: 1, output: 1, cacheWrite: 3}]");
    expect(specOf(prices).rules[0]?.prices).toEqual([
      { model: "m", input: 2, cachedInput: 2, cacheWrite: 2, output: 8, reasoning: 8 },
      { model: "*", input: 1, cachedInput: 1, cacheWrite: 3, output: 1, reasoning: 1 },
    ]);
    expect(specOf(weighted("weights: {output: 4}")).rules[0]?.weights).toEqual({
      input: 1,
      cachedInput: 1,
      cacheWrite: 1,
      output: 4,
      reasoning: 1,
    });
  });

  it("may be written with anchors, units included", () => {
    const text = limit(
      "{unit: &unit weightedTokens, amount: 0.5, per: day}\n        - {amount: 0.25, unit: *unit, per: hour}",
    );
    expect(specOf(text).rules[0]?.limits.map(({ amount }) => amount)).toEqual([0.5, 0.25]);
  });

  it("takes time zones without quotes", () => {
    const text = limit("{unit: requests, amount: 1, per: day, timeZone: +02:00}");
    expect(specOf(text).rules[0]?.limits[0]?.timeZone).toBe("+02:00");
    const block = limit(
      "unit: requests\n          amount: 1\n          per: day\n          timeZone: CET-1CEST,M3.5.0,M10.5.0/3",
    );
    expect(specOf(block).rules[0]?.limits[0]?.timeZone).toBe("CET-1CEST,M3.5.0,M10.5.0/3");
  });
});

describe("time zones", () => {
  const zone = (timeZone: string) => limit(`{unit: requests, amount: 1, per: month, timeZone: ${timeZone}}`);
  const written = (timeZone: string) => {
    const json = rateLimits({ spec: specOf(zone(timeZone)), serviceCluster: undefined });
    return JSON.parse(JSON.stringify(json)).rules[0].limits[0].timeZone;
  };

  it.each([
    ["Z", "Z"],
    ["-03:30", "-03:30"],
    ["Europe/Berlin", "<+01>-1<+02>,M3.5.0,M10.5.0/3"],
    ["CET", "<+01>-1<+02>,M3.5.0,M10.5.0/3"],
    ["Asia/Kolkata", "+05:30"],
    ["UTC", "Z"],
    ['"CET-1CEST,M3.5.0,M10.5.0/3"', "CET-1CEST,M3.5.0,M10.5.0/3"],
    ["<-03>3", "<-03>3"],
  ])("%s is %s for the filter", (name, posix) => {
    expect(written(name)).toBe(posix);
  });

  it.each([
    [
      "Mars/Olympus",
      /"Mars\/Olympus" is no POSIX time zone such as \S+, and no name of a time zone.* Write Z, an offset .* Europe\/Berlin/s,
    ],
    ["CET-1CEST", /"CET-1CEST" has summer time, but not when it begins and ends.* Write Z/s],
    [
      "Africa/Casablanca",
      /the clocks of "Africa\/Casablanca" follow no rule for every year.* Write a fixed offset.* mode strict, with override: false/s,
    ],
  ])("%s has a fault and a remedy", (name, message) => {
    expect(messages(zone(name))).toMatch(message);
  });
});

describe("what the filter gets", () => {
  it("is the spec with its defaults, in a fixed order", () => {
    const text = edited(
      [
        "key: [{header: x-user}]",
        "shadow: true\n      match: {stream: true}\n      key: [{claim: sub, payloadKey: jwt}, {model: true}]",
      ],
      [
        "{unit: tokens, amount: 1000, per: minute}",
        "{per: month, amount: 0.000000001, unit: money, timeZone: Z}\n      prices: [{output: 2, input: 1, model: m}]",
      ],
    );
    const spec = specOf(text);
    const limits = rateLimits({ spec, serviceCluster: undefined });
    expect(JSON.parse(stageConfiguration(spec, limits))).toEqual({
      paths: spec.paths,
      maxBodyBytes: 10_485_760,
      tokensPerByte: 0.25,
      duplicateModel: "reject",
      accessLog: false,
      metrics: { enabled: true },
      ...JSON.parse(JSON.stringify(limits)),
    });
    expect(JSON.stringify(limits)).toBe(
      '{"tenantHeader":"x-tenant","rules":[{"name":"first","match":{"stream":true},"key":[{"claim":"sub","payloadKey":"jwt"},{"model":true}],' +
        '"missingKey":"shared","limits":[{"unit":"money","amount":1e-9,"per":"month","rolling":false,"timeZone":"Z"}],' +
        '"prices":[{"model":"m","input":1,"cachedInput":1,"cacheWrite":1,"output":2,"reasoning":2}],"shadow":true,"mode":"local","overrun":"allow"}],"maxKeys":65536,"includeUsage":true}',
    );
  });
});

describe("errors of one value", () => {
  const wrong: [name: string, text: string, error: string][] = [
    ["an unknown field", field("limits: []"), "UNKNOWN_FIELD 6 limits"],
    ["a field of the traffic", field("maxBodyBytes: 0"), "INVALID_VALUE 6 0"],
    ["a header that clients cannot send", edited(["x-tenant", "x-llm-tenant"]), "INVALID_VALUE 6 x-llm-tenant"],
    ["too few keys", field("maxKeys: 10"), "INVALID_VALUE 6 10"],
    ["no rules", edited([/ {2}rules:[\s\S]*/.exec(LIMIT)?.[0] ?? "", ""]), "MISSING_FIELD 6 tenantHeader"],
    ["a rule's name", edited(["first", "a/b"]), "INVALID_VALUE 8 a/b"],
    ["a word", inRule("missingKey: deny"), "INVALID_VALUE 10 deny"],
    ["a condition", inRule("match: {model: a}"), "UNKNOWN_FIELD 10 model"],
    ["a part of nothing", key("[{}]"), "MISSING_FIELD 9 {"],
    ["two things in one part", key("[{header: a, model: true}]"), "CONFLICT 9 {header"],
    ["a part that is not there", key("[{model: false}]"), "INVALID_VALUE 9 false"],
    ["a payload of nothing", key("[{header: a, payloadKey: jwt}]"), "CONFLICT 9 jwt"],
    ["metadata without a path", key("[{metadata: {namespace: n}}]"), "MISSING_FIELD 9 {namespace"],
    ["a unit", limit("{unit: token, amount: 1, per: day}"), "INVALID_VALUE 11 token"],
    ["half a token", limit("{amount: 0.5, unit: tokens, per: day}"), "INVALID_VALUE 11 0.5"],
    [
      "half a token behind an alias",
      limit("{unit: &u tokens, amount: 1, per: day}\n        - {amount: 0.5, unit: *u, per: hour}"),
      "INVALID_VALUE 12 0.5",
    ],
    ["too fine a weight", limit("{amount: 0.0005, unit: weightedTokens, per: day}"), "INVALID_VALUE 11 0.0005"],
    ["a rolling month", limit("{unit: tokens, amount: 1, per: month, rolling: true}"), "CONFLICT 11 true"],
    ["a time zone of hours", limit("{unit: tokens, amount: 1, per: hour, timeZone: Z}"), "CONFLICT 11 Z"],
    [
      "a time zone that rolls",
      limit("{unit: tokens, amount: 1, per: day, rolling: true, timeZone: Z}"),
      "CONFLICT 11 Z",
    ],
    ["another time zone", limit("{unit: tokens, amount: 1, per: day, timeZone: Mars}"), "INVALID_VALUE 11 Mars"],
    ["weights of nothing", inRule("weights: {output: 4}"), "CONFLICT 10 {output"],
    ["prices of nothing", inRule("prices: [{model: m, input: 1, output: 1}]"), "CONFLICT 10 [{model"],
    ["money for nothing", money("shadow: true"), "MISSING_FIELD 8 name"],
    ["a price twice", money("prices: [&p {model: m, input: 1, output: 1}, *p]"), "DUPLICATE 12 m"],
    ["too fine a price", money("prices: [{model: m, input: 0.0000001, output: 1}]"), "INVALID_VALUE 12 0.0000001"],
    ["free models only", money("prices: [{model: m, input: 0, output: 0}]"), "INVALID_VALUE 12 [{model"],
    ["weights of nothing at all", weighted("weights: {input: .nan}"), "INVALID_VALUE 12 .nan"],
  ];
  it.each(wrong)("%s", (_name, text, expected) => {
    expect(errors(text)).toEqual([expected]);
  });

  it("say what to write instead", () => {
    expect(messages(limit("{unit: money, amount: 0.0000000001, per: day}"))).toContain(
      "spec.rules[0].limits[0].amount: 1e-10 is not a number from 0.000000001 to 1000000 with at most 9 decimals",
    );
    expect(messages(limit("{unit: tokens, amount: 1.5, per: day}"))).toContain(
      "1.5 is not a whole number from 1 to 1000000000000",
    );
    expect(messages(key("[{model: false}]"))).toContain("Write true, or remove this part.");
    expect(messages(money("shadow: true"))).toContain("spec.rules[0]: a limit of money needs prices");
  });
});

it("all errors come out at once", () => {
  const text = edited(
    ["  tenantHeader: x-tenant\n", "  maxKeys: 1\n"],
    ["{header: x-user}", "{tenant: true}, {cookie: a}"],
    [
      "{unit: tokens, amount: 1000, per: minute}",
      "{unit: money, amount: 1e-12, per: week}\n      weights: {output: -1}",
    ],
  );
  expect(errors(text)).toEqual([
    "INVALID_VALUE 6 1",
    "MISSING_FIELD 9 true",
    "UNKNOWN_FIELD 9 cookie",
    "INVALID_VALUE 11 1e-12",
    "INVALID_VALUE 11 week",
    "INVALID_VALUE 12 -1",
  ]);
});
