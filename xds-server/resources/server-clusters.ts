/**
 * The clusters by which filters ask this server: for the loads of endpoints (state/loads), and for stored answers (state/answers); and the one to which requests go that read
 * the answer of another along.
 */
import { isIP } from "node:net";
import type { ProtoObject } from "../../protos/index.ts";
import { FLIGHT_HEADER, FOLLOW_PATH } from "../state/answers/follow-request.ts";
import { socketAddress } from "./endpoints.ts";
import { any, protoDuration, wrapped } from "./proto-values.ts";

/** Envoy sends the names as `:authority`, in which a slash breaks HTTP/2. One for each service, so that Envoy's statistics and circuit breakers keep them apart. */
export const LOADS_CLUSTER = "tokenmesh-loads";
export const ANSWERS_CLUSTER = "tokenmesh-answers";
export const FLIGHTS_CLUSTER = "tokenmesh-flights";

const HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/** Loads that come later than this are too old to say anything, and nobody waits so long for a stored answer. */
const CONNECT_TIMEOUT_MS = 1_000;
/** Requests that read along at a time, from each Envoy: as many as this server serves. Envoy's own bound is 1024. */
const MOST_FOLLOWERS = 16_384;
/** What a request says of who sends it: that is nothing for this server. */
const CREDENTIALS = ["authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"];

/** Where Envoys reach this server's gRPC port. */
export interface ServerAddress {
  /** An IP address without brackets, or a name. */
  readonly host: string;
  readonly port: number;
}

export function serverCluster(name: string, { host, port }: ServerAddress): ProtoObject {
  const address = socketAddress(host, port);
  const bounds = { max_requests: wrapped(MOST_FOLLOWERS), max_pending_requests: wrapped(MOST_FOLLOWERS) };
  return {
    name,
    circuit_breakers: name === FLIGHTS_CLUSTER ? { thresholds: [bounds] } : undefined,
    type: isIP(host) === 0 ? "STRICT_DNS" : "STATIC",
    dns_lookup_family: isIP(host) === 0 ? "V4_PREFERRED" : undefined,
    connect_timeout: protoDuration(CONNECT_TIMEOUT_MS),
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    typed_extension_protocol_options: {
      [HTTP_PROTOCOL_OPTIONS]: any(HTTP_PROTOCOL_OPTIONS, { explicit_http_config: { http2_protocol_options: {} } }),
    },
  };
}

/** In front of all others: the filter takes the header from clients, and writes it where a request is to read along. Neither credentials nor the path of the request go there. */
export function flightRoute(): ProtoObject {
  return {
    name: FLIGHTS_CLUSTER,
    match: { prefix: "/", headers: [{ name: FLIGHT_HEADER, present_match: true }] },
    request_headers_to_remove: CREDENTIALS,
    route: {
      cluster: FLIGHTS_CLUSTER,
      timeout: protoDuration(0),
      regex_rewrite: { pattern: { regex: "^/.*$" }, substitution: FOLLOW_PATH },
      retry_policy: { retry_on: "connect-failure,refused-stream", num_retries: wrapped(2) },
    },
  };
}
