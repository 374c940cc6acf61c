import { describe, expect, it } from "vitest";
import {
  adsBootstrap,
  cluster,
  httpListener,
  nextMemberOnRetry,
  pool,
  socketAddress,
  staticBootstrap,
} from "./bootstrap.ts";
import { wasmFilter } from "./wasm-filter.ts";

const address = (port_value: number, host = "127.0.0.1") => ({ socket_address: { address: host, port_value } });

describe("socketAddress", () => {
  it.each([
    [8080, address(8080)],
    ["10.0.0.7:80", address(80, "10.0.0.7")],
    ["[::1]:443", address(443, "::1")],
  ])("reads %j", (target, expected) => expect(socketAddress(target)).toEqual(expected));
});

describe("adsBootstrap", () => {
  it("asks one HTTP/2 cluster for clusters and listeners over ADS", () => {
    const bootstrap = adsBootstrap({ xdsAddress: "127.0.0.1:18000", nodeId: "envoy-1", cluster: "llm" });
    expect(bootstrap).toMatchObject({
      node: { id: "envoy-1", cluster: "llm" },
      admin: { address: address(0) },
      dynamic_resources: {
        ads_config: {
          api_type: "GRPC",
          transport_api_version: "V3",
          grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
        },
        cds_config: { ads: {}, resource_api_version: "V3" },
        lds_config: { ads: {}, resource_api_version: "V3" },
      },
      static_resources: {
        clusters: [
          {
            name: "xds",
            load_assignment: { endpoints: [{ lb_endpoints: [{ endpoint: { address: address(18000) } }] }] },
            typed_extension_protocol_options: {
              "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                explicit_http_config: { http2_protocol_options: {} },
              },
            },
          },
        ],
      },
    });
  });

  it("speaks the incremental protocol and takes an admin port on request", () => {
    const bootstrap = adsBootstrap({
      xdsAddress: "h:1",
      nodeId: "n",
      cluster: "c",
      adminPort: 9901,
      protocol: "delta",
    });
    expect(bootstrap).toMatchObject({
      admin: { address: address(9901) },
      dynamic_resources: { ads_config: { api_type: "DELTA_GRPC" } },
    });
  });
});

describe("staticBootstrap", () => {
  it("holds listeners, clusters and the node", () => {
    const listener = httpListener({ name: "proxy", routes: [] });
    const upstream = cluster({ name: "upstream", targets: [1, 2] });
    expect(staticBootstrap({ listeners: [listener], clusters: [upstream], node: { id: "a", cluster: "b" } })).toEqual({
      node: { id: "a", cluster: "b" },
      admin: { address: address(0) },
      static_resources: { listeners: [listener], clusters: [upstream] },
    });
  });
});

describe("httpListener", () => {
  const filter = wasmFilter({ name: "llm", file: "/x.wasm" });
  const listener = httpListener({
    name: "proxy",
    bufferLimitBytes: 4096,
    httpFilters: [filter],
    hcm: { stream_idle_timeout: "1s" },
    routes: [
      { cluster: "gpt", headers: { "x-llm-route": "gpt4" }, timeout: "3s" },
      { cluster: "rest", prefix: "/rest" },
    ],
  });

  it("puts the given filters before the router, and matches headers exactly, in order", () => {
    expect(listener).toMatchObject({
      name: "proxy",
      address: address(0),
      per_connection_buffer_limit_bytes: 4096,
      filter_chains: [
        {
          filters: [
            {
              typed_config: {
                stat_prefix: "proxy",
                stream_idle_timeout: "1s",
                http_filters: [filter, { name: "envoy.filters.http.router" }],
                route_config: {
                  virtual_hosts: [
                    {
                      domains: ["*"],
                      routes: [
                        {
                          match: { prefix: "/", headers: [{ name: "x-llm-route", string_match: { exact: "gpt4" } }] },
                          route: { cluster: "gpt", timeout: "3s" },
                        },
                        { match: { prefix: "/rest" }, route: { cluster: "rest", timeout: "0s" } },
                      ],
                    },
                  ],
                },
              },
            },
          ],
        },
      ],
    });
  });
});

