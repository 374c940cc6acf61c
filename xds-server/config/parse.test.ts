import { describe, expect, it } from "vitest";
import { formatError } from "./diagnostics.ts";
import { parseConfig } from "./parse.ts";

const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  servers: [{port: {number: 0, name: http, protocol: HTTP}, hosts: ["*"]}]
`;
const SERVICE = `
apiVersion: networking.istio.io/v1beta1
kind: ServiceEntry
metadata: {name: app}
spec:
  hosts: [app.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: 8080}, labels: {version: v1}}]
`;
const RULE = `
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: app}
spec: {host: app.test, subsets: [{name: v1, labels: {version: v1}}]}
`;
const ROUTER = `
apiVersion: tokenmesh.io/v1alpha1
kind: LLMRouter
metadata: {name: chat}
spec:
  models:
    - {model: "gpt-*", route: gpt}
`;

/** `CODE line what-stands-there` of every error in one file: the word at the error's line and column. */
function errors(text: string): readonly string[] {
  const result = parseConfig([{ file: "f.yaml", text }]);
  if (result.ok) return [];
  const lines = text.split("\n");
  return result.errors.map(({ line, column, code }) => {
    const word = /^("[^"]*"|'[^']*'|[^\s,:}\]]+|)/.exec(lines[line - 1]?.slice(column - 1) ?? "")?.[0] ?? "";
    return `${code} ${line} ${word}`.slice(0, 60);
  });
}

function messages(text: string): string {
  const result = parseConfig([{ file: "f.yaml", text }]);
  return result.ok ? "" : result.errors.map(formatError).join("\n");
}

const route = (http: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec:
  hosts: ["*"]
  http:
    - ${http}
`;
const all = (...documents: readonly string[]) => documents.join("---");

describe("valid configuration", () => {
  it("becomes a typed model with defaults, sorted by name", () => {
    const text = all(
      GATEWAY,
      SERVICE,
      RULE,
      ROUTER,
      route("route: [{destination: {host: app.test, subset: v1}}]\n      timeout: 1m30s"),
    );
    const result = parseConfig([{ file: "f.yaml", text }]);
    if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
    const { model } = result;
    expect(model.gateways[0]?.servers[0]).toEqual({
      port: { number: 0, name: "http", protocol: "HTTP" },
      bind: "0.0.0.0",
      hosts: ["*"],
    });
    expect(model.serviceEntries[0]?.endpoints[0]).toMatchObject({
      address: "127.0.0.1",
      weight: 1,
      locality: undefined,
    });
    expect(model.virtualServices[0]?.http[0]).toMatchObject({ timeout: 90_000, match: [], retries: undefined });
    expect(model.llmRouters[0]?.spec).toMatchObject({
      maxBodyBytes: 10_485_760,
      routeHeader: "x-llm-route",
      onUnknownModel: "reject",
    });
    expect(model.llmRouters[0]?.gateways).toBeUndefined();
  });

  it("does not depend on the order of files", () => {
    const files = [GATEWAY, SERVICE, RULE, ROUTER].map((text, index) => ({ file: `${index}.yaml`, text }));
    const [a, b] = [parseConfig(files), parseConfig([...files].reverse())];
    expect(a).toEqual(b);
  });

  it("takes JSON, several documents, empty documents and comments", () => {
    expect(
      errors(
        `---\n# nothing\n---\n${JSON.stringify({ apiVersion: "tokenmesh.io/v1alpha1", kind: "LLMRouter", metadata: { name: "a" }, spec: { models: [{ model: "*", route: "r" }] } })}\n---\n`,
      ),
    ).toEqual([]);
  });

  it("takes anchors and aliases", () => {
    expect(
      errors(
        SERVICE.replace("labels: {version: v1}", "labels: &l {version: v1}") +
          `---${RULE.replace("{version: v1}", "{version: v1}")}`,
      ),
    ).toEqual([]);
    expect(errors(`${ROUTER}    - {model: a, route: &r gpt}\n    - {model: b, route: *r}\n`)).toEqual([]);
  });

  it("resolves short host names in the namespace", () => {
    const text = all(
      SERVICE.replace("app.test", "app.default.svc.cluster.local"),
      RULE.replace("app.test", "app"),
      route("route: [{destination: {host: app, subset: v1}}]"),
    );
    expect(messages(text)).toBe("");
  });
});

