import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TypeUrl, toJson } from "../../protos/index.ts";
import { buildResources } from "../../test/fixtures/built-resources.ts";
import { createSnapshot, danglingReferences, type Resource, TYPE_NAMES } from "../cache/index.ts";
import { formatError, type Model, parseConfig } from "../config/index.ts";
import type { WasmModules } from "./filters.ts";
import { codeOf, FILTER_CODES, llmFilters } from "./llm-filters.ts";

/** Which filters stand in which listener, in which VMs, and what of them changes when a document does. */

const module = (hash: string) => ({ hash, code: { inline: new Uint8Array([1]) } });
const MODULES: WasmModules = {
  "llm-router": module("router"),
  "token-rate-limit": module("limiter"),
  "hash-ring": module("picker"),
  "prompt-cache": module("cache"),
  "llm-gateway": module("gateway"),
};

const named = (name: string, gateways?: string, namespace = "default") => ({
  name,
  namespace,
  ...(gateways === undefined ? {} : { annotations: { "tokenmesh.io/gateways": gateways } }),
});
const gateway = (name: string, namespace = "default") => ({
  apiVersion: "networking.istio.io/v1",
  kind: "Gateway",
  metadata: named(name, undefined, namespace),
  spec: { servers: [{ port: { number: 0, name: "http", protocol: "HTTP" }, hosts: ["*"] }] },
});
const service = (name: string) => ({
  apiVersion: "networking.istio.io/v1",
  kind: "ServiceEntry",
  metadata: { name },
  spec: {
    hosts: [`${name}.test`],
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: "STATIC",
    endpoints: [{ address: "192.0.2.1" }],
  },
});
const router = (metadata: object, spec: object = {}) => ({
  apiVersion: "tokenmesh.io/v1alpha1",
  kind: "LLMRouter",
  metadata,
  spec: { models: [{ model: "*", route: "r" }], ...spec },
});
const RULE = { name: "all", limits: [{ unit: "tokens", amount: 10, per: "minute" }] };
const limit = (metadata: object, spec: object = {}) => ({
  apiVersion: "tokenmesh.io/v1alpha1",
  kind: "TokenRateLimit",
  metadata,
  spec: { rules: [RULE], ...spec },
});

const pick = (metadata: object, spec: object = {}) => ({
  apiVersion: "tokenmesh.io/v1alpha1",
  kind: "EndpointPicker",
  metadata,
  spec: { pools: [{ name: "main", host: "a.test" }], ...spec },
});

const cache = (metadata: object, spec: object = {}) => ({
  apiVersion: "tokenmesh.io/v1alpha1",
  kind: "PromptCache",
  metadata,
  spec: { rules: [{ name: "all" }], ...spec },
});

function parse(documents: readonly object[]): Model {
  const files = documents.map((each, index) => ({ file: `${index}.json`, text: JSON.stringify(each) }));
  const result = parseConfig(files);
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  return result.model;
}
const build = (documents: readonly object[], modules = MODULES) => buildResources(parse(documents), modules);

interface Plugin {
  readonly name: string;
  readonly root_id: string;
  readonly vm_config: { readonly vm_id: string };
  readonly configuration?: { readonly value: string };
}

const view = ({ any }: Resource) => toJson("google.protobuf.Any", any) as Record<string, unknown>;
const ofType = (resources: readonly Resource[], typeUrl: string) =>
  resources.filter((each) => each.typeUrl === typeUrl);
const plugins = (resources: readonly Resource[]) =>
  new Map(
    ofType(resources, TypeUrl.extensionConfig).map((each) => [
      each.name,
      (view(each).typed_config as { config: Plugin }).config,
    ]),
  );
