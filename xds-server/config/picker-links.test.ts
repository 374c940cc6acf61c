import { describe, expect, it } from "vitest";
import { formatError } from "./diagnostics.ts";
import { parseConfig } from "./parse.ts";

/** What an EndpointPicker must agree about with other documents: errors and warnings, where they stand, what they say. */

const gateway = (name: string, port: number, namespace = "default") => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: ${namespace}}
spec: {servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: ["*"]}]}
`;
const EDGE = gateway("edge", 1);
const service = (name: string, endpoints: string, more = "resolution: STATIC") => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  ${more}
  endpoints: ${endpoints}
`;
const SERVICE = service("models", "[{address: 192.0.2.1, labels: {version: v1}}, {address: 192.0.2.2}]");
const rule = (policy: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: models}
spec:
  host: models.test
  trafficPolicy: ${policy}
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
`;
const RULE = rule("{}");
const picker = (pools: readonly string[], more = "", metadata = "{name: picks}") => `
apiVersion: tokenmesh.io/v1alpha1
kind: EndpointPicker
metadata: ${metadata}
spec:
  pools:
${pools.map((pool) => `    - ${pool}\n`).join("")}${more}
`;
const pool = (fields: string) => picker([`{name: main, ${fields}}`]);
const router = (spec: string, metadata = "{name: chat}") => `
apiVersion: tokenmesh.io/v1alpha1
kind: LLMRouter
metadata: ${metadata}
spec: ${spec}
`;
const TARGETS = `{targets: {a: {cluster: models.test}, b: {cluster: others.test}, r: {route: chat}}, rules: [{name: x, targets: [{target: a}]}], models: [{model: m, route: short}],
  onMissingModel: {route: spare}}`;
const OTHERS = service("others", "[{address: 192.0.2.9}]");

/** `file:line:col: CODE message; remedy` of the errors, or of the warnings of what is right. */
function said(...texts: readonly string[]): readonly string[] {
  const result = parseConfig(texts.map((text, index) => ({ file: `${index}`, text })));
  return (result.ok ? result.warnings : result.errors)
    .map(formatError)
    .map((text) => text.replaceAll("TM_CONFIG_", ""));
}
const isRight = (...texts: readonly string[]) =>
  parseConfig(texts.map((text, index) => ({ file: `${index}`, text }))).ok;

describe("the service of a pool", () => {
  it("is there, with its port and its subset", () => {
    const two = SERVICE.replace("protocol: HTTP}]", "protocol: HTTP}, {number: 81, name: b, protocol: HTTP}]");
    expect(said(EDGE, SERVICE, pool("host: models.test, port: 80"))).toEqual([]);
    expect(said(EDGE, pool("host: models.test"))).toEqual([
      "1:7:26: UNKNOWN_REFERENCE no ServiceEntry defines host models.test; Define it, or correct the name.",
    ]);
    expect(said(EDGE, SERVICE, pool("host: models.test, port: 81"))).toEqual([
      "2:7:45: UNKNOWN_REFERENCE models.test has no port 81; Its ports are: 80.",
    ]);
    expect(said(EDGE, two, pool("host: models.test"))).toEqual([
      "2:7:26: MISSING_FIELD models.test has several ports; Name one of: 80, 81.",
    ]);
    expect(said(EDGE, SERVICE, RULE, pool("host: models.test, subset: {name: v3}"))).toEqual([
      "3:7:54: UNKNOWN_REFERENCE no DestinationRule defines subset v3 of models.test; Define it, or correct the name.",
    ]);
  });

  it("is not judged while its kind could not be read", () => {
    const broken = SERVICE.replace("resolution: STATIC", "resolution: SOME");
    expect(said(EDGE, broken, pool("host: models.test"))).toEqual([expect.stringMatching(/^1:8:15: INVALID_VALUE/)]);
  });
});

describe("addresses", () => {
  it("none: a warning, that names what selects none", () => {
    const none = service("models", "[]");
    const remedy = "Add endpoints to the ServiceEntry, or correct the labels.";
    expect(said(EDGE, none, pool("host: models.test"))).toEqual([
      `2:7:26: NO_ADDRESSES models.test has no endpoints; ${remedy}`,
    ]);
    expect(said(EDGE, SERVICE, RULE, pool("host: models.test, subset: {name: v2}"))).toEqual([
      `3:7:26: NO_ADDRESSES models.test has no endpoints in subset v2; ${remedy}`,
    ]);
    expect(said(EDGE, SERVICE, pool("host: models.test, subset: {labels: {version: v9}}"))).toEqual([
      `2:7:26: NO_ADDRESSES models.test has no endpoints with these labels; ${remedy}`,
    ]);
    expect(said(EDGE, SERVICE, RULE, pool("host: models.test, subset: {name: v1}"))).toEqual([]);
  });

  const DNS = service("models", "[]", "resolution: DNS");
  it("that only Envoy knows: a warning, since it has a ring of its own", () => {
    const expected =
      "2:7:26: NO_ADDRESSES models.test has resolution DNS: its addresses are known to Envoy alone, which goes by x-llm-prefix; " +
      "Give the ServiceEntry resolution STATIC and endpoints with IP addresses.";
    expect(said(EDGE, DNS, pool("host: models.test"))).toEqual([expected]);
    expect(said(EDGE, DNS, pool("host: models.test, policy: consistent-hash, key: [{user: true}]"))).toEqual([
      expected,
    ]);
  });

  it.each([
    ["policy: least-request", "policy"],
    ["subset: {labels: {a: b}}", "subset"],
    ["subset: {header: x-a}", "subset"],
    ["shed: {header: x-p, values: [low]}", "shed"],
    ["maxInflight: 5", "maxInflight"],
    ["onNone: refuse", "onNone"],
    ["loraAffinity: true", "loraAffinity"],
  ])("%s needs them", (field, name) => {
    const [error, ...more] = said(EDGE, DNS, pool(`host: models.test, ${field}`));
    expect(more).toEqual([]);
    const column = 41 + name.length;
    expect(error).toContain(
      `2:7:${column}: CONFLICT models.test has resolution DNS: its addresses are known to Envoy alone, and ${name} needs them; Give`,
    );
  });

  it("are those that a header can name, and no more than a pool has room for", () => {
    const sockets = service("models", "[{address: unix:///run/a.sock}]");
    expect(said(EDGE, sockets, pool("host: models.test"))).toEqual([
      "2:7:26: CONFLICT models.test has endpoint unix:///run/a.sock, which a header cannot name; Use an endpoint with an IP address.",
    ]);
    const many = (n: number) =>
      service("models", `[${Array.from({ length: n }, (_, i) => `{address: 192.0.${i >> 8}.${i & 255}}`).join()}]`);
    expect(said(EDGE, many(256), pool("host: models.test"))).toEqual([]);
    expect(said(EDGE, many(257), pool("host: models.test"))).toEqual([
      "2:7:26: INVALID_VALUE models.test has 257 endpoints, a pool at most 256; Divide it into subsets, with a pool for each.",
    ]);
  });

  it("have labels that are names", () => {
    const labelled = (labels: string) => service("models", `[{address: 192.0.2.1, labels: {${labels}}}]`);
    const models = (n: number) => Array.from({ length: n }, (_, i) => `model.tokenmesh.io/m${i}: ""`).join();
    expect(said(EDGE, labelled(models(16)), pool("host: models.test"))).toEqual([]);
    expect(said(EDGE, labelled(models(17)), pool("host: models.test"))).toEqual([
      "1:9:44: INVALID_VALUE has 17 labels that begin with model.tokenmesh.io/, at most 16 are allowed; Use a value as the message says.",
    ]);
    expect(said(EDGE, labelled(`"adapter.tokenmesh.io/a\\tb": ""`), pool("host: models.test"))).toEqual([
      expect.stringContaining('INVALID_VALUE label adapter.tokenmesh.io/"a\\tb" is not the name of a model or adapter'),
    ]);
  });

  it("make no ring that is larger than the filter's memory", () => {
    const weighted = (a: number, b: number) =>
      service("models", `[{address: 192.0.2.1, weight: ${a}}, {address: 192.0.2.2, weight: ${b}}]`);
    const ring = (points: number) =>
      pool(`host: models.test, policy: consistent-hash, hash: {method: ring, points: ${points}}`);
    expect(said(EDGE, weighted(800, 800), ring(65_536))).toEqual([]);
    expect(said(EDGE, weighted(1_000, 1), ring(2_000))).toEqual([
      "2:7:93: INVALID_VALUE the ring has 2002000 points, at most 262144 are allowed; Use fewer points, smaller weights of the endpoints, or method rendezvous.",
    ]);
  });
});

describe("targets", () => {
  const both = [EDGE, SERVICE, OTHERS, router(TARGETS)] as const;

  it("are names of the router's targets, and its routes", () => {
    for (const name of ["a", "r", "chat", "short", "spare"])
      expect([name, said(...both, pool(`host: models.test, targets: [${name}]`))]).toEqual([name, []]);
    expect(said(...both, pool("host: models.test, targets: [a, shrot]"))).toEqual([
      '4:7:48: UNKNOWN_REFERENCE LLMRouter default/chat has no target or route "shrot"; Did you mean short?',
    ]);
    expect(said(...both, pool("host: models.test, targets: [nothing-like-it]"))).toEqual([
      expect.stringContaining("Name one of its targets, or a route."),
    ]);
  });

  it("that are clusters are the pool's service", () => {
    expect(said(...both, pool("host: models.test, targets: [b]"))).toEqual([
      "4:7:48: CONFLICT target b of LLMRouter default/chat is others.test, and the pool is models.test; Name targets of the pool's own service.",
    ]);
  });

  it("need a router at each Gateway", () => {
    const targets = pool("host: models.test, targets: [a]");
    const routed = router(TARGETS, "{name: chat, annotations: {tokenmesh.io/gateways: edge}}");
    expect(said(EDGE, gateway("bare", 2), gateway("other", 3), SERVICE, OTHERS, routed, targets)).toEqual([
      "6:7:48: CONFLICT Gateway default/bare has no LLMRouter, whose targets these would be; Remove targets, or add an LLMRouter.",
    ]);
  });

  it("leave requests to the pools behind", () => {
    const two = (first: string, second = "host: others.test") =>
      picker([`{name: one, ${first}}`, `{name: two, ${second}}`]);
    expect(said(EDGE, SERVICE, OTHERS, two("host: models.test"))).toEqual([
      "3:8:14: CONFLICT pool two gets no requests: pool one before it takes all; Give one targets or a match, or put it last.",
    ]);
    expect(isRight(EDGE, SERVICE, OTHERS, two("host: models.test, match: {stream: true}"))).toBe(true);
    // With a router whose targets are these services each pool has its own.
    expect(isRight(...both, two("host: models.test"))).toBe(true);
    const routes = router("{models: [{model: m, route: short}]}");
    expect(isRight(EDGE, SERVICE, OTHERS, routes, two("host: models.test"))).toBe(false);
    expect(isRight(EDGE, SERVICE, OTHERS, routes, two("host: models.test, targets: [short]"))).toBe(true);
  });
});

describe("a DestinationRule", () => {
  it("whose load balancer has no effect: a warning", () => {
    const balanced = rule("{loadBalancer: {simple: ROUND_ROBIN}}");
    const expected =
      "2:7:42: OVERRIDDEN EndpointPicker default/picks picks the endpoints of models.test, not ROUND_ROBIN; " +
      "Remove the value, or the document that the message names.";
    expect(said(EDGE, SERVICE, balanced, pool("host: models.test"))).toEqual([expected]);
    const ofSubset = RULE.replace("{version: v2}}", "{version: v2}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}");
    expect(said(EDGE, SERVICE, ofSubset, pool("host: models.test"))).toEqual([expect.stringContaining("not RANDOM")]);
    expect(said(EDGE, SERVICE, ofSubset, pool("host: models.test, subset: {name: v1}"))).toEqual([]);
    expect(said(EDGE, SERVICE, rule("{loadBalancer: {}}"), pool("host: models.test"))).toEqual([]);
  });
});

describe("Gateways", () => {
  const ONE = pool("host: models.test");

  it("have one picker, of one name, and exist", () => {
    const second = ONE.replace("{name: picks}", "{name: more}");
    expect(said(EDGE, SERVICE, ONE, second)).toEqual([
      "3:4:18: CONFLICT Gateway default/edge already has EndpointPicker picks; Put all pools into one EndpointPicker, or name the Gateways in the annotation tokenmesh.io/gateways.",
    ]);
    expect(said(EDGE, SERVICE, ONE, ONE)).toContain(
      "3:4:18: DUPLICATE EndpointPicker default/picks is already defined at 2:4; Rename or remove one of them.",
    );
    const lost = ONE.replace("{name: picks}", "{name: picks, annotations: {tokenmesh.io/gateways: nowhere}}");
    expect(said(EDGE, SERVICE, lost)).toEqual([expect.stringMatching(/^2:4:38: UNKNOWN_REFERENCE no Gateway defines/)]);
  });

  it("none: a warning", () => {
    expect(said(SERVICE, ONE)).toEqual([
      expect.stringMatching(/^1:4:18: UNUSED EndpointPicker default\/picks is in no Gateway;/),
    ]);
  });
});

describe("traffic", () => {
  const routed = router("{maxBodyBytes: 1000, models: [{model: m, route: r}]}");
  const limited = (field: string) => `
