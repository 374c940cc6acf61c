import { describe, expect, it } from "vitest";
import { decode, encode, type ProtoObject, TypeUrl } from "../../protos/index.ts";
import { formatError, parseConfig } from "./index.ts";
import type { EnvoyResource } from "./model.ts";

/** xDS resources in the JSON of their protos: what they become, and what is told about those that are wrong. */

const document = (resources: string, more = "") => `
apiVersion: tokenmesh.io/v1alpha1
kind: EnvoyResources
metadata: {name: own}
spec:
${more}  resources:
${resources}`;
const parse = (text: string) => parseConfig([{ file: "a.yaml", text }]);
function resources(text: string, more?: string): readonly EnvoyResource[] {
  const result = parse(document(text, more));
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  return result.model.envoyResources.flatMap(({ spec }) => spec.resources);
}
function errors(text: string, more?: string): readonly string[] {
  const result = parse(document(text, more));
  return result.ok ? [] : result.errors.map(formatError);
}
const CLUSTER = '"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster';

describe("messages", () => {
  const cases: readonly (readonly [string, string, ProtoObject])[] = [
    ["durations", "connect_timeout: 0.25s", { connect_timeout: { seconds: "0", nanos: 250_000_000 } }],
    ["names in camel case", "connectTimeout: 1.5s", { connect_timeout: { seconds: "1", nanos: 500_000_000 } }],
    ["wrapped values", "per_connection_buffer_limit_bytes: 7", { per_connection_buffer_limit_bytes: { value: 7 } }],
    ["enums by name", "type: STRICT_DNS", { type: "STRICT_DNS" }],
    ["enums by number", "type: 1", { type: "STRICT_DNS" }],
    ["nothing", "alt_stat_name:", {}],
    [
      "structs",
      "metadata: {filter_metadata: {a: {t: x, n: 1.5, b: true, l: [1, {}], o: {k: null}}}}",
      {
        metadata: {
          filter_metadata: {
            a: {
              fields: {
                t: { stringValue: "x" },
                n: { numberValue: 1.5 },
                b: { boolValue: true },
                l: { listValue: { values: [{ numberValue: 1 }, { structValue: {} }] } },
                o: { structValue: { fields: { k: { nullValue: "NULL_VALUE" } } } },
              },
            },
          },
        },
      },
    ],
  ];
  it.each(cases)("%s", (_what, text, expected) => {
    const [resource] = resources(`  - {${CLUSTER}, name: a, ${text}}`);
    expect(resource).toMatchObject({ typeUrl: TypeUrl.cluster, name: "a", aliases: [], ttlMs: undefined });
    const message = "envoy.config.cluster.v3.Cluster";
    const bytes = encode(message, resource?.object ?? {});
    expect(decode(message, bytes)).toEqual(decode(message, encode(message, { name: "a", ...asNumbers(expected) })));
    expect(decode(message, bytes)).toMatchObject(expected);
  });

  /** 64-bit numbers are texts when decoded. */
  function asNumbers(object: ProtoObject): ProtoObject {
    return JSON.parse(JSON.stringify(object).replace(/"seconds":"(\d+)"/g, '"seconds":$1')) as ProtoObject;
  }

  it("in messages: an Any of a type that nothing else uses, and one with a JSON of its own", () => {
    const [resource] = resources(`
  - "@type": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig
    name: proxy
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
      stat_prefix: tcp
      cluster: a
      idle_timeout: 3s
  - "@type": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig
    name: text
    typed_config: {"@type": type.googleapis.com/google.protobuf.StringValue, value: hello}`);
    expect(resource?.object.typed_config).toEqual({
      "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
      stat_prefix: "tcp",
      cluster: "a",
      idle_timeout: { seconds: 3, nanos: 0 },
    });
  });

  it("of every type of resource", () => {
    const all = resources(`
  - {"@type": type.googleapis.com/envoy.service.runtime.v3.Runtime, name: rt, layer: {a: {b: 1}}}
  - {"@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment, cluster_name: c}
  - {"@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration, name: r}
  - {"@type": type.googleapis.com/envoy.config.listener.v3.Listener, name: l}
  - {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret, name: s, generic_secret: {secret: {inline_bytes: aGVsbG8=}}}
  - {"@type": type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration, name: sr, route_configuration_name: r, key: {fragments: [{string_key: x}]}}`);
    expect(all.map(({ name }) => name)).toEqual(["rt", "c", "r", "l", "s", "sr"]);
  });

  it("in a Resource have a name of their own, other names and a time to live", () => {
    expect(
      resources(`
  - "@type": type.googleapis.com/envoy.service.discovery.v3.Resource
    name: table/shop.test
    aliases: [table/www.shop.test]
    ttl: 30s
    resource: {"@type": type.googleapis.com/envoy.config.route.v3.VirtualHost, name: shop, domains: [shop.test]}`),
    ).toMatchObject([
      { typeUrl: TypeUrl.virtualHost, name: "table/shop.test", aliases: ["table/www.shop.test"], ttlMs: 30_000 },
    ]);
  });
});

