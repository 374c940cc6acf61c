import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TypeUrl, toJson } from "../../protos/index.ts";
import { buildResources } from "../../test/fixtures/built-resources.ts";
import { createSnapshot, danglingReferences, type Resource, TYPE_NAMES } from "../cache/index.ts";
import { formatError, parseConfig } from "../config/index.ts";

/** What an LLMRouter becomes: clusters, pools, routes and the pair of filters. */

const GATEWAY = {
  apiVersion: "networking.istio.io/v1",
  kind: "Gateway",
  metadata: { name: "edge" },
  spec: { servers: [{ port: { number: 0, name: "http", protocol: "HTTP" }, hosts: ["*"] }] },
};
const service = (name: string) => ({
  apiVersion: "networking.istio.io/v1",
  kind: "ServiceEntry",
  metadata: { name },
  spec: {
    hosts: [`${name}.test`],
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: name === "dns" ? "DNS" : "STATIC",
    endpoints: name === "dns" ? [] : [{ address: "192.0.2.1" }],
  },
});
const router = (spec: object, metadata: object = { name: "chat" }) => ({
  apiVersion: "tokenmesh.io/v1alpha1",
  kind: "LLMRouter",
  metadata,
  spec,
});
const virtualService = (spec: object) => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name: "rest" },
  spec,
});

function build(documents: readonly object[], hash = "c0de"): readonly Resource[] {
  const files = documents.map((each, index) => ({ file: `${index}.json`, text: JSON.stringify(each) }));
  const result = parseConfig(files);
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  return buildResources(result.model, { "llm-router": { hash, code: { inline: new Uint8Array([1]) } } });
}

interface Plugin {
  readonly root_id: string;
  readonly vm_config: object;
  readonly configuration?: { readonly value: string };
}

const view = ({ any }: Resource) => toJson("google.protobuf.Any", any) as Record<string, unknown>;
const ofType = (resources: readonly Resource[], typeUrl: string) =>
  resources.filter((each) => each.typeUrl === typeUrl);
const plugins = (resources: readonly Resource[]) =>
  ofType(resources, TypeUrl.extensionConfig).map((each) => (view(each).typed_config as { config: Plugin }).config);
const configuration = (resources: readonly Resource[]): unknown =>
  JSON.parse(plugins(resources).find(({ root_id }) => root_id === "llm-router")?.configuration?.value ?? "");

const BASE = [GATEWAY, service("a"), service("b"), service("dns")];
const RULE = { name: "r", targets: [{ target: "x" }] };