describe("errors stand where the fault is", () => {
  it.each([
    [
      "an unknown field",
      SERVICE.replace("resolution:", "resolutoin:"),
      ["TM_CONFIG_MISSING_FIELD 6 hosts", "TM_CONFIG_UNKNOWN_FIELD 8 resolutoin"],
    ],
    ["a wrong type", SERVICE.replace("number: 80", 'number: "80"'), ['TM_CONFIG_WRONG_TYPE 7 "80"']],
    ["a number where a text belongs", ROUTER.replace("route: gpt", "route: 4"), ["TM_CONFIG_WRONG_TYPE 7 4"]],
    ["a value out of range", SERVICE.replace("number: 80", "number: 0"), ["TM_CONFIG_INVALID_VALUE 7 0"]],
    ["a host name as a static address", SERVICE.replace("127.0.0.1", "a.test"), ["TM_CONFIG_INVALID_VALUE 9 a.test"]],
    ["an unknown port name", SERVICE.replace("{http: 8080}", "{htpt: 8080}"), ["TM_CONFIG_UNKNOWN_REFERENCE 9 {htpt"]],
    ["an unknown kind", GATEWAY.replace("kind: Gateway", "kind: Gatway"), ["TM_CONFIG_UNKNOWN_KIND 3 Gatway"]],
    [
      "an unknown version of a known kind",
      GATEWAY.replace("io/v1\n", "io/v2\n"),
      ["TM_CONFIG_UNKNOWN_KIND 2 networking.istio.io/v2"],
    ],
    ["no kind", GATEWAY.replace("kind: Gateway\n", ""), ["TM_CONFIG_MISSING_FIELD 2 apiVersion"]],
    ["a document that is no mapping", "- 1\n", ["TM_CONFIG_WRONG_TYPE 1 -"]],
    ["a syntax error", "a: [1, 2\nb: 3\n", ["TM_CONFIG_SYNTAX 2 b"]],
    [
      "a duplicate key",
      SERVICE.replace("  resolution: STATIC", "  resolution: STATIC\n  resolution: DNS"),
      ["TM_CONFIG_DUPLICATE_KEY 9 resolution"],
    ],
    [
      "an unsupported load balancer",
      RULE.replace("subsets:", "trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}, subsets:"),
      ["TM_CONFIG_UNSUPPORTED 5 PASSTHROUGH"],
    ],
    ["a model that is listed twice", `${ROUTER}    - {model: "gpt-*", route: b}\n`, ['TM_CONFIG_DUPLICATE 8 "gpt-*"']],
    ["a star inside a model", ROUTER.replace("gpt-*", "g*-4"), ['TM_CONFIG_INVALID_VALUE 7 "g*-4"']],
    [
      "a foreign route header",
      ROUTER.replace("  models:", "  routeHeader: X-Route\n  models:"),
      ["TM_CONFIG_INVALID_VALUE 6 X-Route"],
    ],
    [
      "the model header as route header",
      ROUTER.replace("  models:", "  routeHeader: x-llm-model\n  models:"),
      ["TM_CONFIG_CONFLICT 6 x-llm-model"],
    ],
    [
      "a body limit that is too large",
      ROUTER.replace("  models:", "  maxBodyBytes: 67108865\n  models:"),
      ["TM_CONFIG_INVALID_VALUE 6 67108865"],
    ],
    [
      "a fallback that is neither",
      ROUTER.replace("  models:", "  onUnknownModel: pass\n  models:"),
      ["TM_CONFIG_INVALID_VALUE 6 pass"],
    ],
    ["an empty spec", ROUTER.replace(/spec:[\s\S]*/, "spec:\n"), ["TM_CONFIG_MISSING_FIELD 2 apiVersion"]],
  ])("%s", (_what, text, expected) => {
    expect(errors(text)).toEqual(expected);
  });

  it.each([
    ["an unknown host", "route: [{destination: {host: nope.test}}]", "TM_CONFIG_UNKNOWN_REFERENCE 8 nope.test"],
    ["an unknown subset", "route: [{destination: {host: app.test, subset: v9}}]", "TM_CONFIG_UNKNOWN_REFERENCE 8 v9"],
    [
      "an unknown port",
      "route: [{destination: {host: app.test, port: {number: 81}}}]",
      "TM_CONFIG_UNKNOWN_REFERENCE 8 81",
    ],
    [
      "weights that are all 0",
      "route: [{destination: {host: app.test}, weight: 0}, {destination: {host: app.test}, weight: 0}]",
      "TM_CONFIG_INVALID_VALUE 8 route",
    ],
    [
      "a weight that is missing",
      "route: [{destination: {host: app.test}, weight: 1}, {destination: {host: app.test}}]",
      "TM_CONFIG_MISSING_FIELD 8 route",
    ],
    ["no action", "timeout: 1s", "TM_CONFIG_MISSING_FIELD 8 timeout"],
    ["two actions", "{redirect: {uri: /}, directResponse: {status: 200}}", "TM_CONFIG_CONFLICT 8 {redirect"],
    [
      "a duration without unit",
      "{route: [{destination: {host: app.test}}], timeout: 5}",
      "TM_CONFIG_INVALID_VALUE 8 5",
    ],
    [
      "look-ahead, which RE2 lacks",
      "{match: [{uri: {regex: 'a(?=b)'}}], route: [{destination: {host: app.test}}]}",
      "TM_CONFIG_INVALID_VALUE 8 'a(?=b)'",
    ],
    [
      "a broken regular expression",
      "{match: [{uri: {regex: 'a('}}], route: [{destination: {host: app.test}}]}",
      "TM_CONFIG_INVALID_VALUE 8 'a('",
    ],
    [
      "two kinds of match",
      "{match: [{uri: {exact: /, prefix: /}}], route: [{destination: {host: app.test}}]}",
      "TM_CONFIG_CONFLICT 8 {exact",
    ],
    [
      "an unknown retry condition",
      "{route: [{destination: {host: app.test}}], retries: {retryOn: gatway-error}}",
      "TM_CONFIG_INVALID_VALUE 8 gatway-error",
    ],
    [
      "a feature that is not implemented",
      "{route: [{destination: {host: app.test}}], fault: {}}",
      "TM_CONFIG_UNSUPPORTED 8 fault",
    ],
  ])("in a route: %s", (_what, http, expected) => {
    expect(errors(all(route(http), SERVICE, RULE))).toEqual([expected]);
  });

  it("come all at once, over all files and documents, each with code and remedy", () => {
    const result = parseConfig([
      { file: "b.yaml", text: all(SERVICE.replace("STATIC", "STATC"), ROUTER.replace("route: gpt", "rout: gpt")) },
      { file: "a.yaml", text: GATEWAY.replace("protocol: HTTP", "protocol: HTTPX") },
    ]);
    if (result.ok) throw new Error("must fail");
    expect(result.errors.map(formatError)).toEqual([
      'a.yaml:6:54: TM_CONFIG_INVALID_VALUE spec.servers[0].port.protocol: "HTTPX" is not one of HTTP, HTTP2, GRPC, HTTPS; Did you mean HTTP?',
      'b.yaml:8:15: TM_CONFIG_INVALID_VALUE spec.resolution: "STATC" is not one of STATIC, DNS, DNS_ROUND_ROBIN; Did you mean STATIC?',
      "b.yaml:16:7: TM_CONFIG_MISSING_FIELD spec.models[0]: field route is missing; Add route.",
      "b.yaml:16:24: TM_CONFIG_UNKNOWN_FIELD spec.models[0].rout: unknown field; Did you mean route?",
    ]);
  });

  it("do not multiply: what refers to a document that cannot be read is not called missing", () => {
    expect(
      errors(
        all(SERVICE.replace("STATIC", "STATC"), RULE, route("route: [{destination: {host: app.test, subset: v1}}]")),
      ),
    ).toEqual(["TM_CONFIG_INVALID_VALUE 8 STATC"]);
  });
});

