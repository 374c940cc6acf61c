import { describe, expect, it } from "vitest";
import { formatError } from "./diagnostics.ts";
import { parseConfig } from "./parse.ts";
import type { PromptCacheSpec } from "./prompt-cache-model.ts";

/**
 * The schema of PromptCache: what is accepted, with which defaults, where each error stands, and what it must agree about with others. Which values the filter
 * takes, too: test/filters/prompt-cache-config.test.ts.
 */

const CACHE = `
apiVersion: tokenmesh.io/v1alpha1
kind: PromptCache
metadata: {name: answers}
spec:
  tenantHeader: x-tenant
  rules:
    - name: first
`;

const gateway = (name: string, port: number) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}}
spec: {servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: ["*"]}]}
`;
const other = (kind: string, spec: string) => `
apiVersion: tokenmesh.io/v1alpha1
kind: ${kind}
metadata: {name: other}
spec:
  ${spec}
`;
const SERVICE = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec: {hosts: [a.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 192.0.2.1}]}
`;

const parse = (...texts: readonly string[]) =>
  parseConfig(texts.map((text, index) => ({ file: index === 0 ? "f.yaml" : `${index}.yaml`, text })));

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

/** `file:line:col: CODE message; remedy` of the errors, or of the warnings of what is right. */
function said(...texts: readonly string[]): readonly string[] {
  const result = parse(...texts);
  return (result.ok ? result.warnings : result.errors).map(formatError);
}

function specOf(text: string): PromptCacheSpec {
  const result = parse(text);
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  const [cache] = result.model.promptCaches;
  if (cache === undefined) throw new Error("no cache");
  return cache.spec;
}

const field = (line: string) => CACHE.replace("spec:\n", `spec:\n  ${line}\n`);
const inRule = (...lines: readonly string[]) => CACHE + lines.map((line) => `      ${line}\n`).join("");

describe("a valid PromptCache", () => {
  it("has its defaults written out", () => {
    const spec = specOf(CACHE);
    expect(spec.paths).toHaveLength(14);
    expect({ ...spec, paths: undefined }).toEqual({
      paths: undefined,
      maxBodyBytes: 10_485_760,
      tenantHeader: "x-tenant",
      tokensPerByte: 0.25,
      duplicateModel: "reject",
      accessLog: false,
      metrics: { enabled: true, models: undefined },
      maxBytes: 67_108_864,
      maxEntryBytes: 262_144,
      maxRecordingBytes: 16_777_216,
      secret: undefined,
      ignore: undefined,
      service: undefined,
      rules: [
        {
          name: "first",
          match: undefined,
          key: [expect.objectContaining({ apiKey: true, header: undefined })],
          headers: ["anthropic-version", "anthropic-beta", "openai-beta"],
          missingKey: "bypass",
          ttlMs: 3_600_000,
          staleWhileRevalidateMs: 0,
          staleIfErrorMs: 0,
          cache: { temperature: "unset", tools: false, choices: false },
          transcode: false,
          singleFlight: { waitMs: 60_000, live: false },
          semantic: undefined,
          clientControl: true,
          showKey: true,
          hitTokens: 0,
          prices: undefined,
        },
      ],
    });
  });

  it("may ask this server for answers, in its own time, or not", () => {
    const service = (text: string) => specOf(field(`service: ${text}`)).service;
    expect([service("false"), service("")]).toEqual([undefined, undefined]);
    expect([service("true"), service("{}")]).toEqual(new Array(2).fill({ timeoutMs: 50, ttlMs: 86_400_000 }));
    expect(service("{ttlMs: 1000}")).toEqual({ timeoutMs: 50, ttlMs: 1_000 });
  });

  it("may share calls, and for how long", () => {
    const flight = (text: string) => specOf(inRule(`singleFlight: ${text}`)).rules[0]?.singleFlight;
    expect(flight("false")).toBeUndefined();
    expect([flight("true"), flight("{}"), flight("")]).toEqual(new Array(3).fill({ waitMs: 60_000, live: false }));
    expect(flight("{waitMs: 10}")).toEqual({ waitMs: 10, live: false });
    const live = `${field("service: true")}      singleFlight: {live: true}\n`;
    expect(specOf(live).rules[0]?.singleFlight).toEqual({ waitMs: 60_000, live: true });
  });

  it("has room for its entries, however small it is", () => {
    const entry = (...lines: readonly string[]) => specOf(field(lines.join("\n  "))).maxEntryBytes;
    expect(entry("maxBytes: 1048576")).toBe(16_384);
    expect(entry("maxBytes: 1048639")).toBe(16_384);
    expect(entry("maxBytes: 4294967296")).toBe(262_144);
    expect(entry("maxBytes: 4294967296", "maxEntryBytes: 4194304")).toBe(4_194_304);
  });

  it("has empty lists where none are wanted", () => {
    const [rule] = specOf(inRule("key: []", "headers: []")).rules;
    expect([rule?.key, rule?.headers, specOf(field("ignore: []")).ignore]).toEqual([[], [], []]);
  });

  it("belongs to the Gateways of its annotation, or to all", () => {
    const gateways = (text: string) => {
      const result = parse(text, gateway("edge", 1), gateway("public", 2));
      return result.ok ? result.model.promptCaches[0]?.gateways : "refused";
    };
    const named = CACHE.replace(
      "{name: answers}",
      '{name: answers, annotations: {tokenmesh.io/gateways: "edge, public"}}',
    );
    expect([gateways(named), gateways(CACHE)]).toEqual([["edge", "public"], undefined]);
  });
});

