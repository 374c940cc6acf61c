import { describe, expect, it } from "vitest";
import { rateLimits } from "../resources/plugin-configuration.ts";
import { formatError } from "./diagnostics.ts";
import { parseConfig } from "./parse.ts";
import type { TokenRateLimitSpec } from "./rate-limit-model.ts";

/** What a TokenRateLimit says of a Rate Limit Service, of queues, overruns and amounts of requests: defaults, where each error stands, what the filter gets. */

const LEDGER = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ledger}
spec:
  hosts: [ledger.test]
  ports: [{number: 8081, name: grpc, protocol: GRPC}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.1}]
`;
const LIMIT = `
apiVersion: tokenmesh.io/v1alpha1
kind: TokenRateLimit
metadata: {name: budgets}
spec:
  service: {cluster: ledger.test}
  rules:
    - name: first
      mode: strict
      limits:
        - {unit: tokens, amount: 1000, per: minute}
`;

const parse = (text: string, ledger = LEDGER) =>
  parseConfig([
    { file: "f.yaml", text },
    { file: "ledger.yaml", text: ledger },
  ]);

/** `CODE line what-stands-there` of every error. */
function errors(text: string, ledger = LEDGER): readonly string[] {
  const result = parse(text, ledger);
  if (result.ok) return [];
  const lines = text.split("\n");
  return result.errors.map(({ line, column, code }) => {
    const word = /^("[^"]*"|'[^']*'|[^\s,:}\]]+|)/.exec(lines[line - 1]?.slice(column - 1) ?? "")?.[0] ?? "";
    return `${code.replace("TM_CONFIG_", "")} ${line} ${word}`.slice(0, 60);
  });
}

function messages(text: string, ledger = LEDGER): string {
  const result = parse(text, ledger);
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
const SERVICE = "{cluster: ledger.test}";
const service = (fields: string) => edited([SERVICE, fields]);
const inRule = (line: string) => edited(["      limits:\n", `      ${line}\n      limits:\n`]);
/** With mode leased. */
const leased = (line: string) =>
  edited(["mode: strict", "mode: leased"], ["      limits:\n", `      ${line}\n      limits:\n`]);
const local = (line: string) => edited([`  service: ${SERVICE}\n`, "\n"], ["mode: strict", line]);
const LIMITS = "{unit: tokens, amount: 1000, per: minute}";
const limit = (fields: string, ...more: readonly (readonly [string, string])[]) => edited([LIMITS, fields], ...more);
const OWN_AMOUNTS = [SERVICE, "{cluster: ledger.test, override: false}"] as const;

describe("a valid service", () => {
  it("has its defaults written out", () => {
    const { service: one, rules } = specOf(LIMIT);
    expect(one).toEqual({
      cluster: "ledger.test",
      domain: "tokenmesh",
      protocol: "ledger",
      timeoutMs: 250,
      override: true,
      refunds: undefined,
    });
    expect(rules[0]).toMatchObject({ mode: "strict", onFailure: "local", leasePercent: undefined, overrun: "allow" });
    expect(specOf(leased("onFailure: open")).rules[0]).toMatchObject({
      mode: "leased",
      onFailure: "open",
      leasePercent: 5,
    });
    expect(specOf(service("{cluster: ledger.test, protocol: envoy}")).service?.refunds).toBe(false);
  });

  it("is told to the filter by its cluster, in a fixed order", () => {
    const text = edited(
      [SERVICE, "{refunds: true, timeoutMs: 5, protocol: envoy, domain: d, cluster: ledger.test}"],
      ["mode: strict", "leasePercent: 9\n      overrun: stop\n      onFailure: closed\n      mode: leased"],
      [LIMITS, "{amountFrom: {metadata: {path: [a], namespace: n}}, unit: tokens, amount: 1, per: day}"],
      [
        "        - {amountFrom",
        "        - {unit: requests, amount: 1, per: day, amountFrom: {header: x-a}}\n        - {amountFrom",
      ],
    );
    const written = { spec: specOf(text), serviceCluster: "outbound|1||c" };
    expect(JSON.stringify(rateLimits(written))).toBe(
      '{"rules":[{"name":"first","key":[],"missingKey":"shared","limits":[' +
        '{"unit":"requests","amount":1,"amountFrom":{"header":"x-a"},"per":"day","rolling":false},' +
        '{"unit":"tokens","amount":1,"amountFrom":{"metadata":{"namespace":"n","path":["a"]}},"per":"day","rolling":false}],' +
        '"shadow":false,"mode":"leased","onFailure":"closed","leasePercent":9,"overrun":"stop"}],"maxKeys":65536,"includeUsage":true,' +
        '"service":{"cluster":"outbound|1||c","domain":"d","protocol":"envoy","timeoutMs":5,"override":true,"refunds":true}}',
    );
  });
});

describe("errors of one value", () => {
  const wrong: [name: string, text: string, error: string][] = [
    ["a service of nothing", service("{domain: d}"), "MISSING_FIELD 6 {domain"],
    ["a field of a service", service("{cluster: ledger.test, adress: a}"), "UNKNOWN_FIELD 6 adress"],
    ["a protocol", service("{cluster: ledger.test, protocol: http}"), "INVALID_VALUE 6 http"],
    ["a time", service("{cluster: ledger.test, timeoutMs: 0}"), "INVALID_VALUE 6 0"],
    ["refunds of the ledger", service("{cluster: ledger.test, refunds: false}"), "CONFLICT 6 false"],
    ["a service that no file defines", service("{cluster: other.test}"), "UNKNOWN_REFERENCE 6 other.test"],
    ["a port that it has not", service('{cluster: "ledger.test:1"}'), 'UNKNOWN_REFERENCE 6 "ledger.test:1"'],
    ["a service of nobody", edited(["mode: strict", "mode: local"]), "CONFLICT 6 {cluster"],
    ["a rule without its service", local("mode: leased"), "MISSING_FIELD 9 leased"],
    ["a mode", edited(["strict", "global"]), "INVALID_VALUE 9 global"],
    ["a failure of nobody else", local("onFailure: local"), "CONFLICT 9 local"],
    ["a lease of a question", inRule("leasePercent: 5"), "CONFLICT 10 5"],
    ["a lease", leased("leasePercent: 51"), "INVALID_VALUE 10 51"],
    ["a queue elsewhere", inRule("queueMs: 5"), "CONFLICT 10 5"],
    ["a queue", local("queueMs: 60001"), "INVALID_VALUE 9 60001"],
    ["a pace elsewhere", inRule("overrun: pace"), "CONFLICT 10 pace"],
    [
      "an overrun of requests",
      limit("{unit: requests, amount: 1, per: day}", ["strict", "strict\n      overrun: stop"]),
      "CONFLICT 10 stop",
    ],
    [
      "the pace of a day",
      edited(
        [`  service: ${SERVICE}\n`, "\n"],
        ["mode: strict", "overrun: pace"],
        [LIMITS, "{unit: tokens, amount: 1, per: day}"],
      ),
      "CONFLICT 9 pace",
    ],
    ["an amount of nothing", limit("{unit: tokens, amount: 1, per: day, amountFrom: {}}"), "MISSING_FIELD 11 {"],
    [
      "an amount of two things",
      limit("{unit: tokens, amount: 1, per: day, amountFrom: {header: a, metadata: {namespace: n, path: [p]}}}"),
      "CONFLICT 11 {header",
    ],
    [
      "an amount of a header that is removed",
      limit("{unit: tokens, amount: 1, per: day, amountFrom: {header: x-llm-a}}"),
      "INVALID_VALUE 11 x-llm-a",
    ],
    [
      "an amount that nobody asks for",
      limit("{unit: tokens, amount: 1, per: day, amountFrom: {header: a}}", OWN_AMOUNTS),
      "CONFLICT 11 {header",
    ],
    ["a rolling question", limit("{unit: tokens, amount: 1, per: day, rolling: true}"), "CONFLICT 11 true"],
    [
      "a rolling lease",
      limit("{unit: tokens, amount: 1, per: day, rolling: true}", OWN_AMOUNTS, ["strict", "leased"]),
      "CONFLICT 11 true",
    ],
    ["a time zone elsewhere", limit("{unit: tokens, amount: 1, per: day, timeZone: Z}"), "CONFLICT 11 Z"],
    [
      "a limit that stands twice",
      limit(`${LIMITS}\n        - {unit: tokens, amount: 2, per: minute}`),
      "DUPLICATE 12 {unit",
    ],
    ["too many limits", edited([/ {4}- name[\s\S]*/.exec(LIMIT)?.[0] ?? "", many(33)]), "INVALID_VALUE 8 -"],
  ];
  it.each(wrong)("%s", (_name, text, expected) => {
    expect(errors(text)).toEqual([expected]);
  });

  it("say what to write instead", () => {
    expect(messages(local("mode: leased"))).toContain(
      "spec: mode leased needs a service; Add service, with the cluster of a Rate Limit Service.",
    );
    expect(messages(limit("{unit: tokens, amount: 1, per: day, rolling: true}"))).toContain(
      "spec.rules[0].limits[0]: mode strict has windows of the calendar in UTC only; Remove it, use mode local, or unset",
    );
    expect(messages(local("onFailure: open"))).toContain("Remove it, or use mode strict or leased.");
  });
});

describe("the host of a service", () => {
  const host = (name: string) => `{cluster: ${JSON.stringify(name)}}`;
  it("may have a port, and a short name", () => {
    const short = LEDGER.replace("ledger.test", "ledger.default.svc.cluster.local");
    expect([errors(service(host("ledger.test:8081"))), errors(service(host("ledger")), short)]).toEqual([[], []]);
  });

  it("is spoken to over HTTP/2", () => {
    const http = LEDGER.replace("GRPC", "HTTP");
    expect(errors(LIMIT, http)).toEqual(["CONFLICT 6 ledger.test"]);
    expect(messages(LIMIT, http)).toContain(
      "port 8081 of ledger.test speaks HTTP/1.1, a Rate Limit Service HTTP/2; Set the port's protocol to GRPC.",
    );
    expect(errors(LIMIT, LEDGER.replace("GRPC", "HTTP2"))).toEqual([]);
  });

  it("makes a name of at most 256 bytes, as the filter takes it", () => {
    const named = (bytes: number) => `${"h".repeat(bytes - 5)}.test`;
    const [fits, long] = [named(256 - "outbound|8081||".length), named(257 - "outbound|8081||".length)];
    expect(errors(service(host(fits)), LEDGER.replace("ledger.test", fits))).toEqual([]);
    expect(errors(service(host(long)), LEDGER.replace("ledger.test", long))).toEqual([
      expect.stringMatching(/^INVALID_VALUE 6 "h/),
    ]);
  });

  it("must be said with its port when it has several", () => {
    const two = LEDGER.replace("ports: [", "ports: [{number: 9, name: admin}, ");
    expect([errors(LIMIT, two), errors(service(host("ledger.test:8081")), two)]).toEqual([
      ["MISSING_FIELD 6 ledger.test"],
      [],
    ]);
  });

  it("is not judged when a ServiceEntry could not be read", () => {
    const found = messages(service(host("other.test")), LEDGER.replace("STATIC", "STATICK"));
    expect(found).toContain("ledger.yaml:8:15: TM_CONFIG_INVALID_VALUE");
    expect(found).not.toContain("other.test");
  });
});

it("all errors of a service and its rules come out at once", () => {
  const text = edited(
    [SERVICE, "{cluster: ledger.test, override: false}"],
    ["mode: strict", "mode: leased"],
    [
      LIMITS,
      "{unit: tokens, amount: 1, per: day, rolling: true, amountFrom: {header: a}}\n        - {unit: tokens, amount: 1, per: day, timeZone: Z}",
    ],
  );
  expect(errors(text)).toEqual(["CONFLICT 11 true", "CONFLICT 11 {header", "DUPLICATE 12 {unit", "CONFLICT 12 Z"]);
});

it("all errors of a rule come out at once", () => {
  expect(errors(local("queueMs: 1\n      mode: strict\n      leasePercent: 1\n      overrun: pace"))).toEqual([
    "CONFLICT 9 1",
    "CONFLICT 11 1",
    "CONFLICT 12 pace",
  ]);
});

function many(rules: number): string {
  const lines = (index: number) => `    - {name: r${index}, mode: strict, limits: [${LIMITS}]}\n`;
  return Array.from({ length: rules }, (_, index) => lines(index)).join("");
}