describe("errors", () => {
  it.each([
    ["no type", "  - {name: a}", '7:5: TM_CONFIG_MISSING_FIELD spec.resources[0]: field "@type" is missing'],
    [
      "no such type",
      '  - {"@type": type.googleapis.com/envoy.Nope}',
      '7:15: TM_CONFIG_INVALID_VALUE spec.resources[0].@type: "type.googleapis.com/envoy.Nope" is no message',
    ],
    ["a path instead of a type", '  - {"@type": ../../x.Nope}', "is no message"],
    ["not a resource", '  - {"@type": type.googleapis.com/google.protobuf.Duration}', "is not a type of xDS resources"],
    [
      "a misspelled field",
      `  - {${CLUSTER}, name: a, connect_timeuot: 1s}`,
      "unknown field of envoy.config.cluster.v3.Cluster; Did you mean connect_timeout?",
    ],
    [
      "both spellings",
      `  - {${CLUSTER}, name: a, connect_timeout: 1s, connectTimeout: 1s}`,
      "field connect_timeout is there in both spellings",
    ],
    ["no name", `  - {${CLUSTER}, type: STATIC}`, "the resource has no name; Add name."],
    [
      "a wrong type",
      `  - {${CLUSTER}, name: 1}`,
      "TM_CONFIG_WRONG_TYPE spec.resources[0].name: expected a text, not a number",
    ],
    ["a wrong enum", `  - {${CLUSTER}, name: a, type: STRICT_DSN}`, "Did you mean STRICT_DNS?"],
    ["a wrong duration", `  - {${CLUSTER}, name: a, connect_timeout: 10}`, "Write it in seconds"],
    [
      "too large a number",
      `  - {${CLUSTER}, name: a, per_connection_buffer_limit_bytes: 4294967296}`,
      "from 0 to 4294967295",
    ],
    [
      "two of a oneof",
      `  - {${CLUSTER}, name: a, type: STATIC, cluster_type: {name: x}}`,
      "type and cluster_type exclude each other",
    ],
    ["a list of one", `  - {${CLUSTER}, name: a, health_checks: {}}`, "expected a list, not a mapping"],
    [
      "a virtual host by its own name",
      '  - {"@type": type.googleapis.com/envoy.config.route.v3.VirtualHost, name: a, domains: [a]}',
      "Put it into the field resource",
    ],
    ["an unknown group", `  - {${CLUSTER}, name: a}`, "no NodeGroup edge is defined", "  nodeGroups: [edge]\n"],
  ])("%s", (_what, text, expected, more?: string) => {
    const [first, ...rest] = errors(text, more);
    expect(rest).toEqual([]);
    expect(first).toContain(expected);
  });

  it("come all at once, each where it is", () => {
    const found = errors(`
  - {${CLUSTER}, name: a, typ: STATIC}
  - {${CLUSTER}, name: b, load_assignment: {cluster_name: b, endpoints: [{lb_endpoints: [{endpoint: {adress: {}}}]}]}}`);
    expect(found.map((each) => each.split(" ")[0])).toEqual([
      expect.stringMatching(/^a\.yaml:8:\d+:$/),
      expect.stringMatching(/^a\.yaml:9:\d+:$/),
    ]);
    expect(found[1]).toContain("spec.resources[1].load_assignment.endpoints[0].lb_endpoints[0].endpoint.adress");
  });
});