/** Names of the filters of a listener: in front of the router, and behind it. */
function filtersOf(resources: readonly Resource[], name: string): { down: readonly string[]; up: readonly string[] } {
  const found = ofType(resources, TypeUrl.listener).find((each) => each.name === name);
  const text = JSON.stringify(found && view(found));
  const names = (part: string) => [...part.matchAll(/"name":"(tokenmesh\.[^"]*)"/g)].map(([, each]) => each ?? "");
  const [down = "", up = ""] = text.split('"upstream_http_filters"');
  return { down: names(down), up: names(up) };
}
const versions = (resources: readonly Resource[]) =>
  new Map(resources.map(({ typeUrl, name, version }) => [`${TYPE_NAMES[typeUrl]} ${name}`, version]));
function changed(before: readonly Resource[], after: readonly Resource[]): readonly string[] {
  const [a, b] = [versions(before), versions(after)];
  return [...new Set([...a.keys(), ...b.keys()])].filter((key) => a.get(key) !== b.get(key)).sort();
}

const FALLBACK = {
  models: undefined,
  targets: { x: { cluster: "a.test" }, y: { cluster: "b.test" } },
  rules: [{ name: "r", targets: [{ target: "x" }], fallback: { targets: ["y"] } }],
};
const BASE = [gateway("edge"), service("a"), service("b")];
const BOTH = "tokenmesh.llm-gateway/default/chat+default/budgets";