describe("errors of one value", () => {
  const wrong: [name: string, text: string, error: string][] = [
    ["an unknown field", field("size: 1"), "UNKNOWN_FIELD 6 size"],
    ["a field of the filter that the server fills", field("purges: {}"), "UNKNOWN_FIELD 6 purges"],
    ["another one", field("scope: a"), "UNKNOWN_FIELD 6 scope"],
    ["a field of the traffic", field("maxBodyBytes: 0"), "INVALID_VALUE 6 0"],
    ["no rules", CACHE.replace(/ {2}rules:[\s\S]*/, ""), "MISSING_FIELD 6 tenantHeader"],
    ["an empty list of rules", CACHE.replace(/rules:[\s\S]*/, "rules: []"), "INVALID_VALUE 7 ["],
    ["a rule without a name", CACHE.replace("name: first", "ttlMs: 1000"), "MISSING_FIELD 8 ttlMs"],
    ["two rules of one name", inRule("match: {}", "ttlMs: 1000").concat("    - name: first\n"), "DUPLICATE 11 first"],
    ["a size", field("maxBytes: 1000"), "INVALID_VALUE 6 1000"],
    ["an entry that no set has room for", field("maxEntryBytes: 1048577"), "CONFLICT 6 1048577"],
    ["a secret", field("secret: abc"), "INVALID_VALUE 6 abc"],
    ["a member that is asked", field("ignore: [user, model]"), "INVALID_VALUE 6 model"],
    ["a member twice", field("ignore: [user, user]"), "DUPLICATE 6 user"],
    ["a service in another file", field("service: {cluster: a.test}"), "UNKNOWN_FIELD 6 cluster"],
    ["a service's time", field("service: {timeoutMs: 0}"), "INVALID_VALUE 6 0"],
    ["a service in a word", field("service: redis"), "WRONG_TYPE 6 redis"],
    ["a time", inRule("ttlMs: 999"), "INVALID_VALUE 9 999"],
    ["a duration", inRule("staleIfErrorMs: 1h"), "WRONG_TYPE 9 1h"],
    ["a temperature", inRule("cache: {temperature: 0}"), "INVALID_VALUE 9 0"],
    ["shared calls", inRule("singleFlight: {waitMs: 0}"), "INVALID_VALUE 9 0"],
    ["streams to read along without a service", inRule("singleFlight: {live: true}"), "CONFLICT 9 {live"],
    [
      "streams to read along that count",
      `${field("service: true")}      hitTokens: 1\n      singleFlight: {live: true}\n`,
      "CONFLICT 11 {live",
    ],
    ["streams to read along in a word", inRule("singleFlight: {live: yes}"), "WRONG_TYPE 9 yes"],
    ["streams to give as they came without a service", inRule("paced: true"), "CONFLICT 9 true"],
    [
      "streams to give as they came that count",
      `${field("service: true")}      hitTokens: 1\n      paced: {speed: 2}\n`,
      "CONFLICT 11 {speed",
    ],
    ["a pace in a number", inRule("paced: 2"), "WRONG_TYPE 9 2"],
    ["a key", inRule("key: [{header: x-llm-a}]"), "INVALID_VALUE 9 x-llm-a"],
    ["a header", inRule("headers: [x-gateway-destination-endpoint]"), "INVALID_VALUE 9 x-gateway-destination-endpoint"],
    ["a missing key", inRule("missingKey: skip"), "INVALID_VALUE 9 skip"],
    ["a share of tokens", inRule("hitTokens: 101"), "INVALID_VALUE 9 101"],
    ["prices of nothing", inRule("prices: [{model: m, input: 0, output: 0}]"), "INVALID_VALUE 9 [{model"],
    [
      "a tenant without its header",
      inRule("match: {tenants: [a]}").replace("  tenantHeader: x-tenant\n", ""),
      "MISSING_FIELD 8 [a",
    ],
    ["a rule that nothing comes to", `${CACHE}    - name: second\n`, "CONFLICT 9 second"],
  ];

  it.each(wrong)("%s", (_name, text, error) => {
    expect(errors(text)).toEqual([error]);
  });

  it("do not show a secret", () => {
    const text = field(`secret: "${"5ecret".repeat(5)}xx"`);
    expect(said(text)).toEqual([expect.stringContaining("this is not 32 hexadecimal digits")]);
    expect(said(text).join()).not.toContain("5ecret");
  });

  it("say what to do", () => {
    expect(said(`${CACHE}    - name: second\n`)).toEqual([
      "f.yaml:9:13: TM_CONFIG_CONFLICT spec.rules: rule second gets no requests: rule first before it takes all; Give first a match, or put it last.",
    ]);
    expect(said(field("ignore: [stream]"))).toEqual([
      "f.yaml:6:12: TM_CONFIG_INVALID_VALUE spec.ignore[0]: stream is what is asked, which has to be part of the key; Remove it from the list.",
    ]);
    expect(said(field("maxEntryBytes: 2000000"))[0]).toContain(
      "2000000 is more than maxBytes / 64, which is 1048576; Lower it, or raise maxBytes.",
    );
  });
});

