/** The cluster by which a filter asks this server for the loads of endpoints (state/loads). */
import { isIP } from "node:net";
import type { ProtoObject } from "../../protos/index.ts";
import { socketAddress } from "./endpoints.ts";
import { any, protoDuration } from "./proto-values.ts";

/** Envoy sends it as `:authority`, in which a slash breaks HTTP/2. */
export const LOADS_CLUSTER = "tokenmesh-loads";

const HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/** Loads that come later than this are too old to say anything. */
const CONNECT_TIMEOUT_MS = 1_000;

/** Where Envoys reach this server's gRPC port. */
export interface ServerAddress {
  /** An IP address without brackets, or a name. */
  readonly host: string;
  readonly port: number;
}

export function loadsCluster({ host, port }: ServerAddress): ProtoObject {
  const address = socketAddress(host, port);
  return {
    name: LOADS_CLUSTER,
    type: isIP(host) === 0 ? "STRICT_DNS" : "STATIC",
    dns_lookup_family: isIP(host) === 0 ? "V4_PREFERRED" : undefined,
    connect_timeout: protoDuration(CONNECT_TIMEOUT_MS),
    load_assignment: { cluster_name: LOADS_CLUSTER, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    typed_extension_protocol_options: {
      [HTTP_PROTOCOL_OPTIONS]: any(HTTP_PROTOCOL_OPTIONS, { explicit_http_config: { http2_protocol_options: {} } }),
    },
  };
}