describe("targets", () => {
  it("that name one service are a cluster each, with endpoints that say which target they are", () => {
    const targets = { x: { cluster: "a.test" }, y: { cluster: "a.test:80" }, z: { cluster: "dns.test" } };
    const resources = build([...BASE, router({ targets, rules: [RULE] })]);
    const metadata = (typeUrl: string, name: string) => {
      const found = ofType(resources, typeUrl).find((each) => each.name === name);
      return /"target":\{"stringValue":"(\w+)"/.exec(JSON.stringify(found && view(found)))?.[1];
    };
    expect(metadata(TypeUrl.endpoints, "llm/default/chat/x")).toBe("x");
    expect(metadata(TypeUrl.endpoints, "llm/default/chat/y")).toBe("y");
    expect(metadata(TypeUrl.cluster, "llm/default/chat/z")).toBe("z");
    expect(metadata(TypeUrl.endpoints, "outbound|80||a.test")).toBeUndefined();
    expect(metadata(TypeUrl.cluster, "outbound|80||dns.test")).toBeUndefined();
  });

  it("are reached by one route, first in every virtual host, that takes this router's clusters only", () => {
    const match = [{ uri: { prefix: "/v1" } }];
    const rest = { hosts: ["www.test"], http: [{ match, directResponse: { status: 404 } }] };
    const spec = { clusterHeader: "x-llm-to", targets: { x: { cluster: "a.test" } }, rules: [RULE] };
    const [table] = ofType(build([...BASE, virtualService(rest), router(spec)]), TypeUrl.route);
    const hosts = (table && view(table).virtual_hosts) as { name: string; routes: object[] }[];
    expect(hosts.map(({ name, routes }) => [name, routes.length])).toEqual([
      ["*", 1],
      ["www.test", 2],
    ]);
    for (const { routes } of hosts) {
      expect(routes[0]).toMatchObject({
        match: { headers: [{ name: "x-llm-to", string_match: { prefix: "llm/default/chat/" } }] },
        route: { cluster_header: "x-llm-to", timeout: { seconds: 0 } },
      });
    }
  });

  it("that are routes need none of this", () => {
    const rest = { hosts: ["www.test"], http: [{ directResponse: { status: 404 } }] };
    const spec = { targets: { x: { route: "a" } }, rules: [RULE] };
    const [without, with_] = [
      build([...BASE, virtualService(rest)]),
      build([...BASE, virtualService(rest), router(spec)]),
    ];
    for (const typeUrl of [TypeUrl.cluster, TypeUrl.endpoints, TypeUrl.route])
      expect(ofType(with_, typeUrl).map(view)).toEqual(ofType(without, typeUrl).map(view));
  });
});

describe("the attempt filter", () => {
  const needs = (fields: object, rule: object = RULE) => {
    const targets = { x: { cluster: "a.test", ...fields }, y: { cluster: "b.test" } };
    const resources = build([...BASE, router({ targets, rules: [rule] })]);
    const attempt = plugins(resources).some(({ root_id }) => root_id === "llm-router-attempt");
    const listener = JSON.stringify(ofType(resources, TypeUrl.listener).map(view));
    expect(listener.includes("upstream_http_filters")).toBe(attempt);
    expect(listener.includes("llm-router/default/chat@")).toBe(attempt);
    return attempt;
  };

  it("is there when a request must be changed per attempt, and only then", () => {
    expect(needs({})).toBe(false);
    expect(needs({ upstreamModel: "m" })).toBe(false);
    expect(needs({ host: "api.test" })).toBe(true);
    expect(needs({ pathPrefix: { to: "/v1" } })).toBe(true);
    expect(needs({ credential: { env: "KEY" } })).toBe(true);
    expect(needs({}, { ...RULE, fallback: { targets: ["y"] } })).toBe(true);
  });

  const spec = (env: string, more: object = {}) => ({
    targets: { x: { cluster: "a.test", credential: { env } }, y: { cluster: "b.test", credential: { env: "B" } } },
    rules: [RULE],
    ...more,
  });
  const versions = (resources: readonly Resource[]) =>
    new Map(resources.map(({ typeUrl, name, version }) => [`${TYPE_NAMES[typeUrl]} ${name}`, version]));
  const changed = (before: readonly Resource[], after: readonly Resource[]) => {
    const [a, b] = [versions(before), versions(after)];
    return [...new Set([...a.keys(), ...b.keys()])].filter((key) => a.get(key) !== b.get(key)).sort();
  };

  it("runs in the router's VM, which has the variables of all credentials", () => {
    const [router_, attempt] = plugins(build([...BASE, router(spec("C"))]));
    expect(router_?.vm_config).toEqual(attempt?.vm_config);
    expect(router_?.vm_config).toMatchObject({ environment_variables: { host_env_keys: ["B", "C"] } });
    expect(attempt?.configuration).toBeUndefined();
  });

  it("keeps its VM when the configuration changes: the router's resource alone does", () => {
    const [before, after] = [spec("C"), spec("C", { accessLog: true })].map((each) => build([...BASE, router(each)]));
    expect(changed(before ?? [], after ?? [])).toEqual([
      expect.stringMatching(/^ECDS tokenmesh.llm-router\/default\/chat@/),
    ]);
  });

  it.each([
    ["code", build([...BASE, router(spec("C"))], "newc0de")],
    ["a variable", build([...BASE, router(spec("D"))])],
  ])("another VM for %s is another pair of names, which comes with the listener", (_what, after) => {
    const names = changed(build([...BASE, router(spec("C"))]), after).map((each) => each.replace(/@.*/, "@"));
    expect(names).toEqual([
      "ECDS tokenmesh.llm-router-attempt@",
      "ECDS tokenmesh.llm-router-attempt@",
      "ECDS tokenmesh.llm-router/default/chat@",
      "ECDS tokenmesh.llm-router/default/chat@",
      "LDS default/edge/http",
    ]);
  });

  it("is shared by routers in one VM", () => {
    const second = { ...GATEWAY, metadata: { name: "second" } };
    const of = (name: string) => ({ name, annotations: { "tokenmesh.io/gateways": name } });
    const gateways = [{ ...GATEWAY, metadata: { name: "first" } }, second, ...BASE.slice(1)];
    const resources = build([...gateways, router(spec("C"), of("first")), router(spec("C"), of("second"))]);
    expect(plugins(resources)).toHaveLength(3);
    expect(danglingReferences(createSnapshot(resources))).toEqual([]);
  });
});

describe("references", () => {
  it("are taken from what the listener serves, so that equal bytes have equal references", () => {
    const served = {
      ...GATEWAY,
      spec: { servers: [{ port: { number: 0, name: "http", protocol: "HTTP" }, hosts: ["x.test"] }] },
    };
    const elsewhere = virtualService({ hosts: ["y.test"], http: [{ route: [{ destination: { host: "a.test" } }] }] });
    const before = createSnapshot(build([served, service("a"), elsewhere]));
    expect(danglingReferences(createSnapshot(build([served]), before))).toEqual([]);
  });

  it("of the filter follow its rules", () => {
    const targets = { x: { cluster: "a.test" }, y: { cluster: "b.test" } };
    const spec = (fallback: object) =>
      router({ targets, rules: [{ ...RULE, ...fallback }], onUnknownModel: { target: "x" } });
    const before = createSnapshot(build([...BASE, spec({ fallback: { targets: ["y"] } })]));
    expect(danglingReferences(createSnapshot(build([...BASE, spec({})]), before))).toEqual([]);
  });
});

/** A router with any targets and rules; fallbacks only between clusters. */
const names = ["t1", "t2", "t3", "t4"] as const;
const targetOf = fc.record(
  {
    cluster: fc.constantFrom("a.test", "b.test:80", "dns.test"),
    upstreamModel: fc.constant("m"),
    credential: fc.constantFrom<object>({ env: "K1" }, { env: "K2" }, { value: "secret" }),
  },
  { requiredKeys: ["cluster"] },
);
const ruleOf = fc
  .record({
    order: fc.shuffledSubarray([...names], { minLength: 1 }),
    own: fc.integer({ min: 1, max: 3 }),
    weights: fc.array(fc.nat(2), { minLength: 4, maxLength: 4 }),
  })
  .map(({ order, own, weights }) => {
    const [targets, fallback] = [order.slice(0, own), order.slice(own)];
    const weighted = targets.map((target, index) => ({
      target,
      weight: (weights[index] ?? 0) + (index === 0 ? 1 : 0),
    }));
    return { targets: weighted, ...(fallback.length > 0 ? { fallback: { targets: fallback } } : {}) };
  });
const specOf = fc.record({
  targets: fc.tuple(targetOf, targetOf, targetOf, targetOf),
  rules: fc.array(ruleOf, { minLength: 1, maxLength: 6 }),
});

describe("property: any router", () => {
  it("names clusters that exist, with members in the order of the chain and endpoints of the right target", () => {
    fc.assert(
      fc.property(specOf, ({ targets, rules }) => {
        const spec = {
          targets: Object.fromEntries(names.map((name, index) => [name, targets[index]])),
          rules: rules.map((each, index) => ({ name: `r${index}`, ...each })),
        };
        const resources = build([...BASE, router(spec)]);
        expect(danglingReferences(createSnapshot(resources))).toEqual([]);
        const clusters = new Map(ofType(resources, TypeUrl.cluster).map((each) => [each.name, view(each)]));
        const endpoints = new Map(ofType(resources, TypeUrl.endpoints).map((each) => [each.name, view(each)]));
        const read = configuration(resources) as {
          targets: Record<string, { cluster: string }>;
          rules: { targets: { target: string }[]; fallback?: { targets: string[] } }[];
        };
        const filter = ofType(resources, TypeUrl.extensionConfig).find(({ references }) => references.length > 0);
        const referenced = new Set(filter?.references.map(({ name }) => name));
        for (const rule of read.rules) {
          for (const { target } of rule.targets) {
            // What the filter writes into the header, by the contract between the two.
            const chain = [target, ...(rule.fallback?.targets ?? [])];
            const members = chain.map((name) => read.targets[name]?.cluster ?? "");
            const written = members.join("+");
            expect(referenced).toContain(written);
            expect(written.startsWith("llm/default/chat/")).toBe(true);
            const cluster = JSON.stringify(clusters.get(written));
            if (members.length > 1) {
              const list = members.map((name) => ({ name }));
              expect(cluster).toContain(`"clusters":${JSON.stringify(list)}`);
            }
            for (const [index, member] of members.entries()) {
              const holder = JSON.stringify([clusters.get(member), endpoints.get(member)]);
              expect(holder.match(/"stringValue":"(\w+)"/g)).toEqual([`"stringValue":"${chain[index]}"`]);
            }
          }
        }
        const [one, two] = plugins(resources);
        if (two !== undefined) expect(one?.vm_config).toEqual(two.vm_config);
      }),
      { numRuns: 200 },
    );
  });
});
