import { describe, expect, it } from "vitest";
import { formatError } from "./diagnostics.ts";
import type { EndpointPickerSpec } from "./endpoint-picker-model.ts";
import { parseConfig } from "./parse.ts";

/** The schema of EndpointPicker: what is accepted, with which defaults, where each error stands. What it must agree about with others: picker-links.test.ts. */

const PICKER = `
apiVersion: tokenmesh.io/v1alpha1
kind: EndpointPicker
metadata: {name: picks}
spec:
  tenantHeader: x-tenant
  pools:
    - name: main
      host: models.test
`;
const SERVICE = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: models}
spec:
  hosts: [models.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.1}]
`;

const parse = (text: string) =>
  parseConfig([
    { file: "f.yaml", text },
    { file: "services.yaml", text: SERVICE },
  ]);

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

function specOf(text: string): EndpointPickerSpec {
  const result = parse(text);
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  const [picker] = result.model.endpointPickers;
  if (picker === undefined) throw new Error("no picker");
  return picker.spec;
}

const field = (line: string) => PICKER.replace("spec:\n", `spec:\n  ${line}\n`);
const inPool = (...lines: readonly string[]) => PICKER + lines.map((line) => `      ${line}\n`).join("");
const hashed = (...lines: readonly string[]) => inPool("policy: consistent-hash", ...lines);
const poolOf = (text: string) => specOf(text).pools[0];

describe("a valid EndpointPicker", () => {
  it("has its defaults written out", () => {
    const spec = specOf(PICKER);
    expect(spec.paths).toHaveLength(14);
    expect({ ...spec, paths: undefined }).toEqual({
      paths: undefined,
      maxBodyBytes: 10_485_760,
      tenantHeader: "x-tenant",
      tokensPerByte: 0.25,
      duplicateModel: "reject",
      accessLog: false,
      metrics: { enabled: true, models: undefined },
      servedHeader: undefined,
      feed: { intervalMs: 250, maxAgeMs: 1_000 },
      pools: [
        {
          name: "main",
          host: "models.test",
          port: undefined,
          subset: undefined,
          targets: undefined,
          match: undefined,
          policy: "prefix-affinity",
          key: undefined,
          hash: undefined,
          bound: 2,
          leastInflight: 24,
          affinity: { threshold: 0.5, slackTokens: 1_024, queueTokens: 40_000, requestTokens: 64, prefixTokens: 256 },
          maxInflight: undefined,
          slowStartMs: 0,
          loraAffinity: false,
          preferLocality: false,
          orca: false,
          onNone: "fallback",
          shed: undefined,
        },
      ],
    });
  });

  it("has of each policy what that policy looks at", () => {
    const prefix = { header: undefined, cookie: undefined, path: undefined, user: undefined, session: undefined };
    expect(poolOf(hashed())).toMatchObject({
      key: [{ ...prefix, prefix: true }],
      hash: { function: "xxhash64", method: "rendezvous", points: undefined },
      bound: 2,
      leastInflight: 24,
      affinity: undefined,
    });
    expect(poolOf(hashed("hash: {method: ring}"))?.hash?.points).toBe(1_024);
    const least = { key: undefined, hash: undefined, bound: undefined, leastInflight: undefined, affinity: undefined };
    for (const policy of ["round-robin", "random", "least-request", "least-response-time", "weighted-round-robin"])
      expect(poolOf(inPool(`policy: ${policy}`))).toMatchObject({ policy, ...least });
  });

  it("may ask for loads in its own time, or not at all", () => {
    const feed = (text: string) => specOf(field(`feed: ${text}`)).feed;
    expect(feed("false")).toBeUndefined();
    expect([feed("true"), feed("{}"), feed("")]).toEqual(new Array(3).fill({ intervalMs: 250, maxAgeMs: 1_000 }));
    expect(feed("{maxAgeMs: 500}")).toEqual({ intervalMs: 250, maxAgeMs: 500 });
  });

  it("takes a session by the API's own rules or from a header", () => {
    const sessions = (key: string) => poolOf(hashed(`key: ${key}`))?.key?.map(({ session }) => session);
    expect(sessions("[{session: true}, {session: x-chat}]")).toEqual([true, "x-chat"]);
  });

  it("may be written with anchors", () => {
    const second = "    - {name: second, host: models.test, shed: *shed}\n";
    const text = inPool("match: {stream: true}", "shed: &shed {header: x-p, values: [low]}") + second;
    expect(specOf(text).pools.map(({ shed }) => shed)).toEqual([
      { header: "x-p", values: ["low"], waiting: 5, kvPercent: 80 },
      { header: "x-p", values: ["low"], waiting: 5, kvPercent: 80 },
    ]);
  });
});

describe("errors of one value", () => {
  const many = (n: number, entry: (i: number) => string) => `[${Array.from({ length: n }, (_, i) => entry(i)).join()}]`;
  const wrong: [name: string, text: string, error: string][] = [
    ["an unknown field", field("pool: []"), "UNKNOWN_FIELD 6 pool"],
    ["a field of the filter that the server fills", inPool("endpoints: []"), "UNKNOWN_FIELD 10 endpoints"],
    ["a field of the traffic", field("maxBodyBytes: 0"), "INVALID_VALUE 6 0"],
    ["no pools", PICKER.replace(/ {2}pools:[\s\S]*/, ""), "MISSING_FIELD 6 tenantHeader"],
    ["an empty list of pools", PICKER.replace(/pools:[\s\S]*/, "pools: []"), "INVALID_VALUE 7 ["],
    [
      "too many pools",
      PICKER.replace(/pools:[\s\S]*/, `pools: ${many(33, (i) => `{name: p${i}, host: a, match: {}}`)}`),
      "INVALID_VALUE 7 [{name",
    ],
    ["a name of other letters", PICKER.replace("name: main", "name: a/b"), "INVALID_VALUE 8 a/b"],
    [
      "a name that is too long",
      PICKER.replace("name: main", `name: ${"a".repeat(65)}`),
      `INVALID_VALUE 8 ${"a".repeat(65)}`.slice(0, 60),
    ],
    ["a name twice", `${inPool("match: {stream: true}")}    - {name: main, host: models.test}\n`, "DUPLICATE 11 main"],
    ["no host", PICKER.replace("      host: models.test\n", ""), "MISSING_FIELD 8 name"],
    ["a pattern for a host", PICKER.replace("models.test", '"*.test"'), 'INVALID_VALUE 9 "*.test"'],
    ["a port beyond all", inPool("port: 65536"), "INVALID_VALUE 10 65536"],
    ["a port as a destination has it", inPool("port: {number: 80}"), "WRONG_TYPE 10 {number"],
    ["a subset by its name alone", inPool("subset: v1"), "WRONG_TYPE 10 v1"],
    ["a subset by name and labels", inPool("subset: {name: a, labels: {b: c}}"), "CONFLICT 10 {b"],
    ["a subset from a header that is removed", inPool("subset: {header: x-llm-a}"), "INVALID_VALUE 10 x-llm-a"],
    [
      "the endpoint's header as a subset",
      inPool("subset: {header: x-gateway-destination-endpoint}"),
      "INVALID_VALUE 10 x-gateway-destination-endpoint",
    ],
    ["no targets", inPool("targets: []"), "INVALID_VALUE 10 ["],
    ["a condition", inPool("match: {model: a}"), "UNKNOWN_FIELD 10 model"],
    ["a policy", inPool("policy: least_request"), "INVALID_VALUE 10 least_request"],
    ["a key without a hash", inPool("key: [{path: true}]"), "CONFLICT 10 [{path"],
    ["a hash without its policy", inPool("policy: random", "hash: {}"), "CONFLICT 11 {"],
    ["a bound of nothing", inPool("policy: round-robin", "bound: 2"), "CONFLICT 11 2"],
    ["affinity of a hash", hashed("affinity: {}"), "CONFLICT 11 {"],
    ["an empty key", hashed("key: []"), "INVALID_VALUE 11 ["],
    ["too long a key", hashed(`key: ${many(5, () => "{path: true}")}`), "INVALID_VALUE 11 [{path"],
    ["two things in one part", hashed("key: [{path: true, user: true}]"), "CONFLICT 11 {path"],
    ["a part of nothing", hashed("key: [{}]"), "MISSING_FIELD 11 {"],
    ["a part that is not there", hashed("key: [{prefix: false}]"), "INVALID_VALUE 11 false"],
    ["a session that is not there", hashed("key: [{session: false}]"), "INVALID_VALUE 11 false"],
    ["a session of a number", hashed("key: [{session: 5}]"), "WRONG_TYPE 11 5"],
    ["a cookie of other letters", hashed("key: [{cookie: a;b}]"), "INVALID_VALUE 11 a;b"],
    ["a header that is removed", hashed("key: [{header: x-llm-prefix}]"), "INVALID_VALUE 11 x-llm-prefix"],
    ["a function", hashed("hash: {function: md5}"), "INVALID_VALUE 11 md5"],
    ["points of no ring", hashed("hash: {points: 5}"), "CONFLICT 11 5"],
    ["no points", hashed("hash: {method: ring, points: 0}"), "INVALID_VALUE 11 0"],
    ["a bound below one", inPool("bound: 0.99"), "INVALID_VALUE 10 0.99"],
    ["a bound that is no number", inPool("bound: .nan"), "INVALID_VALUE 10 .nan"],
    ["a threshold above one", inPool("affinity: {threshold: 1.5}"), "INVALID_VALUE 10 1.5"],
    ["half a token", inPool("affinity: {slackTokens: 0.5}"), "INVALID_VALUE 10 0.5"],
    ["a prefix of nothing", inPool("affinity: {prefixTokens: 0}"), "INVALID_VALUE 10 0"],
    ["nobody in flight", inPool("maxInflight: 0"), "INVALID_VALUE 10 0"],
    ["a slow start of an hour and more", inPool("slowStartMs: 3600001"), "INVALID_VALUE 10 3600001"],
    ["a duration", inPool("slowStartMs: 5s"), "WRONG_TYPE 10 5s"],
    ["what becomes of nobody", inPool("onNone: open"), "INVALID_VALUE 10 open"],
    ["shedding without a header", inPool("shed: {values: [a]}"), "MISSING_FIELD 10 {values"],
    ["shedding without values", inPool("shed: {header: x-p, values: []}"), "INVALID_VALUE 10 ["],
    ["more than all of the cache", inPool("shed: {header: x-p, values: [a], kvPercent: 101}"), "INVALID_VALUE 10 101"],
    ["a feed too often", field("feed: {intervalMs: 49}"), "INVALID_VALUE 6 49"],
    ["a feed of a cluster, which is the server's", field("feed: {cluster: a}"), "UNKNOWN_FIELD 6 cluster"],
    ["a feed that is neither", field("feed: 5"), "WRONG_TYPE 6 5"],
    ["a served header with capitals", field("servedHeader: X-Served"), "INVALID_VALUE 6 X-Served"],
    [
      "tenants without a header",
      inPool("match: {tenants: [a]}").replace("  tenantHeader: x-tenant\n", "\n"),
      "MISSING_FIELD 10 [a",
    ],
    ["a spec that is a list", PICKER.replace(/spec:[\s\S]*/, "spec: [1]\n"), "WRONG_TYPE 5 [1"],
    ["pools that are a mapping", PICKER.replace(/pools:[\s\S]*/, "pools: {name: a}\n"), "WRONG_TYPE 7 {name"],
    ["a key twice", inPool("bound: 2", "bound: 3"), "DUPLICATE_KEY 11 bound"],
    ["another version", PICKER.replace("v1alpha1", "v1"), "UNKNOWN_KIND 2 tokenmesh.io/v1"],
    ["another spelling", PICKER.replace("EndpointPicker", "EndpointPikcer"), "UNKNOWN_KIND 3 EndpointPikcer"],
  ];
  it.each(wrong)("%s", (_name, text, expected) => {
    expect(errors(text)).toEqual([expected]);
  });

  it("say what to write instead", () => {
    expect(messages(inPool("policy: random", "affinity: {}"))).toContain(
      "spec.pools[0]: affinity has no effect with policy random; Remove it, or use policy prefix-affinity.",
    );
    expect(messages(inPool("policy: random", "bound: 2"))).toContain("use policy consistent-hash or prefix-affinity.");
    expect(messages(hashed("hash: {points: 5}"))).toContain("Remove it, or use method ring.");
    expect(messages(PICKER.replace("EndpointPicker", "EndpointPikcer"))).toContain("Did you mean EndpointPicker?");
    expect(messages(inPool("polcy: random"))).toContain("Did you mean policy?");
  });
});

it("all errors come out at once", () => {
  const second = "    - {host: 5, nam: b, bound: 0}\n";
  const text = inPool("policy: random", "affinity: {}", "subset: {name: a, labels: {}}") + second;
  expect(errors(text.replace("spec:\n", "spec:\n  feed: {intervalMs: 1, age: 2}\n"))).toEqual([
    "INVALID_VALUE 6 1",
    "UNKNOWN_FIELD 6 age",
    "CONFLICT 13 {",
    "MISSING_FIELD 14 {host",
    "WRONG_TYPE 14 5",
    "UNKNOWN_FIELD 14 nam",
    "INVALID_VALUE 14 0",
  ]);
});