describe("with other documents", () => {
  it("is the only one of its Gateways, and names none that is not there", () => {
    const second = CACHE.replace("{name: answers}", "{name: more}");
    expect(said(CACHE, second, gateway("edge", 1))).toEqual([
      "1.yaml:4:18: TM_CONFIG_CONFLICT Gateway default/edge already has PromptCache answers; " +
        "Put all rules into one PromptCache, or name the Gateways in the annotation tokenmesh.io/gateways.",
    ]);
    expect(said(CACHE, CACHE)).toEqual([expect.stringContaining("TM_CONFIG_DUPLICATE PromptCache default/answers is")]);
    const lost = CACHE.replace("{name: answers}", "{name: answers, annotations: {tokenmesh.io/gateways: nowhere}}");
    expect(said(lost)).toEqual([expect.stringMatching(/^f\.yaml:4:.*TM_CONFIG_UNKNOWN_REFERENCE no Gateway defines/)]);
  });

  it("warns when no Gateway has it", () => {
    expect(said(CACHE)).toEqual([
      expect.stringMatching(/^f\.yaml:4:18: TM_CONFIG_UNUSED PromptCache default\/answers is in no Gateway;/),
    ]);
    expect(said(CACHE, gateway("edge", 1))).toEqual([]);
  });

  const body = (n: number) => `maxBodyBytes: ${n}`;
  const router = (more: string) => other("LLMRouter", `{models: [{model: "*", route: r}], ${more}}`);
  const limit = (more: string) =>
    other("TokenRateLimit", `{rules: [{name: a, limits: [{unit: tokens, amount: 1, per: day}]}], ${more}}`);
  const picker = (more: string) => other("EndpointPicker", `{pools: [{name: a, host: a.test}], ${more}}`);
  const EDGE = gateway("edge", 1);

  it.each([
    ["a router", "LLMRouter", "the router's", router],
    ["a limiter", "TokenRateLimit", "the limiter's", limit],
  ])("sees traffic as %s does", (_what, kind, whose, make) => {
    expect(said(field(body(5)), EDGE, SERVICE, make(body(5)))).toEqual([]);
    expect(said(CACHE, EDGE, SERVICE, make(body(5)))).toEqual([]);
    expect(said(field(body(5)), EDGE, SERVICE, make(body(6)))).toEqual([
      `f.yaml:6:17: TM_CONFIG_CONFLICT spec.maxBodyBytes is 5 here and 6 in ${kind} default/other, which is in Gateway default/edge too; ` +
        `Leave maxBodyBytes out here, which takes ${whose}, or write the same value in both.`,
    ]);
  });

  it("says it to a picker, when there is nobody before it", () => {
    const text = field(body(5));
    expect(said(text, EDGE, SERVICE, picker(body(6)))).toEqual([
      expect.stringMatching(/^3\.yaml:6:.* is 6 here and 5 in PromptCache default\/answers, .*takes the cache's, or/),
    ]);
    expect(said(text, EDGE, SERVICE, picker(body(5)))).toEqual([]);
    // With a router it is the router's word that counts, for both.
    expect(said(field(body(5)), EDGE, SERVICE, picker(body(5)), router(body(6)))).toHaveLength(2);
    expect(said(CACHE, EDGE, SERVICE, picker(body(6)), router(body(6)))).toEqual([]);
  });

  it("may see other traffic than those of other Gateways", () => {
    const there = (text: string, name: string) =>
      text.replace(/\{name: (answers|other)\}/, `{name: $1, annotations: {tokenmesh.io/gateways: ${name}}}`);
    const texts = [there(field(body(5)), "edge"), there(limit(body(6)), "inner"), EDGE, gateway("inner", 2)];
    expect(said(...texts)).toEqual([]);
  });
});
