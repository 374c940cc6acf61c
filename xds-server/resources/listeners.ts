/** Listeners and their HTTP connection manager: `envoy/config/listener/v3/listener.proto`. Defaults follow Envoy's edge guide:
 * https://www.envoyproxy.io/docs/envoy/latest/configuration/best_practices/edge */
import { type ProtoObject, typeUrlOf } from "../../protos/index.ts";
import type { Gateway, GatewayServer } from "../config/model.ts";
import { socketAddress } from "./endpoints.ts";
import { ENDPOINT_HEADER, PREFIX_HEADER } from "./override-host.ts";
import { ADS, any, protoDuration } from "./proto-values.ts";
import { streamEndFilter } from "./stream-end.ts";
import { transportSocket } from "./tls.ts";

/** Read and write buffer of a connection when no filter needs more: Envoy's own default. */
export const DEFAULT_BUFFER_BYTES = 1024 * 1024;

const HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER = "envoy.extensions.filters.http.router.v3.Router";
const UPSTREAM_CODEC = "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec";
const HEADER_MUTATION = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
const EARLY_HEADER_MUTATION = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";

/** Names of ECDS filter configurations. */
export interface DiscoveredFilters {
  /** In front of the connection manager. */
  readonly network: readonly string[];
  /** In front of the router, in order. */
  readonly downstream: readonly string[];
  /** Behind the choice of the endpoint, once per attempt. */
  readonly upstream: readonly string[];
  /** One of those in front of the router picks endpoints. */
  readonly picks: boolean;
}

/** `namespace/gateway/port`: the name of the listener and of its route table. */
export function listenerName({ metadata }: Gateway, server: GatewayServer): string {
  return `${metadata.namespace}/${metadata.name}/${server.port.name}`;
}

/** @param bufferBytes what a filter may have to hold of one request */
export function listener(
  gateway: Gateway,
  server: GatewayServer,
  filters: DiscoveredFilters,
  bufferBytes: number,
): ProtoObject {
  const name = listenerName(gateway, server);
  return {
    name,
    address: socketAddress(server.bind, server.port.number),
    per_connection_buffer_limit_bytes: { value: bufferBytes },
    filter_chains: [
      {
        transport_socket: transportSocket(gateway, server),
        filters: [
          ...filters.network.map(streamEndFilter),
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: any(HCM, connectionManager(name, filters, bufferBytes)),
          },
        ],
      },
    ],
  };
}

function connectionManager(name: string, filters: DiscoveredFilters, bufferBytes: number): ProtoObject {
  return {
    codec_type: "AUTO",
    stat_prefix: name.replaceAll("/", "_"),
    rds: { config_source: ADS, route_config_name: name },
    http_filters: [
      ...filters.downstream.map(discoveredFilter),
      { name: "envoy.filters.http.router", typed_config: any(ROUTER, upstreamFilters(filters)) },
    ],
    // The peer is the client: forwarded headers that it sent are not believed.
    use_remote_address: { value: true },
    // One spelling of a path, so that no filter or route can be passed by with another one.
    normalize_path: { value: true },
    merge_slashes: true,
    path_with_escaped_slashes_action: "UNESCAPE_AND_REDIRECT",
    common_http_protocol_options: {
      idle_timeout: protoDuration(3_600_000),
      headers_with_underscores_action: "DROP_HEADER",
    },
    http2_protocol_options: {
      max_concurrent_streams: { value: 100 },
      // Over HTTP/2 Envoy buffers no more of a request than its stream window, whatever the connection's limit is.
      initial_stream_window_size: { value: Math.max(65_536, filters.downstream.length > 0 ? bufferBytes : 0) },
      initial_connection_window_size: { value: Math.max(1_048_576, bufferBytes) },
    },
    request_headers_timeout: protoDuration(10_000),
    // No byte in either direction for this long ends a stream; models may think for minutes before their first token.
    stream_idle_timeout: protoDuration(900_000),
    early_header_mutation_extensions: [
      {
        name: "envoy.http.early_header_mutation.header_mutation",
        typed_config: any(EARLY_HEADER_MUTATION, {
          mutations: [{ remove: ENDPOINT_HEADER }, { remove: PREFIX_HEADER }],
        }),
      },
    ],
  };
}

/** Filters of the members of a composite cluster do not run, so they stand here, where they run for every cluster. */
function upstreamFilters({ upstream, picks }: DiscoveredFilters): ProtoObject {
  const filters = [...upstream.map(discoveredFilter), ...(picks ? [withoutEndpoints()] : [])];
  if (filters.length === 0) return {};
  const codec = { name: "envoy.filters.http.upstream_codec", typed_config: any(UPSTREAM_CODEC) };
  return { upstream_http_filters: [...filters, codec] };
}

/** Who else could have answered is nobody's business upstream. Envoy has read the list before the first attempt, for all of them. */
function withoutEndpoints(): ProtoObject {
  return {
    name: "envoy.filters.http.header_mutation",
    typed_config: any(HEADER_MUTATION, { mutations: { request_mutations: [{ remove: ENDPOINT_HEADER }] } }),
  };
}

/** A filter whose configuration comes by ECDS: it can change without draining connections. */
function discoveredFilter(name: string): ProtoObject {
  return {
    name,
    config_discovery: { config_source: ADS, type_urls: [typeUrlOf("envoy.extensions.filters.http.wasm.v3.Wasm")] },
  };
}