describe("fallback", () => {
  it("runs filters for each attempt, in front of the codec, and routes by the header that names the cluster", () => {
    const attempt = wasmFilter({ name: "attempt", file: "/x.wasm", environment: ["KEY"] });
    expect(attempt).toMatchObject({
      typed_config: { config: { vm_config: { environment_variables: { host_env_keys: ["KEY"] } } } },
    });
    const routes = [{ cluster: { header: "x-llm-cluster" }, action: nextMemberOnRetry }];
    const listener = httpListener({ name: "proxy", upstreamFilters: [attempt], routes });
    const router = { upstream_http_filters: [attempt, { name: "envoy.filters.http.upstream_codec" }] };
    const match = { prefix: "/", headers: [{ name: "x-llm-cluster", present_match: true }] };
    const route = { cluster_header: "x-llm-cluster", timeout: "0s", ...nextMemberOnRetry };
    expect(listener).toMatchObject({
      filter_chains: [
        {
          filters: [
            {
              typed_config: {
                http_filters: [{ typed_config: router }],
                route_config: { virtual_hosts: [{ routes: [{ match, route }] }] },
              },
            },
          ],
        },
      ],
    });
  });

  it.each([
    ["composite", [{ name: "a" }, { name: "b" }]],
    ["aggregate", ["a", "b"]],
  ] as const)("makes a pool of kind %s", (kind, clusters) => {
    expect(pool({ members: ["a", "b"], kind })).toMatchObject({
      name: "a+b",
      lb_policy: "CLUSTER_PROVIDED",
      cluster_type: { name: `envoy.clusters.${kind}`, typed_config: { clusters } },
      circuit_breakers: { thresholds: [{ max_retries: 1024 }] },
    });
  });

  it("lets endpoints say which target they are, and nothing unless asked", () => {
    const endpoint = { endpoint: { address: address(1) } };
    const assigned = (one: unknown) => ({ load_assignment: { endpoints: [{ lb_endpoints: [one] }] } });
    const metadata = { filter_metadata: { tokenmesh: { target: "azure" } } };
    expect(cluster({ name: "a", targets: [1], llmTarget: "azure" })).toMatchObject(assigned({ ...endpoint, metadata }));
    const { load_assignment } = cluster({ name: "a", targets: [1] }) as { load_assignment: unknown };
    expect(load_assignment).toEqual({ cluster_name: "a", endpoints: [{ lb_endpoints: [endpoint] }] });
  });

  it("takes a stats_config", () => {
    const stats = { stats_tags: [] };
    expect(staticBootstrap({ listeners: [], clusters: [], stats })).toMatchObject({ stats_config: stats });
  });
});

describe("wasmFilter", () => {
  const configOf = (filter: ReturnType<typeof wasmFilter>) =>
    (filter as { typed_config: { config: Record<string, unknown> } }).typed_config.config;

  it("defaults to what the filters need: body after a stop on headers, a new VM after a trap", () => {
    expect(configOf(wasmFilter({ name: "llm-router", file: "/f.wasm", configuration: { paths: ["/x"] } }))).toEqual({
      name: "llm-router",
      root_id: "llm-router",
      vm_config: { runtime: "envoy.wasm.runtime.v8", code: { local: { filename: "/f.wasm" } } },
      configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: '{"paths":["/x"]}' },
      failure_policy: "FAIL_RELOAD",
      allow_on_headers_stop_iteration: true,
    });
  });

  it("leaves the flag out, as a user who does not know of it does, and takes further fields", () => {
    const config = configOf(
      wasmFilter({
        name: "a",
        rootId: "b",
        file: "/f.wasm",
        allowOnHeadersStopIteration: false,
        failurePolicy: "FAIL_OPEN",
        vmId: "vm",
        vmConfiguration: "v",
        plugin: { reload_config: { backoff: { base_interval: "1s" } } },
      }),
    );
    expect(config).not.toHaveProperty("allow_on_headers_stop_iteration");
    expect(config).toMatchObject({
      root_id: "b",
      failure_policy: "FAIL_OPEN",
      vm_config: { vm_id: "vm", configuration: { value: "v" } },
      reload_config: { backoff: { base_interval: "1s" } },
    });
  });
});