describe("names must be unique", () => {
  it("per kind and namespace, with the place of the first one", () => {
    expect(messages(all(GATEWAY, GATEWAY))).toContain("Gateway default/edge is already defined at f.yaml:4");
    expect(errors(all(GATEWAY, GATEWAY.replace("name: edge", "name: edge, namespace: other")))).toEqual([]);
  });

  it("for hosts, rules and subsets", () => {
    expect(errors(all(SERVICE, SERVICE.replace("name: app", "name: app2")))).toEqual([
      "TM_CONFIG_DUPLICATE 15 [app.test",
    ]);
    expect(errors(all(SERVICE, RULE, RULE.replace("name: app", "name: app2")))).toEqual([
      "TM_CONFIG_DUPLICATE 19 app.test",
    ]);
    expect(errors(all(SERVICE, RULE.replace("subsets: [", "subsets: [{name: v1}, ")))).toEqual([
      "TM_CONFIG_DUPLICATE 14 v1",
    ]);
  });

  it("for listening addresses and routers of a Gateway", () => {
    const fixed = GATEWAY.replace("number: 0", "number: 8080");
    expect(errors(all(fixed, fixed.replace("name: edge", "name: edge2")))).toEqual(["TM_CONFIG_CONFLICT 12 8080"]);
    expect(errors(all(GATEWAY, ROUTER, ROUTER.replace("name: chat", "name: chat2")))).toEqual([
      "TM_CONFIG_CONFLICT 17 chat2",
    ]);
  });

  it("and Gateways that are named must exist", () => {
    expect(
      errors(all(GATEWAY, ROUTER.replace("{name: chat}", "{name: chat, annotations: {tokenmesh.io/gateways: edgy}}"))),
    ).toEqual(["TM_CONFIG_UNKNOWN_REFERENCE 10 {tokenmesh.io/gateways"]);
    const named = route("directResponse: {status: 200}").replace("  http:", "  gateways: [edge, other/edge]\n  http:");
    expect(errors(all(GATEWAY, named))).toEqual(["TM_CONFIG_UNKNOWN_REFERENCE 13 [edge"]);
  });
});