describe("what applies to a Gateway is one filter", () => {
  it("of the module for what there is", () => {
    const documents = [
      ...["limited", "routed", "both", "neither"].map((name) => gateway(name)),
      router(named("chat", "routed, both")),
      limit(named("budgets", "limited, both")),
    ];
    const resources = build(documents);
    const down = (name: string) => filtersOf(resources, `default/${name}/http`).down;
    expect(down("limited")).toEqual(["tokenmesh.token-rate-limit/default/budgets"]);
    expect(down("routed")).toEqual(["tokenmesh.llm-router/default/chat"]);
    expect(down("both")).toEqual([BOTH]);
    expect(down("neither")).toEqual([]);
    const roots = [...plugins(resources)].map(([name, { root_id }]) => [name, root_id]);
    expect(new Map(roots as [string, string][])).toEqual(
      new Map([
        ["tokenmesh.token-rate-limit/default/budgets", "token-rate-limit"],
        ["tokenmesh.llm-router/default/chat", "llm-router"],
        [BOTH, "llm-gateway"],
      ]),
    );
  });

  it("with a picker: alone a module of its own, a stage beside any other", () => {
    const documents = [
      ...["picked", "limited", "routed", "all"].map((name) => gateway(name)),
      service("a"),
      router(named("chat", "routed, all")),
      limit(named("budgets", "limited, all")),
      pick(named("picks")),
    ];
    const resources = build(documents);
    const down = (name: string) => filtersOf(resources, `default/${name}/http`).down;
    const all = "default/chat+default/budgets+picker:default/picks";
    expect(["picked", "limited", "routed", "all"].map(down)).toEqual([
      ["tokenmesh.hash-ring/default/picks"],
      ["tokenmesh.llm-gateway/limit:default/budgets+picker:default/picks"],
      ["tokenmesh.llm-gateway/default/chat+picker:default/picks"],
      [`tokenmesh.llm-gateway/${all}`],
    ]);
    const configurations = [...plugins(resources)].map(([name, { root_id, configuration, vm_config }]) => {
      const { router: r, rateLimit, endpointPicker, pools } = JSON.parse(configuration?.value ?? "{}");
      const members = [r && "router", rateLimit && "rateLimit", endpointPicker && "endpointPicker", pools && "pools"];
      return [name.replace(/^.*?\//, ""), [root_id, vm_config.vm_id, ...members.filter((each) => each !== undefined)]];
    });
    expect(Object.fromEntries(configurations)).toEqual({
      "default/picks": ["hash-ring", "endpoint-picker/default/picks", "pools"],
      "limit:default/budgets+picker:default/picks": [
        "llm-gateway",
        "token-rate-limit/default/budgets",
        "rateLimit",
        "endpointPicker",
      ],
      "default/chat+picker:default/picks": ["llm-gateway", "endpoint-picker/default/picks", "router", "endpointPicker"],
      [all]: ["llm-gateway", "token-rate-limit/default/budgets", "router", "rateLimit", "endpointPicker"],
    });
  });

  it("with a cache likewise, in the order in which a request passes the stages", () => {
    const documents = [
      ...["cached", "limited", "picked", "all"].map((name) => gateway(name)),
      service("a"),
      router(named("chat", "all")),
      limit(named("budgets", "limited, all")),
      pick(named("picks", "picked, all")),
      cache(named("answers")),
    ];
    const resources = build(documents);
    const down = (name: string) => filtersOf(resources, `default/${name}/http`).down;
    const all = "tokenmesh.llm-gateway/default/chat+default/budgets+default/answers+default/picks";
    expect(["cached", "limited", "picked", "all"].map(down)).toEqual([
      ["tokenmesh.prompt-cache/default/answers"],
      ["tokenmesh.llm-gateway/limit:default/budgets+cache:default/answers"],
      ["tokenmesh.llm-gateway/cache:default/answers+picker:default/picks"],
      [all],
    ]);
    const shown = [...plugins(resources)].map(([name, { root_id, configuration, vm_config }]) => {
      const members = Object.keys(JSON.parse(configuration?.value ?? "{}"));
      const stages = ["router", "promptCache", "rateLimit", "endpointPicker", "rules"];
      return [name, [root_id, vm_config.vm_id, ...members.filter((each) => stages.includes(each))]];
    });
    expect(Object.fromEntries(shown)).toEqual({
      "tokenmesh.prompt-cache/default/answers": ["prompt-cache", "prompt-cache/default/answers", "rules"],
      "tokenmesh.llm-gateway/limit:default/budgets+cache:default/answers": [
        "llm-gateway",
        "token-rate-limit/default/budgets",
        "promptCache",
        "rateLimit",
      ],
      "tokenmesh.llm-gateway/cache:default/answers+picker:default/picks": [
        "llm-gateway",
        "prompt-cache/default/answers",
        "promptCache",
        "endpointPicker",
      ],
      [all]: [
        "llm-gateway",
        "token-rate-limit/default/budgets",
        "router",
        "promptCache",
        "rateLimit",
        "endpointPicker",
      ],
    });
  });

  it("and two caches in one VM keep their answers apart", () => {
    const documents = [
      gateway("a"),
      gateway("b"),
      limit(named("budgets")),
      cache(named("first", "a")),
      cache(named("second", "b")),
    ];
    const found = [...plugins(build(documents)).values()].map(({ vm_config, configuration }) => [
      vm_config.vm_id,
      JSON.parse(configuration?.value ?? "{}").promptCache.scope,
    ]);
    expect(found).toEqual([
      ["token-rate-limit/default/budgets", "default/first"],
      ["token-rate-limit/default/budgets", "default/second"],
    ]);
  });

  it("and two of different documents are two, whatever these are called", () => {
    const documents = [
      ...["limited", "picked", "cached"].map((name) => gateway(name)),
      service("a"),
      router(named("same")),
      limit(named("same", "limited")),
      pick(named("same", "picked")),
      cache(named("same", "cached")),
    ];
    const resources = build(documents);
    const members = ["limited", "picked", "cached"].map((name) => {
      const [down = ""] = filtersOf(resources, `default/${name}/http`).down;
      const json = JSON.parse(plugins(resources).get(down)?.configuration?.value ?? "{}");
      return ["rateLimit", "endpointPicker", "promptCache"].filter((member) => member in json);
    });
    expect(members).toEqual([["rateLimit"], ["endpointPicker"], ["promptCache"]]);
  });

  it("whatever namespaces the documents are in", () => {
    const documents = [gateway("edge"), router(named("c")), limit(named("b", "default/edge", "teams"))];
    expect(filtersOf(build(documents), "default/edge/http").down).toEqual(["tokenmesh.llm-gateway/default/c+teams/b"]);
  });

  it("and a limiter that no Gateway has yet is built, as a router is", () => {
    expect([...plugins(build([limit(named("budgets"))])).keys()]).toEqual([
      "tokenmesh.token-rate-limit/default/budgets",
    ]);
  });

  it("and a picker likewise", () => {
    expect([...plugins(build([service("a"), pick(named("picks"))])).keys()]).toEqual([
      "tokenmesh.hash-ring/default/picks",
    ]);
  });

  it("and a cache likewise", () => {
    expect([...plugins(build([cache(named("answers"))])).keys()]).toEqual(["tokenmesh.prompt-cache/default/answers"]);
  });

  it("and needs its own module and no other", () => {
    const codes = (...documents: object[]) =>
      llmFilters(parse([gateway("edge"), service("a"), ...documents])).map(codeOf);
    const [chat, budgets, picks] = [router(named("chat")), limit(named("budgets")), pick(named("picks"))];
    const answers = cache(named("answers"));
    expect([codes(chat), codes(budgets), codes(picks), codes(answers), codes()]).toEqual([
      ["llm-router"],
      ["token-rate-limit"],
      ["hash-ring"],
      ["prompt-cache"],
      [],
    ]);
    for (const both of [
      [chat, budgets],
      [budgets, picks],
      [answers, chat],
      [answers, budgets],
      [answers, picks],
    ])
      expect(codes(...both)).toEqual(["llm-gateway"]);
    const without = (code: string) =>
      Object.fromEntries(FILTER_CODES.filter((each) => each !== code).map((each) => [each, module(each)]));
    expect(() => build([gateway("edge"), chat, budgets], without("llm-gateway"))).toThrow("llm-gateway is missing");
    expect(build([gateway("edge"), chat, budgets], { "llm-gateway": module("only") })).not.toEqual([]);
  });
});

describe("the connection can hold what the filter holds", () => {
  const bytes = (...documents: object[]) =>
    /"per_connection_buffer_limit_bytes":\{"value":(\d+)\}/.exec(
      JSON.stringify(ofType(build([...BASE, ...documents]), TypeUrl.listener).map(view)),
    )?.[1];
  const MB = 1024 * 1024;

  it.each([
    ["a limiter", [limit(named("b"), { maxBodyBytes: MB })], 2 * MB],
    ["a picker", [pick(named("p"), { maxBodyBytes: 2 * MB })], 3 * MB],
    ["a cache", [cache(named("a"), { maxBodyBytes: 4 * MB })], 5 * MB],
    ["a cache and a picker", [cache(named("a"), { maxBodyBytes: 4 * MB }), pick(named("p"))], 5 * MB],
    ["a limiter and a cache", [limit(named("b"), { maxBodyBytes: 6 * MB }), cache(named("a"))], 7 * MB],
    ["a limiter and a picker", [limit(named("b"), { maxBodyBytes: 5 * MB }), pick(named("p"))], 6 * MB],
    ["both", [router(named("c"), { maxBodyBytes: 3 * MB }), limit(named("b"))], 4 * MB],
    ["both, with fallbacks", [router(named("c"), { ...FALLBACK, maxBodyBytes: 3 * MB }), limit(named("b"))], 7 * MB],
    ["neither", [], MB],
  ])("%s", (_what, documents, expected) => {
    expect(bytes(...documents)).toBe(String(expected));
  });
});

describe("the configuration of both", () => {
  it("has the traffic of the router, what is the router's, and what is the limiter's", () => {
    const documents = [
      gateway("edge"),
      router(named("chat"), { tokensPerByte: 0.5, tenantHeader: "x-a", accessLog: true, responseHeaders: true }),
      limit(named("budgets"), { tenantHeader: "x-b", maxKeys: 2048 }),
    ];
    const {
      paths,
      router: routing,
      ...rest
    } = JSON.parse(plugins(build(documents)).get(BOTH)?.configuration?.value ?? "");
    expect(paths).toHaveLength(14);
    expect(rest).toEqual({
      maxBodyBytes: 10_485_760,
      tokensPerByte: 0.5,
      duplicateModel: "reject",
      accessLog: true,
      metrics: { enabled: true },
      rateLimit: {
        tenantHeader: "x-b",
        rules: [expect.objectContaining({ name: "all" })],
        maxKeys: 2048,
        includeUsage: true,
      },
    });
    expect(routing).toEqual({
      routeHeader: "x-llm-route",
      clusterHeader: "x-llm-cluster",
      tenantHeader: "x-a",
      responseHeaders: true,
      models: [{ model: "*", route: "r" }],
      onMissingModel: "reject",
      onUnknownModel: "reject",
      onMalformedBody: "reject",
      onBodyTooLarge: "reject",
      onBodyUnreadable: "reject",
    });
  });
});

describe("VMs", () => {
  const documents = (amount = 10, more: object = {}) => [
    ...BASE,
    router(named("chat"), { ...FALLBACK, ...more }),
    limit(named("budgets"), { rules: [{ ...RULE, limits: [{ unit: "tokens", amount, per: "minute" }] }] }),
  ];

  it("the attempt filter runs in the VM of the filter that leaves it plans", () => {
    const resources = build(documents());
    const { down, up } = filtersOf(resources, "default/edge/http");
    expect([down.length, up.length]).toEqual([1, 1]);
    const [filter, attempt] = [plugins(resources).get(down[0] ?? ""), plugins(resources).get(up[0] ?? "")];
    expect(attempt?.root_id).toBe("llm-router-attempt");
    expect(filter?.root_id).toBe("llm-gateway");
    expect(attempt?.vm_config).toEqual(filter?.vm_config);
    expect(down[0]?.split("@")[1]).toBe(up[0]?.split("@")[1]);
  });

  it("rules, amounts, weights and the router's rules reach the filter alone: no listener is drained", () => {
    const before = build(documents());
    const weights = { rules: [{ ...FALLBACK.rules[0], targets: [{ target: "x", weight: 3 }] }] };
    for (const after of [
      build(documents(20)),
      build(documents(10, weights)),
      build(documents(10, { accessLog: true })),
    ])
      expect(changed(before, after)).toEqual([expect.stringMatching(`^ECDS ${BOTH.replace("+", "\\+")}@`)]);
    const limited = (amount: number) =>
      build([gateway("edge"), limit(named("b"), { rules: [{ ...RULE, limits: [{ ...RULE.limits[0], amount }] }] })]);
    expect(changed(limited(1), limited(2))).toEqual(["ECDS tokenmesh.token-rate-limit/default/b"]);
  });

  it("budgets stay where they are when the code or the variables change: the id is the document's", () => {
    const credential = { targets: { x: { cluster: "a.test", credential: { env: "A" } }, y: { cluster: "b.test" } } };
    const newCode = { ...MODULES, "llm-gateway": module("new") };
    const ids = [build(documents()), build(documents(10, credential)), build(documents(), newCode)].map((each) => {
      const { down, up } = filtersOf(each, "default/edge/http");
      const vm = plugins(each).get(down[0] ?? "")?.vm_config;
      return { id: vm?.vm_id, vm: JSON.stringify(vm), names: [...down, ...up].join() };
    });
    expect(new Set(ids.map(({ id }) => id))).toEqual(new Set(["token-rate-limit/default/budgets"]));
    expect(new Set(ids.map(({ vm }) => vm)).size).toBe(3);
    expect(new Set(ids.map(({ names }) => names)).size).toBe(3);
  });

  it("new code at an old path is a new VM, under the same name when nothing else needs that VM", () => {
    const file = (hash: string) => ({ "token-rate-limit": { hash, code: { file: "/f.wasm" } } });
    const edge = [gateway("edge"), limit(named("b"))];
    expect(changed(build(edge, file("1")), build(edge, file("2")))).toEqual([
      "ECDS tokenmesh.token-rate-limit/default/b",
    ]);
  });

  it("one document's budgets are shared by its Gateways, two documents' are not", () => {
    const gateways = ["one", "two", "three"].map((name) => gateway(name));
    const resources = build([
      ...gateways,
      router(named("chat", "one")),
      limit(named("first", "one, two")),
      limit(named("second", "three")),
    ]);
    const ids = [...plugins(resources)].map(([name, { vm_config }]) => [
      name.replace(/^tokenmesh\./, ""),
      vm_config.vm_id,
    ]);
    expect(Object.fromEntries(ids)).toEqual({
      "llm-gateway/default/chat+default/first": "token-rate-limit/default/first",
      "token-rate-limit/default/first": "token-rate-limit/default/first",
      "token-rate-limit/default/second": "token-rate-limit/default/second",
    });
  });
});

describe("property: any documents at any Gateways", () => {
  const GATEWAYS = ["g1", "g2", "g3", "g4"];
  const kinds = fc.record({
    /** Per Gateway, which of the two documents of each kind applies; 0 is none. */
    routers: fc.array(fc.nat(2), { minLength: 4, maxLength: 4 }),
    limits: fc.array(fc.nat(2), { minLength: 4, maxLength: 4 }),
    pickers: fc.array(fc.nat(2), { minLength: 4, maxLength: 4 }),
    caches: fc.array(fc.nat(2), { minLength: 4, maxLength: 4 }),
    specs: fc.array(fc.constantFrom<object>({}, FALLBACK, { ...FALLBACK, accessLog: true }), {
      minLength: 2,
      maxLength: 2,
    }),
  });

  it("every filter that a listener names is there, in a listener that knows its documents, with its attempt filter in its VM", () => {
    fc.assert(
      fc.property(kinds, ({ routers, limits, pickers, caches, specs }) => {
        const at = (which: readonly number[], n: number) => GATEWAYS.filter((_, index) => which[index] === n).join();
        const documents = [
          ...BASE.slice(1),
          ...GATEWAYS.map((name) => gateway(name)),
          ...[1, 2].map((n) => router(named(`r${n}`, at(routers, n)), specs[n - 1])),
          ...[1, 2].map((n) => limit(named(`l${n}`, at(limits, n)))),
          ...[1, 2].map((n) => pick(named(`p${n}`, at(pickers, n)))),
          ...[1, 2].map((n) => cache(named(`c${n}`, at(caches, n)), { service: n === 1 })),
        ];
        const resources = buildResources(parse(documents), MODULES, { host: "192.0.2.7", port: 18_000 });
        expect(danglingReferences(createSnapshot(resources))).toEqual([]);
        const all = plugins(resources);
        for (const [index, name] of GATEWAYS.entries()) {
          const { down, up } = filtersOf(resources, `default/${name}/http`);
          const [r = 0, l = 0, c = 0, p = 0] = [routers, limits, caches, pickers].map((which) => which[index]);
          const own = Object.entries({ r, l, c, p }).flatMap(([kind, n]) => (n > 0 ? [`default/${kind}${n}`] : []));
          const plain = (each: string) =>
            each
              .replace(/@.*/, "")
              .replace(/^[^/]*\//, "")
              .replaceAll(/\w+:/g, "");
          expect(down.map(plain)).toEqual(own.length > 0 ? [own.join("+")] : []);
          const filter = all.get(down[0] ?? "");
          const attempt = all.get(up[0] ?? "");
          expect(filter === undefined).toBe(own.length === 0);
          expect(attempt !== undefined).toBe(r > 0 && specs[r - 1] !== undefined && "targets" in (specs[r - 1] ?? {}));
          if (attempt !== undefined) expect(attempt.vm_config).toEqual(filter?.vm_config);
          expect(filter?.configuration?.value.includes('"limits"') ?? false).toBe(l > 0);
          expect(filter?.configuration?.value.includes('"onUnknownModel"') ?? false).toBe(r > 0);
          expect(filter?.configuration?.value.includes('"pools"') ?? false).toBe(p > 0);
          expect(filter?.configuration?.value.includes('"maxEntryBytes"') ?? false).toBe(c > 0);
          expect(filter?.configuration?.value.includes('"service":{"cluster":"tokenmesh-answers"') ?? false).toBe(
            c === 1,
          );
        }
      }),
      { numRuns: 100 },
    );
  });
});