apiVersion: tokenmesh.io/v1alpha1
kind: TokenRateLimit
metadata: {name: budgets}
spec: {${field} rules: [{name: all, limits: [{unit: tokens, amount: 10, per: day}]}]}
`;
  const picks = (field: string) => picker(["{name: main, host: models.test}"], `  ${field}`);

  it("is the router's, or what it says itself and the router too", () => {
    expect(said(EDGE, SERVICE, routed, picks("maxBodyBytes: 1000"))).toEqual([]);
    expect(said(EDGE, SERVICE, routed, picks("maxBodyBytes: 5"))).toEqual([
      "3:8:17: CONFLICT spec.maxBodyBytes is 5 here and 1000 in LLMRouter default/chat, which is in Gateway default/edge too; " +
        "Leave maxBodyBytes out here, which takes the router's, or write the same value in both.",
    ]);
    // The limiter says nothing of it, so it is not asked where there is a router.
    expect(said(EDGE, SERVICE, routed, limited(""), picks("maxBodyBytes: 1000"))).toEqual([]);
  });

  it("is the limiter's where there is no router", () => {
    expect(said(EDGE, SERVICE, limited("maxBodyBytes: 7,"), picks("accessLog: false"))).toEqual([]);
    expect(said(EDGE, SERVICE, limited("maxBodyBytes: 7,"), picks("maxBodyBytes: 5"))).toEqual([
      expect.stringContaining(
        "is 5 here and 7 in TokenRateLimit default/budgets, which is in Gateway default/edge too; Leave maxBodyBytes out here, which takes the limiter's",
      ),
    ]);
  });
});
