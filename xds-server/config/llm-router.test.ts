import { describe, expect, it } from "vitest";
import { formatError } from "./diagnostics.ts";
import type { LlmRouterSpec } from "./llm-model.ts";
import { parseConfig } from "./parse.ts";

/** The schema of LLMRouter: what is accepted, with which defaults, and where each error stands. */

const ROUTER = `
apiVersion: tokenmesh.io/v1alpha1
kind: LLMRouter
metadata: {name: chat}
spec:
  tenantHeader: x-tenant
  targets:
    a: {route: a}
    b: {route: b}
    far: {cluster: far.test}
  rules:
    - name: first
      match: {models: ["gpt-*"]}
      targets: [{target: a}]
`;
const SERVICE = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: far}
spec:
  hosts: [far.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1}]
`;

const parse = (...documents: readonly string[]) => parseConfig([{ file: "f.yaml", text: documents.join("---") }]);

/** `CODE line what-stands-there` of every error. */
function errors(...documents: readonly string[]): readonly string[] {
  const result = parse(...documents);
  if (result.ok) return [];
  const lines = documents.join("---").split("\n");
  return result.errors.map(({ line, column, code }) => {
    const word = /^("[^"]*"|'[^']*'|[^\s,:}\]]+|)/.exec(lines[line - 1]?.slice(column - 1) ?? "")?.[0] ?? "";
    return `${code.replace("TM_CONFIG_", "")} ${line} ${word}`.slice(0, 60);
  });
}

function messages(...documents: readonly string[]): string {
  const result = parse(...documents);
  return result.ok ? "" : result.errors.map(formatError).join("\n");
}

function specOf(...documents: readonly string[]): LlmRouterSpec {
  const result = parse(...documents);
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  const [router] = result.model.llmRouters;
  if (router === undefined) throw new Error("no router");
  return router.spec;
}

/** The router with some lines replaced or added behind a line. */
const edited = (...edits: readonly (readonly [from: string, to: string])[]) =>
  edits.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`no ${from}`);
    return text.replace(from, to);
  }, ROUTER);
const target = (fields: string) => edited(["    b: {route: b}", `    b: ${fields}`]);
const match = (fields: string) => edited(['{models: ["gpt-*"]}', fields]);
const inRule = (line: string) => edited(["targets: [{target: a}]", `targets: [{target: a}]\n      ${line}`]);
const field = (line: string) => edited(["spec:\n", `spec:\n  ${line}\n`]);

describe("a valid LLMRouter", () => {
  it("has its defaults written out", () => {
    const spec = specOf(edited(["    far: {cluster: far.test}\n", ""]));
    expect(spec).toEqual({
      paths: [
        ...["/chat/completions", "/completions", "/responses", "/embeddings", "/messages", "/messages/count_tokens"],
        ...["/audio/transcriptions", "/audio/translations", "/audio/speech"],
        ...["/images/generations", "/images/edits", "/images/variations"],
        ...[":generateContent", ":streamGenerateContent"],
      ],
      maxBodyBytes: 10_485_760,
      routeHeader: "x-llm-route",
      clusterHeader: "x-llm-cluster",
      tenantHeader: "x-tenant",
      tokensPerByte: 0.25,
      duplicateModel: "reject",
      responseHeaders: false,
      accessLog: false,
      metrics: { enabled: true, models: undefined },
      targets: new Map([
        ["a", expect.objectContaining({ route: "a", cluster: undefined, credential: undefined })],
        ["b", expect.objectContaining({ route: "b" })],
      ]),
      rules: [
        {
          name: "first",
          match: expect.objectContaining({ models: ["gpt-*"], provider: undefined }),
          targets: [{ target: "a", weight: 1 }],
          stickyBy: undefined,
          fallback: undefined,
        },
      ],
      models: [],
      onMissingModel: "reject",
      onUnknownModel: "reject",
      onMalformedBody: "reject",
      onBodyTooLarge: "reject",
      onBodyUnreadable: "reject",
    });
  });

  it.each([
    ["an Authorization header has a Bearer", "{env: KEY}", { header: "authorization", prefix: "Bearer ", env: "KEY" }],
    ["another header has none", "{header: x-api-key, value: k}", { header: "x-api-key", prefix: "", value: "k" }],
    ["unless they say otherwise", '{prefix: "", value: k}', { header: "authorization", prefix: "" }],
  ])("credentials: %s", (_what, credential, expected) => {
    const spec = specOf(target(`{route: b, credential: ${credential}}`), SERVICE);
    expect(spec.targets.get("b")?.credential).toMatchObject(expected);
  });

  it("takes everything at once", () => {
    const text = edited(
      ["    b: {route: b}", "    b: {cluster: far.test, upstreamModel: m, host: api.test, pathPrefix: {to: /v1}}"],
      [
        '{models: ["gpt-*"]}',
        `{models: ["*"], provider: openai, apis: [openai.chat, gemini.generate], paths: [/v1/], headers: [{name: x-a, present: false},
          {name: x-b, exact: "a b"}, {name: x-c, prefix: c}], tenants: [acme], promptTokens: {atLeast: 0, below: 10}, stream: true,
          tools: false, images: false, session: true, lastUserMessage: "(?i)code"}`,
      ],
      [
        "targets: [{target: a}]",
        "targets: [{target: far, weight: 0}, {target: near}]\n      stickyBy: header:x-session\n      fallback: {targets: [b], statuses: [529], firstByteTimeout: 10s}",
      ],
      ["    a: {route: a}", "    near: {cluster: far.test}\n    a: {route: a}"],
      [
        "  tenantHeader",
        "  onMissingModel: {target: b}\n  onUnknownModel: {route: r, upstreamModel: m}\n  paths: [/x, ':generateContent']\n  metrics: {models: []}\n  tokensPerByte: 4\n  tenantHeader",
      ],
    );
    const spec = specOf(text, SERVICE);
    expect(spec.targets.get("b")).toMatchObject({ pathPrefix: { from: "/", to: "/v1" }, host: "api.test" });
    expect(spec.rules[0]?.fallback).toEqual({ targets: ["b"], statuses: [529], firstByteTimeout: 10_000 });
    expect(spec.onMissingModel).toEqual({ target: "b" });
    expect(spec.metrics).toEqual({ enabled: true, models: [] });
  });

  it("may have models, rules or both", () => {
    const models = "models: [{model: m, route: r}]";
    expect(errors(field(models), SERVICE)).toEqual([]);
    expect(errors(ROUTER.replace(/ {2}targets:[\s\S]*/, `  ${models}\n`))).toEqual([]);
    expect(errors(ROUTER.replace(/ {2}rules:[\s\S]*/, ""), SERVICE)).toEqual(["MISSING_FIELD 6 tenantHeader"]);
  });

  it("takes targets and rules through aliases", () => {
    const text = edited(
      ["    b: {route: b}", "    b: &b {route: b}\n    c: *b"],
      ["targets: [{target: a}]", "targets: [{target: c}]"],
    );
    expect(errors(text, SERVICE)).toEqual([]);
  });
});

describe("errors of one value", () => {
  it.each<[what: string, text: string, ...expected: string[]]>([
    ["a path that is neither", field("paths: [chat]"), "INVALID_VALUE 6 chat"],
    ["another method of Gemini", field('paths: [":countTokens"]'), 'INVALID_VALUE 6 ":countTokens"'],
    ["a header of clients", field("clusterHeader: x-cluster"), "INVALID_VALUE 6 x-cluster"],
    ["the model's header", field("clusterHeader: x-llm-model"), "CONFLICT 6 x-llm-model"],
    ["one header for two things", field("clusterHeader: x-llm-route"), "CONFLICT 6 x-llm-route"],
    ["the same, the other way", field("routeHeader: x-llm-cluster"), "CONFLICT 6 x-llm-cluster"],
    ["an upper-case header", edited(["x-tenant", "X-Tenant"]), "INVALID_VALUE 6 X-Tenant"],
    ["a tenant header that clients cannot send", edited(["x-tenant", "x-llm-tenant"]), "INVALID_VALUE 6 x-llm-tenant"],
    ["no tokens per byte", field("tokensPerByte: 0"), "INVALID_VALUE 6 0"],
    ["more tokens than bytes", field("tokensPerByte: 4.1"), "INVALID_VALUE 6 4.1"],
    ["infinitely many tokens", field("tokensPerByte: .inf"), "INVALID_VALUE 6 .inf"],
    ["no number", field("tokensPerByte: .nan"), "INVALID_VALUE 6 .nan"],
    ["a flag in words", field("accessLog: on"), "WRONG_TYPE 6 on"],
    ["an unknown metric field", field("metrics: {model: []}"), "UNKNOWN_FIELD 6 model"],
    ["too many measured models", field(`metrics: {models: [${"m, ".repeat(64)}m]}`), "INVALID_VALUE 6 [m"],

    ["a target without destination", target("{upstreamModel: m}"), "MISSING_FIELD 9 {upstreamModel"],
    ["a target with two", target("{route: b, cluster: b}"), "CONFLICT 9 {route"],
    ["a target with a plus", target("{route: a+b}"), "INVALID_VALUE 9 a+b"],
    ["a target with a space", target('{route: "a b"}'), 'INVALID_VALUE 9 "a b"'],
    ["a target's name", edited(["    b:", "    -b:"]), "INVALID_VALUE 9 -b"],
    ["a target's long name", edited(["    b:", `    ${"b".repeat(65)}:`]), `INVALID_VALUE 9 ${"b".repeat(44)}`],
    [
      "no targets",
      edited([/ {4}a:[\s\S]*? {2}rules/.exec(ROUTER)?.[0] ?? "", "    {}\n  rules"]),
      "INVALID_VALUE 8 {",
      "UNKNOWN_REFERENCE 12 a",
    ],
    ["a host with a space", target('{route: b, host: "a b"}'), 'INVALID_VALUE 9 "a b"'],
    ["a path prefix without end", target("{route: b, pathPrefix: {from: /a}}"), "MISSING_FIELD 9 {from"],
    ["a relative path prefix", target("{route: b, pathPrefix: {to: v1}}"), "INVALID_VALUE 9 v1"],
    ["a path prefix with a query", target('{route: b, pathPrefix: {to: "/v1?a"}}'), 'INVALID_VALUE 9 "/v1?a"'],
    ["no secret", target("{route: b, credential: {header: x-key}}"), "MISSING_FIELD 9 {header"],
    ["two secrets", target("{route: b, credential: {env: A, value: b}}"), "CONFLICT 9 {env"],
    [
      "a prefix that is too long",
      target(`{route: b, credential: {env: A, prefix: ${"p".repeat(65)}}}`),
      `INVALID_VALUE 9 ${"p".repeat(44)}`,
    ],

    ["a rule without name", edited(["name: first", "stickyBy: session"]), "MISSING_FIELD 12 stickyBy"],
    ["a rule's name", edited(["name: first", "name: a rule"]), "INVALID_VALUE 12 a"],
    ["a rule without targets", edited(["targets: [{target: a}]", "targets: []"]), "INVALID_VALUE 14 ["],
    ["a star inside", match("{models: [a*b]}"), "INVALID_VALUE 13 a*b"],
    ["a provider with a slash", match("{provider: a/b}"), "INVALID_VALUE 13 a/b"],
    ["a provider that begins with a dash", match("{provider: -a}"), "INVALID_VALUE 13 -a"],
    ["an unknown API", match("{apis: [openai.chats]}"), "INVALID_VALUE 13 openai.chats"],
    ["a path without slash", match("{paths: [v1]}"), "INVALID_VALUE 13 v1"],
    ["a header without condition", match("{headers: [{name: x}]}"), "MISSING_FIELD 13 {name"],
    ["a header with two", match("{headers: [{name: x, exact: a, present: true}]}"), "CONFLICT 13 {name"],
    ["an upper-case header to match", match("{headers: [{name: X, exact: a}]}"), "INVALID_VALUE 13 X"],
    [
      "a header that clients cannot send",
      match("{headers: [{name: x-gateway-destination-endpoint, present: true}]}"),
      "INVALID_VALUE 13 x-gateway-destination-endpoint",
    ],
    ["an empty prefix", match('{headers: [{name: x, prefix: ""}]}'), 'INVALID_VALUE 13 ""'],
    ["no bound", match("{promptTokens: {}}"), "MISSING_FIELD 13 {"],
    ["bounds the wrong way", match("{promptTokens: {atLeast: 10, below: 10}}"), "INVALID_VALUE 13 {atLeast"],
    ["a bound out of range", match("{promptTokens: {below: 0}}"), "INVALID_VALUE 13 0"],
    ["a flag that is none", match("{stream: yes}"), "WRONG_TYPE 13 yes"],
    [
      "a pattern that is too long",
      match(`{lastUserMessage: ${"a".repeat(513)}}`),
      `INVALID_VALUE 13 ${"a".repeat(43)}`,
    ],
    ["an unknown condition", match("{tenant: a}"), "UNKNOWN_FIELD 13 tenant"],
    ["stickiness of another kind", inRule("stickyBy: cookie"), "INVALID_VALUE 15 cookie"],
    ["stickiness without header", inRule('stickyBy: "header:"'), 'INVALID_VALUE 15 "header:"'],
    ["stickiness by one that clients cannot send", inRule("stickyBy: header:x-llm-user"), "INVALID_VALUE 15 header"],
    ["a fallback without targets", inRule("fallback: {}"), "MISSING_FIELD 15 {"],
    ["a good status as failure", inRule("fallback: {targets: [b], statuses: [399]}"), "INVALID_VALUE 15 399"],
    ["five fallbacks", inRule("fallback: {targets: [b, b, b, b, b]}"), "INVALID_VALUE 15 [b"],
    ["a timeout without unit", inRule("fallback: {targets: [b], firstByteTimeout: 10}"), "WRONG_TYPE 15 10"],
    ["a timeout in minutes", inRule("fallback: {targets: [b], firstByteTimeout: 1m}"), "INVALID_VALUE 15 1m"],
    ["a timeout of fractions", inRule("fallback: {targets: [b], firstByteTimeout: 1.5s}"), "INVALID_VALUE 15 1.5s"],
    ["a timeout that is too short", inRule("fallback: {targets: [b], firstByteTimeout: 9ms}"), "INVALID_VALUE 15 9ms"],
    ["a timeout that is too long", inRule("fallback: {targets: [b], firstByteTimeout: 601s}"), "INVALID_VALUE 15 601s"],
    ["a default that is neither", field("onMissingModel: pass"), "INVALID_VALUE 6 pass"],
    ["a default of nothing", field("onMissingModel: {upstreamModel: m}"), "MISSING_FIELD 6 {upstreamModel"],
    ["a default of two", field("onMissingModel: {route: r, target: a}"), "CONFLICT 6 {route"],
    ["a model beside a target", field("onMissingModel: {target: a, upstreamModel: m}"), "CONFLICT 6 {target"],
  ])("%s", (_what, text, ...expected) => {
    expect(errors(text, SERVICE)).toEqual(expected);
  });
});

describe("errors between values", () => {
  it.each<[what: string, text: string, ...expected: string[]]>([
    ["an unknown target", edited(["{target: a}", "{target: aa}"]), "UNKNOWN_REFERENCE 14 aa"],
    ["an unknown fallback", inRule("fallback: {targets: [b, c]}"), "UNKNOWN_REFERENCE 15 c"],
    ["an unknown default", field("onUnknownModel: {target: c}"), "UNKNOWN_REFERENCE 6 c"],
    ["a target twice", edited(["[{target: a}]", "[{target: a}, {target: a}]"]), "DUPLICATE 14 a"],
    ["a fallback twice", inRule("fallback: {targets: [b, b]}"), "DUPLICATE 15 [b"],
    ["a fallback to itself", inRule("fallback: {targets: [b, a]}"), "CONFLICT 15 [b"],
    ["a pool of two kinds", inRule("fallback: {targets: [far]}"), "CONFLICT 15 [far"],
    ["a pool of routes", inRule("fallback: {targets: [b]}"), "UNSUPPORTED 15 {targets"],
    [
      "weights of 0",
      edited(["[{target: a}]", "[{target: a, weight: 0}, {target: b, weight: 0}]"]),
      "INVALID_VALUE 14 [{target",
    ],
    [
      "a rule's name twice",
      edited(["  rules:\n", "  rules:\n    - {name: first, targets: [{target: b}]}\n"]),
      "DUPLICATE 13 first",
    ],
    [
      "tenants without their header",
      match("{tenants: [a]}").replace("  tenantHeader: x-tenant\n", ""),
      "MISSING_FIELD 12 [a",
    ],
    [
      "tenants that stick, without",
      inRule("stickyBy: tenant").replace("  tenantHeader: x-tenant\n", ""),
      "MISSING_FIELD 14 tenant",
    ],
    ["an unknown service", edited(["far.test", "near.test"]), "UNKNOWN_REFERENCE 10 near.test"],
    ["an unknown port", edited(["far.test", "far.test:81"]), "UNKNOWN_REFERENCE 10 far.test"],
  ])("%s", (_what, text, ...expected) => {
    expect(errors(text, SERVICE)).toEqual(expected);
  });

  it("a pattern that the filter refuses is refused with the filter's words", () => {
    const text = match('{lastUserMessage: "a(?=b)"}');
    expect(errors(text, SERVICE)).toEqual(['INVALID_VALUE 13 "a(?=b)"']);
    expect(messages(text, SERVICE)).toMatch(/lastUserMessage: pattern has look-around at byte 1; it cannot/);
    expect(errors(match('{lastUserMessage: "(?i)\\\\bfix\\\\b"}'), SERVICE)).toEqual([]);
  });

  it("sticky sessions need no tenant", () => {
    expect(errors(inRule("stickyBy: session").replace("  tenantHeader: x-tenant\n", ""), SERVICE)).toEqual([]);
  });

  it("a service with several ports needs one to be named, and short names are in the router's namespace", () => {
    const two = SERVICE.replace("[{number: 80", "[{number: 81, name: b, protocol: HTTP}, {number: 80");
    expect(errors(ROUTER, two)).toEqual(["MISSING_FIELD 10 far.test"]);
    expect(messages(ROUTER, two)).toContain("Name one of: 81, 80.");
    expect(errors(edited(["far.test", "far.test:81"]), two)).toEqual([]);
    const short = SERVICE.replace("far.test", "far.default.svc.cluster.local");
    expect(errors(edited(["far.test", "far"]), short)).toEqual([]);
    expect(errors(edited(["far.test", "far"], ["{name: chat}", "{name: chat, namespace: x}"]), short)).toEqual([
      "UNKNOWN_REFERENCE 10 far",
    ]);
  });

  it("a cluster's name has room for namespace, router and target", () => {
    const named = (bytes: number) => edited(["{name: chat}", `{name: ${"n".repeat(bytes)}}`]);
    // llm/default/ + name + /far
    expect(errors(named(240), SERVICE)).toEqual([]);
    expect(messages(named(241), SERVICE)).toContain("cluster name of 257 bytes; Shorten one of them by 1.");
  });

  it("come together with errors elsewhere in the spec, each once, with a guess", () => {
    const text = edited(
      ["    b: {route: b}", "    primary: {route: b, hots: x}"],
      ["[{target: a}]", "[{target: primari}]\n      fallback: {targets: [primary]}\n      stickyBy: tenant"],
      ["  tenantHeader: x-tenant\n", "  maxBodyBytes: 0\n"],
    );
    expect(messages(text, SERVICE).split("\n")).toEqual([
      expect.stringMatching(/^f.yaml:6:17: TM_CONFIG_INVALID_VALUE spec.maxBodyBytes: 0 is not/),
      expect.stringMatching(/^f.yaml:9:25: TM_CONFIG_UNKNOWN_FIELD spec.targets.primary.hots: .*Did you mean host\?/),
      expect.stringMatching(/^f.yaml:14:26: TM_CONFIG_UNKNOWN_REFERENCE spec.rules\[0\]..*Did you mean primary\?/),
      expect.stringMatching(/^f.yaml:16:17: TM_CONFIG_MISSING_FIELD spec.rules\[0\].stickyBy: .*Add tenantHeader/),
    ]);
  });

  it("do not multiply: services that cannot be read are not called missing, nor targets", () => {
    expect(errors(ROUTER, SERVICE.replace("STATIC", "STATC"))).toEqual(["INVALID_VALUE 22 STATC"]);
    expect(errors(ROUTER.replace(/ {2}targets:\n[\s\S]*? {2}rules/, "  targets: [a, b]\n  rules"), SERVICE)).toEqual([
      "WRONG_TYPE 7 [a",
    ]);
  });
});

describe("a secret is in no error", () => {
  const SECRET = "sk-Secret";
  it.each([
    ["with a character that is not allowed", `value: "${SECRET} é"`],
    ["under env", `env: ${SECRET}-1`],
    ["that is too long", `value: ${SECRET.repeat(500)}`],
    ["beside env", `env: A, value: ${SECRET}`],
    ["as a list", `value: [${SECRET}]`],
    ["with a control character", `value: "${SECRET}\\u0001"`],
    ["behind a syntax error", `value: "${SECRET}" "${SECRET}"`],
  ])("%s", (_what, credential) => {
    const text = messages(target(`{route: b, credential: {${credential}}}`), SERVICE);
    expect(text).not.toBe("");
    expect(text).not.toContain("Secret");
  });

  it("that looks like a number", () => {
    const text = messages(target("{route: b, credential: {value: 123456789}}"), SERVICE);
    expect(text).toContain("TM_CONFIG_WRONG_TYPE");
    expect(text).not.toContain("12345");
  });

  it.each(['"Secret" "Secret"\n', "|Secret\n  x\n", "a: b\nSecret\nc: d\n", '"a"Secret\n- x\n'])(
    "of the YAML parser: %j",
    (value) => {
      const text = messages(`key: ${value}`);
      expect(text).toContain("TM_CONFIG_");
      expect(text).not.toContain("Secret");
    },
  );
});
