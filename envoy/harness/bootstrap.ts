/**
 * Building blocks for Envoy bootstraps in tests, benches and `npm start`: plain objects in the JSON form of Envoy's v3 API. Only what is used; what is
 * missing goes in through the `hcm`, `listener` and `cluster` overrides, or by editing the object.
 * https://www.envoyproxy.io/docs/envoy/latest/api-v3/api
 */
import { envoyType, type Json, type JsonObject } from "./json.ts";

/** `127.0.0.1:PORT` or a bare port. */
export type Target = number | string;

export interface RouteSpec {
  /** Cluster that serves it, or the request header that names the cluster: then only requests with that header match. */
  readonly cluster: string | { readonly header: string };
  /** Path prefix; default "/". */
  readonly prefix?: string;
  /** Request headers that must have exactly these values. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Whole-request timeout, such as "15s"; default "0s", none. */
  readonly timeout?: string;
  /** Further fields of the RouteAction, such as retry_policy. */
  readonly action?: JsonObject;
}

export interface ListenerSpec {
  readonly name: string;
  readonly routes: readonly RouteSpec[];
  /** Default 0: a free port, found with EnvoyProcess.listenerAddress(name). */
  readonly port?: number;
  /** Filters before the router, such as wasmFilter(...). */
  readonly httpFilters?: readonly JsonObject[];
  /** Filters that the router runs for each attempt; the codec comes behind them. */
  readonly upstreamFilters?: readonly JsonObject[];
  /** per_connection_buffer_limit_bytes: a filter that buffers bodies needs at least its body limit. Default: Envoy's 1 MiB. */
  readonly bufferLimitBytes?: number;
  /** Default "AUTO": HTTP/1.1 and HTTP/2 with prior knowledge on one port. */
  readonly codec?: "AUTO" | "HTTP1" | "HTTP2";
  /** Further fields of the HttpConnectionManager. */
  readonly hcm?: JsonObject;
}

export interface ClusterSpec {
  readonly name: string;
  readonly targets: readonly Target[];
  /** Speak HTTP/2 (prior knowledge) upstream. */
  readonly http2?: boolean;
  /** Filter metadata `tokenmesh.target` of the endpoints. */
  readonly llmTarget?: string;
  /** Further fields of the Cluster. */
  readonly cluster?: JsonObject;
}

export interface PoolSpec {
  /** Names of clusters, in the order in which attempts go to them. */
  readonly members: readonly string[];
  /** `composite` takes the n-th member for the n-th attempt (Envoy 1.40; 1.37 with gaps); `aggregate` needs `nextMemberOnRetry` in its routes. */
  readonly kind: "composite" | "aggregate";
  /** Further fields of the Cluster. */
  readonly cluster?: JsonObject;
}

export interface StaticBootstrap {
  readonly listeners: readonly JsonObject[];
  readonly clusters: readonly JsonObject[];
  readonly node?: { readonly id: string; readonly cluster: string };
  /** stats_config: tags and buckets. */
  readonly stats?: JsonObject;
}

export interface AdsBootstrap {
  /** `host:port` of the xDS server. */
  readonly xdsAddress: string;
  readonly nodeId: string;
  /** Service cluster that Envoy reports for its node. */
  readonly cluster: string;
  /** Default 0: a free port. */
  readonly adminPort?: number;
  /** State of the world (default) or incremental. */
  readonly protocol?: "sotw" | "delta";
  /** Whether it reports its load to that server (LRS); not by default. */
  readonly loadReports?: boolean;
}

export function socketAddress(target: Target): JsonObject {
  const text = typeof target === "number" ? `127.0.0.1:${target}` : target;
  const colon = text.lastIndexOf(":");
  const address = text.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  return { socket_address: { address, port_value: Number(text.slice(colon + 1)) } };
}

const admin = (port = 0): JsonObject => ({ address: socketAddress(port) });

export function staticBootstrap({ listeners, clusters, node, stats }: StaticBootstrap): JsonObject {
  return {
    ...(node === undefined ? {} : { node: { ...node } }),
    admin: admin(),
    ...(stats === undefined ? {} : { stats_config: stats }),
    static_resources: { listeners: [...listeners], clusters: [...clusters] },
  };
}