describe("hostile YAML", () => {
  const bomb = [
    "a: &a [x, x, x, x, x, x, x, x, x, x]",
    ...Array.from({ length: 8 }, (_, index) => {
      const [self, previous] = [String.fromCharCode(98 + index), String.fromCharCode(97 + index)];
      return `${self}: &${self} [*${previous}, *${previous}, *${previous}, *${previous}, *${previous}, *${previous}, *${previous}, *${previous}, *${previous}, *${previous}]`;
    }),
  ].join("\n");

  it("alias bombs cost what they are long, not what they expand to", () => {
    const text = `${bomb}\n${ROUTER.replace(/models:[\s\S]*/, "models: *i\n").trimStart()}`;
    const start = performance.now();
    expect(messages(text)).toContain("TM_CONFIG_");
    expect(performance.now() - start).toBeLessThan(2_000);
  });

  it("an alias bomb in a place that is read is cut", () => {
    const lists = Array.from({ length: 2_000 }, () => "*m").join(", ");
    const text = `${ROUTER.replace('    - {model: "gpt-*", route: gpt}\n', "    - &m {model: a, route: b}\n")}    - ${lists.replaceAll(", ", "\n    - ")}\n`;
    expect(messages(text)).toContain("at most 1024 are allowed");
  });

  it("an alias bomb in a place that is read is cut by the count of nodes", () => {
    const labels = Array.from({ length: 1_000 }, (_, index) => `k${index}: v`).join(", ");
    const bombed = SERVICE.replace(
      /endpoints:.*\n/,
      `endpoints:\n    - &e {address: 127.0.0.1, labels: {${labels}}}\n${"    - *e\n".repeat(1_000)}`,
    );
    expect(errors(bombed)).toEqual(["TM_CONFIG_TOO_COMPLEX 10 v"]);
  });

  it("an anchor that holds itself, and an alias without anchor, are errors", () => {
    expect(errors(ROUTER.replace(/models:[\s\S]*/, "models: &m [*m]\n"))).toEqual(["TM_CONFIG_WRONG_TYPE 6 *m"]);
    expect(errors(ROUTER.replace("route: gpt", "route: *nope")).length).toBeGreaterThan(0);
  });

  it.each([
    ["nested flow sequences", "[".repeat(1_000_000)],
    ["nested flow mappings", "{a: ".repeat(250_000)],
    ["nested block sequences", "- ".repeat(500_000)],
    ["nested explicit keys", "? ".repeat(500_000)],
    ["nested block mappings", Array.from({ length: 1_300 }, (_, index) => `${" ".repeat(index)}a:`).join("\n")],
    ["documents", "---\n".repeat(250_000)],
    ["anchors", Array.from({ length: 30_000 }, (_, index) => `k${index}: &a${index} 1`).join("\n")],
    ["keys of one mapping", Array.from({ length: 40_000 }, (_, index) => `k${index}: 1`).join("\n")],
  ])("a megabyte of %s is refused in bounded time", (_what, text) => {
    const start = performance.now();
    expect(errors(text).length).toBeGreaterThan(0);
    expect(performance.now() - start).toBeLessThan(3_000);
  });

  it("a file that is too large is refused unread", () => {
    expect(errors(`# ${"x".repeat(1024 * 1024)}`)).toEqual(["TM_CONFIG_TOO_LARGE 1 #"]);
  });

  it.each(["__proto__", "constructor", "toString", "hasOwnProperty"])(
    "the key %s is an unknown field like any other",
    (key) => {
      expect(errors(`${SERVICE}  ${key}: {polluted: true}\n`)).toEqual([`TM_CONFIG_UNKNOWN_FIELD 10 ${key}`]);
      expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    },
  );

  it("__proto__ as a label is a label", () => {
    const text = SERVICE.replace("{version: v1}", "{__proto__: v1}");
    const result = parseConfig([{ file: "f.yaml", text }]);
    expect(result.ok && result.model.serviceEntries[0]?.endpoints[0]?.labels.get("__proto__")).toBe("v1");
  });

  it("control characters and line breaks do not reach headers or names", () => {
    expect(errors(ROUTER.replace("route: gpt", 'route: "a\\r\\nb"'))).toEqual(['TM_CONFIG_INVALID_VALUE 7 "a\\r\\nb"']);
  });

  it("unknown tags, merge keys and non-text keys are errors, not code", () => {
    expect(errors(`${SERVICE}  <<: {resolution: DNS}\n`)).toEqual(["TM_CONFIG_UNKNOWN_FIELD 10 <<"]);
    expect(errors(`${SERVICE}  ? [a]\n  : b\n`)).toEqual(["TM_CONFIG_WRONG_TYPE 10 [a"]);
    expect(errors("!!js/function 'x'\n").length).toBeGreaterThan(0);
  });
});
