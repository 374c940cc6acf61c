/** The clusters by which filters ask this server: for the loads of endpoints (state/loads), and for stored answers (state/answers). */
import { isIP } from "node:net";
import type { ProtoObject } from "../../protos/index.ts";
import { socketAddress } from "./endpoints.ts";
import { any, protoDuration } from "./proto-values.ts";

/** Envoy sends the names as `:authority`, in which a slash breaks HTTP/2. One for each service, so that Envoy's statistics and circuit breakers keep them apart. */
export const LOADS_CLUSTER = "tokenmesh-loads";
export const ANSWERS_CLUSTER = "tokenmesh-answers";

const HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/** Loads that come later than this are too old to say anything, and nobody waits so long for a stored answer. */
const CONNECT_TIMEOUT_MS = 1_000;

/** Where Envoys reach this server's gRPC port. */
export interface ServerAddress {
  /** An IP address without brackets, or a name. */
  readonly host: string;
  readonly port: number;
}

export function serverCluster(name: string, { host, port }: ServerAddress): ProtoObject {
  const address = socketAddress(host, port);
  return {
    name,
    type: isIP(host) === 0 ? "STRICT_DNS" : "STATIC",
    dns_lookup_family: isIP(host) === 0 ? "V4_PREFERRED" : undefined,
    connect_timeout: protoDuration(CONNECT_TIMEOUT_MS),
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    typed_extension_protocol_options: {
      [HTTP_PROTOCOL_OPTIONS]: any(HTTP_PROTOCOL_OPTIONS, { explicit_http_config: { http2_protocol_options: {} } }),
    },
  };
}