export function adsBootstrap(options: AdsBootstrap): JsonObject {
  const { xdsAddress, nodeId, cluster: serviceCluster, adminPort, protocol = "sotw", loadReports = false } = options;
  const ads = { ads: {}, resource_api_version: "V3" };
  return {
    node: { id: nodeId, cluster: serviceCluster },
    admin: admin(adminPort),
    dynamic_resources: {
      ads_config: {
        api_type: protocol === "sotw" ? "GRPC" : "DELTA_GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
        set_node_on_first_message_only: true,
      },
      cds_config: ads,
      lds_config: ads,
    },
    ...(loadReports
      ? {
          cluster_manager: {
            load_stats_config: {
              api_type: "GRPC",
              transport_api_version: "V3",
              grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
            },
          },
        }
      : {}),
    static_resources: { clusters: [cluster({ name: "xds", targets: [xdsAddress], http2: true })] },
  };
}

export function httpListener(spec: ListenerSpec): JsonObject {
  const {
    name,
    routes,
    port = 0,
    httpFilters = [],
    upstreamFilters = [],
    bufferLimitBytes,
    codec = "AUTO",
    hcm = {},
  } = spec;
  const upstreamCodec = {
    name: "envoy.filters.http.upstream_codec",
    typed_config: { "@type": envoyType("extensions.filters.http.upstream_codec.v3.UpstreamCodec") },
  };
  const router = {
    name: "envoy.filters.http.router",
    typed_config: {
      "@type": envoyType("extensions.filters.http.router.v3.Router"),
      ...(upstreamFilters.length > 0 ? { upstream_http_filters: [...upstreamFilters, upstreamCodec] } : {}),
    },
  };
  const manager: JsonObject = {
    "@type": envoyType("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: name,
    codec_type: codec,
    route_config: { name, virtual_hosts: [{ name: "all", domains: ["*"], routes: routes.map(route) }] },
    http_filters: [...httpFilters, router],
    ...hcm,
  };
  return {
    name,
    address: socketAddress(port),
    ...(bufferLimitBytes === undefined ? {} : { per_connection_buffer_limit_bytes: bufferLimitBytes }),
    filter_chains: [{ filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }] }],
  };
}

function route({ cluster: to, prefix = "/", headers = {}, timeout = "0s", action = {} }: RouteSpec): Json {
  const matchers: JsonObject[] = Object.entries(headers).map(([name, exact]) => ({ name, string_match: { exact } }));
  if (typeof to !== "string") matchers.push({ name: to.header, present_match: true });
  return {
    match: { prefix, ...(matchers.length > 0 ? { headers: matchers } : {}) },
    route: { ...(typeof to === "string" ? { cluster: to } : { cluster_header: to.header }), timeout, ...action },
  };
}

export function cluster({ name, targets, http2 = false, llmTarget, cluster: further = {} }: ClusterSpec): JsonObject {
  const metadata = { filter_metadata: { tokenmesh: { target: llmTarget ?? "" } } };
  const endpoints = targets.map((target) => ({
    endpoint: { address: socketAddress(target) },
    ...(llmTarget === undefined ? {} : { metadata }),
  }));
  const protocol = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": envoyType("extensions.upstreams.http.v3.HttpProtocolOptions"),
      explicit_http_config: { http2_protocol_options: {} },
    },
  };
  return {
    name,
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] },
    ...(http2 ? { typed_extension_protocol_options: protocol } : {}),
    ...further,
  };
}

/** A cluster over clusters, named `a+b`: where an attempt fails, the next one goes to the next member. */
export function pool({ members, kind, cluster: further = {} }: PoolSpec): JsonObject {
  const list = kind === "composite" ? members.map((name) => ({ name })) : [...members];
  return {
    name: members.join("+"),
    connect_timeout: "1s",
    lb_policy: "CLUSTER_PROVIDED",
    cluster_type: {
      name: `envoy.clusters.${kind}`,
      typed_config: { "@type": envoyType(`extensions.clusters.${kind}.v3.ClusterConfig`), clusters: list },
    },
    // Envoy's default is three retries at a time: one more request that has to be sent elsewhere would fail instead.
    circuit_breakers: { thresholds: [{ max_retries: 1024 }] },
    ...further,
  };
}

/** For `action` of routes to an aggregate pool: an attempt never goes to a member that had its turn. */
export const nextMemberOnRetry: JsonObject = {
  retry_policy: {
    retry_priority: {
      name: "envoy.retry_priorities.previous_priorities",
      typed_config: {
        "@type": envoyType("extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"),
        update_frequency: 1,
      },
    },
  },
};
