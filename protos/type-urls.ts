/**
 * Type URLs: which message a `google.protobuf.Any` holds, and which `.proto` file defines it. A type that is not listed here cannot be
 * packed: an unlisted name is a spelling mistake far more often than a new extension.
 */

const PREFIX = "type.googleapis.com/";

/** The xDS resource types this server knows, by their usual short names. */
export const TypeUrl = {
  cluster: `${PREFIX}envoy.config.cluster.v3.Cluster`,
  endpoints: `${PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment`,
  listener: `${PREFIX}envoy.config.listener.v3.Listener`,
  route: `${PREFIX}envoy.config.route.v3.RouteConfiguration`,
  extensionConfig: `${PREFIX}envoy.config.core.v3.TypedExtensionConfig`,
  secret: `${PREFIX}envoy.extensions.transport_sockets.tls.v3.Secret`,
  scopedRoute: `${PREFIX}envoy.config.route.v3.ScopedRouteConfiguration`,
  virtualHost: `${PREFIX}envoy.config.route.v3.VirtualHost`,
  runtime: `${PREFIX}envoy.service.runtime.v3.Runtime`,
} as const;

/** One of the resource types of {@link TypeUrl}. */
export type TypeUrl = (typeof TypeUrl)[keyof typeof TypeUrl];

/** Proto file by full message name: everything that is sent as a resource, packed into an Any, or spoken on the wire. */
const FILE_BY_MESSAGE: Readonly<Record<string, string>> = {
  "envoy.service.discovery.v3.DiscoveryRequest": "envoy/service/discovery/v3/discovery.proto",
  "envoy.service.discovery.v3.DiscoveryResponse": "envoy/service/discovery/v3/discovery.proto",
  "envoy.service.discovery.v3.DeltaDiscoveryRequest": "envoy/service/discovery/v3/discovery.proto",
  "envoy.service.discovery.v3.DeltaDiscoveryResponse": "envoy/service/discovery/v3/discovery.proto",
  "envoy.service.discovery.v3.Resource": "envoy/service/discovery/v3/discovery.proto",
  "envoy.service.load_stats.v3.LoadStatsRequest": "envoy/service/load_stats/v3/lrs.proto",
  "envoy.service.load_stats.v3.LoadStatsResponse": "envoy/service/load_stats/v3/lrs.proto",
  "envoy.service.status.v3.ClientStatusRequest": "envoy/service/status/v3/csds.proto",
  "envoy.service.status.v3.ClientStatusResponse": "envoy/service/status/v3/csds.proto",
  "envoy.config.cluster.v3.Cluster": "envoy/config/cluster/v3/cluster.proto",
  "envoy.config.endpoint.v3.ClusterLoadAssignment": "envoy/config/endpoint/v3/endpoint.proto",
  "envoy.config.listener.v3.Listener": "envoy/config/listener/v3/listener.proto",
  "envoy.config.route.v3.RouteConfiguration": "envoy/config/route/v3/route.proto",
  "envoy.config.core.v3.Metadata": "envoy/config/core/v3/base.proto",
  "envoy.config.core.v3.TypedExtensionConfig": "envoy/config/core/v3/extension.proto",
  "envoy.extensions.transport_sockets.tls.v3.Secret": "envoy/extensions/transport_sockets/tls/v3/secret.proto",
  "envoy.config.route.v3.ScopedRouteConfiguration": "envoy/config/route/v3/scoped_route.proto",
  "envoy.config.route.v3.VirtualHost": "envoy/config/route/v3/route_components.proto",
  "envoy.service.runtime.v3.Runtime": "envoy/service/runtime/v3/rtds.proto",
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager":
    "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
  "envoy.extensions.filters.http.on_demand.v3.OnDemand": "envoy/extensions/filters/http/on_demand/v3/on_demand.proto",
  "envoy.extensions.filters.http.router.v3.Router": "envoy/extensions/filters/http/router/v3/router.proto",
  "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec":
    "envoy/extensions/filters/http/upstream_codec/v3/upstream_codec.proto",
  "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation":
    "envoy/extensions/filters/http/header_mutation/v3/header_mutation.proto",
  "envoy.extensions.filters.http.wasm.v3.Wasm": "envoy/extensions/filters/http/wasm/v3/wasm.proto",
  "envoy.extensions.filters.network.wasm.v3.Wasm": "envoy/extensions/filters/network/wasm/v3/wasm.proto",
  "envoy.extensions.wasm.v3.PluginConfig": "envoy/extensions/wasm/v3/wasm.proto",
  "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation":
    "envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.proto",
  "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext":
    "envoy/extensions/transport_sockets/tls/v3/tls.proto",
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions":
    "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
  "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate":
    "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto",
  "envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost":
    "envoy/extensions/load_balancing_policies/override_host/v3/override_host.proto",
  "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash":
    "envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.proto",
  "envoy.extensions.clusters.composite.v3.ClusterConfig": "envoy/extensions/clusters/composite/v3/cluster.proto",
  "google.protobuf.Any": "google/protobuf/any.proto",
  "google.protobuf.StringValue": "google/protobuf/wrappers.proto",
};

/** `type.googleapis.com/a.b.C` of a full message name. */
export function typeUrlOf(message: string): string {
  return PREFIX + message;
}

/** Full message name of a type URL: what follows the last slash. */
export function messageOf(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
}

/** The proto file that defines a message, or undefined when the message is not registered. */
export function protoFileOf(message: string): string | undefined {
  return Object.hasOwn(FILE_BY_MESSAGE, message) ? FILE_BY_MESSAGE[message] : undefined;
}

/** Every registered message name. */
export function registeredMessages(): readonly string[] {
  return Object.keys(FILE_BY_MESSAGE);
}
