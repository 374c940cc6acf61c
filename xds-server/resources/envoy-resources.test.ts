import { describe, expect, it } from "vitest";
import { TYPE_NAMES } from "../cache/index.ts";
import { formatError, parseConfig } from "../config/index.ts";
import { envoyResource } from "./envoy-resources.ts";

/** What resources that are as they are name, and what of them nobody is shown. */

function built(text: string) {
  const head = "apiVersion: tokenmesh.io/v1alpha1\nkind: EnvoyResources\nmetadata: {name: own}\nspec:\n  resources:\n";
  const result = parseConfig([{ file: "a.yaml", text: `${head}  - ${text}` }]);
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  const [source] = result.model.envoyResources.flatMap(({ spec }) => spec.resources);
  if (source === undefined) throw new Error("no resource");
  expect(envoyResource(source)).toBe(envoyResource(source));
  return envoyResource(source);
}
const references = (text: string) =>
  built(text).references.map(({ typeUrl, name }) => `${TYPE_NAMES[typeUrl]} ${name}`);

const TYPE = '"@type": type.googleapis.com/envoy';
const TLS = `${TYPE}.extensions.transport_sockets.tls.v3`;
const ADS = "{ads: {}, resource_api_version: V3}";

describe("names", () => {
  it.each([
    [
      "EDS by the cluster's name",
      `{${TYPE}.config.cluster.v3.Cluster, name: a, type: EDS, eds_cluster_config: {eds_config: ${ADS}}}`,
      ["EDS a"],
    ],
    [
      "EDS by another name",
      `{${TYPE}.config.cluster.v3.Cluster, name: a, type: EDS, eds_cluster_config: {eds_config: ${ADS}, service_name: b}}`,
      ["EDS b"],
    ],
    ["EDS of another cluster type", `{${TYPE}.config.cluster.v3.Cluster, name: a, type: STATIC}`, []],
    [
      "SDS deep inside",
      `{${TYPE}.config.cluster.v3.Cluster, name: a, transport_socket: {name: tls, typed_config: {${TLS}.UpstreamTlsContext, common_tls_context: {tls_certificate_sds_secret_configs: [{name: s, sds_config: ${ADS}}, {name: t}]}}}}`,
      ["SDS s"],
    ],
    [
      "routes of scopes",
      `{${TYPE}.config.route.v3.ScopedRouteConfiguration, name: a, route_configuration_name: r, key: {fragments: [{string_key: x}]}}`,
      ["RDS r"],
    ],
    [
      "routes and filters",
      `{${TYPE}.config.listener.v3.Listener, name: l, filter_chains: [{filters: [{name: f, config_discovery: {config_source: ${ADS}, type_urls: [x]}}, {name: hcm, typed_config: {${TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: x, rds: {route_config_name: r, config_source: ${ADS}}}}]}]}`,
      ["ECDS f", "RDS r"],
    ],
    [
      "no clusters of routes",
      `{${TYPE}.config.route.v3.RouteConfiguration, name: r, virtual_hosts: [{name: a, domains: [a], routes: [{match: {prefix: /}, route: {cluster: static}}]}]}`,
      [],
    ],
  ])("%s", (_what, text, expected) => {
    expect(references(text)).toEqual(expected);
  });
});

describe("secrets", () => {
  it("are all that a Secret holds, as it is shown", () => {
    expect(built(`{${TLS}.Secret, name: s, generic_secret: {secret: {inline_string: hush}}}`).secrets).toEqual([
      "hush",
    ]);
    const ticket = `{${TLS}.Secret, name: s, session_ticket_keys: {keys: [{inline_bytes: aHVzaA==}]}}`;
    expect(built(ticket).secrets).toEqual(["aHVzaA=="]);
  });

  it("are keys elsewhere", () => {
    const context = `{${TLS}.UpstreamTlsContext, common_tls_context: {tls_certificates: [{certificate_chain: {inline_string: open}, private_key: {inline_string: hush}}]}}`;
    const text = `{${TYPE}.config.cluster.v3.Cluster, name: a, transport_socket: {name: tls, typed_config: ${context}}}`;
    expect(built(text).secrets).toEqual(["hush"]);
  });
});
