import { expect, it } from "vitest";
import { TypeUrl, toJson } from "../../protos/index.ts";
import { buildResources } from "../../test/fixtures/built-resources.ts";
import { formatError, parseConfig } from "../config/index.ts";
import type { ServerAddress } from "./server-clusters.ts";

/** The clusters by which filters ask this server: which there are, and where they lead. */

const module = (hash: string) => ({ hash, code: { inline: new Uint8Array([1]) } });
const MODULES = { "prompt-cache": module("c"), "hash-ring": module("p"), "llm-gateway": module("g") };
const SERVICE = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec: {hosts: [a.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 192.0.2.1}]}
`;
const cache = (fields: string) => `
apiVersion: tokenmesh.io/v1alpha1
kind: PromptCache
metadata: {name: answers}
spec: {rules: [{name: all}]${fields}}
`;
const PICKER = `
apiVersion: tokenmesh.io/v1alpha1
kind: EndpointPicker
metadata: {name: picks}
spec: {pools: [{name: main, host: a.test}]}
`;
const HERE: ServerAddress = { host: "192.0.2.7", port: 18_000 };

/** Names of this server's clusters, and what the filters' configurations say of them. */
function built(server: ServerAddress | undefined, ...texts: readonly string[]) {
  const result = parseConfig([SERVICE, ...texts].map((text, index) => ({ file: `${index}`, text })));
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  const resources = buildResources(result.model, MODULES, server);
  const clusters = resources.filter(({ typeUrl, name }) => typeUrl === TypeUrl.cluster && name.startsWith("tokenmesh"));
  const filters = resources.filter(({ typeUrl }) => typeUrl === TypeUrl.extensionConfig);
  return {
    names: clusters.map(({ name }) => name),
    clusters: clusters.map(({ any }) => toJson("google.protobuf.Any", any) as Record<string, unknown>),
    asked: filters.flatMap(({ references }) => references.map(({ name }) => name)),
    configurations: filters.map(({ any }) => JSON.stringify(toJson("google.protobuf.Any", any))).join(),
  };
}

it("there is one for each service that some filter asks", () => {
  expect(built(HERE).names).toEqual([]);
  expect(built(HERE, PICKER).names).toEqual(["tokenmesh-loads"]);
  expect(built(HERE, PICKER, cache("")).names).toEqual(["tokenmesh-loads", "tokenmesh-answers"]);
});

it("a cache asks what is to be forgotten, and for answers if it is told to", () => {
  const json = (text: string) => JSON.stringify(text).slice(1, -1);
  const purges = json(`"purges":{"cluster":"tokenmesh-answers"}`);
  const service = json(`"service":{"cluster":"tokenmesh-answers","timeoutMs":50,"ttlMs":86400000}`);
  for (const fields of ["", ", service: false"]) {
    const { names, asked, configurations } = built(HERE, cache(fields));
    expect([names, asked]).toEqual([["tokenmesh-answers"], ["tokenmesh-answers"]]);
    expect([configurations.includes(purges), configurations.includes(service)]).toEqual([true, false]);
  }
  for (const fields of [", service: true", ", service: {}"]) {
    const { configurations } = built(HERE, cache(fields));
    expect([configurations.includes(purges), configurations.includes(service)]).toEqual([true, true]);
  }
});

it("streams that are read along have a route in front of all others, to a cluster with room for them", () => {
  const gateway = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all}
spec: {hosts: [b.test, "*"], http: [{route: [{destination: {host: a.test}}]}]}
`;
  const tables = (server: ServerAddress | undefined, fields: string) => {
    const text = cache("").replace(
      "{name: all}]}",
      `{name: all, singleFlight: {live: true}}], service: true}${fields}`,
    );
    const result = parseConfig([SERVICE, gateway, text].map((each, index) => ({ file: `${index}`, text: each })));
    if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
    const resources = buildResources(result.model, MODULES, server);
    return resources.filter(({ typeUrl }) => typeUrl === TypeUrl.route);
  };
  const [table] = tables(HERE, "");
  const { virtual_hosts: hosts } = toJson("google.protobuf.Any", table?.any ?? new Uint8Array()) as {
    virtual_hosts: { routes: Record<string, object>[] }[];
  };
  expect(hosts.map(({ routes }) => routes.map(({ name }) => name))).toEqual(
    new Array(2).fill(["tokenmesh-flights", "default.all.0"]),
  );
  expect(hosts[0]?.routes[0]).toMatchObject({
    match: { prefix: "/", headers: [{ name: "x-llm-flight", present_match: true }] },
    request_headers_to_remove: expect.arrayContaining(["authorization", "x-api-key", "cookie"]),
    route: {
      cluster: "tokenmesh-flights",
      timeout: { seconds: 0 },
      regex_rewrite: { pattern: { regex: "^/.*$" }, substitution: "/tokenmesh.answers.v1.Answers/Follow" },
    },
  });
  expect(table?.references.map(({ name }) => name)).toContain("tokenmesh-flights");
  expect(
    JSON.stringify(toJson("google.protobuf.Any", tables(undefined, "")[0]?.any ?? new Uint8Array())),
  ).not.toContain("flight");
  const live = cache(", service: true").replace("{name: all}", "{name: all, singleFlight: {live: true}}");
  const { names, clusters } = built(HERE, live);
  expect(names).toEqual(["tokenmesh-answers", "tokenmesh-flights"]);
  expect(clusters[1]).toMatchObject({ circuit_breakers: { thresholds: [{ max_requests: { value: 16_384 } }] } });
  const paced = cache(", service: true").replace("{name: all}", "{name: all, paced: true}");
  expect(built(HERE, paced).names).toEqual(names);
  expect(built(undefined, live).names).toEqual([]);
});

it("nobody is told to ask a server whose address is not known", () => {
  const { names, asked, configurations } = built(undefined, PICKER, cache(", service: true"));
  expect([names, asked]).toEqual([[], []]);
  expect(configurations).not.toContain("tokenmesh-");
  // The filter refuses rules that need what is not there.
  const similar = cache(", service: true").replace("{name: all}", "{name: all, semantic: {threshold: 0.9}}");
  expect(built(HERE, similar).configurations).toContain("semantic");
  expect(built(undefined, similar).configurations).not.toContain("semantic");
});

it("they speak HTTP/2 with this server, at an address or at a name", () => {
  const [here] = built(HERE, cache("")).clusters;
  expect(here).toMatchObject({
    name: "tokenmesh-answers",
    type: "STATIC",
    load_assignment: {
      cluster_name: "tokenmesh-answers",
      endpoints: [
        { lb_endpoints: [{ endpoint: { address: { socket_address: { address: "192.0.2.7", port_value: 18_000 } } } }] },
      ],
    },
  });
  expect(JSON.stringify(here)).toContain("http2_protocol_options");
  const [named] = built({ host: "xds.test", port: 1 }, cache("")).clusters;
  expect(named).toMatchObject({ type: "STRICT_DNS", dns_lookup_family: "V4_PREFERRED" });
});

it("a secret is taken out of what is shown", () => {
  const text = cache(", secret: 00112233445566778899aabbccddeeff");
  const result = parseConfig([{ file: "0", text }]);
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  const resources = buildResources(result.model, MODULES, HERE);
  const secrets = resources.flatMap((each) => each.secrets ?? []);
  expect(secrets).toEqual(["00112233445566778899aabbccddeeff"]);
});
