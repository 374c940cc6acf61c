/** Clusters: `envoy/config/cluster/v3/cluster.proto`. */
import type { ProtoObject } from "../../protos/index.ts";
import type { AppProtocol, LoadBalancerName, OutlierDetection, TrafficPolicy } from "../config/model.ts";
import { type EndpointWeights, NO_WEIGHTS } from "./endpoint-weights.ts";
import { clusterLoadAssignment, endpointMetadata, socketAddress } from "./endpoints.ts";
import { overrideHostPolicy } from "./override-host.ts";
import { ADS, any, protoDuration, someOf, wrapped } from "./proto-values.ts";
import { type ClusterTarget, clusterName } from "./service-index.ts";

export const CONNECT_TIMEOUT_MS = 10_000;
/** Envoy's defaults (1,024 connections and requests, 3 retries) are too low for a gateway; without a connectionPool there is no limit. */
const NO_LIMIT = 4_294_967_295;
const HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

const LB_POLICIES: Readonly<Record<LoadBalancerName, string>> = {
  UNSPECIFIED: "LEAST_REQUEST",
  LEAST_REQUEST: "LEAST_REQUEST",
  LEAST_CONN: "LEAST_REQUEST",
  ROUND_ROBIN: "ROUND_ROBIN",
  RANDOM: "RANDOM",
};

/** Whether the cluster's endpoints are sent by EDS; the others resolve names themselves. */
export function isEdsCluster({ service }: ClusterTarget): boolean {
  return service.entry.resolution === "STATIC";
}

/** @param isPicked whether a filter picks its endpoints; then the balancer of its policy is not asked */
export function cluster(target: ClusterTarget, isPicked = false, weights = NO_WEIGHTS): ProtoObject {
  const name = clusterName(target);
  const policy = effectivePolicy(target);
  const { connectionPool } = policy;
  return {
    name,
    ...discovery(target, name, weights),
    connect_timeout: protoDuration(connectionPool?.tcp?.connectTimeout ?? CONNECT_TIMEOUT_MS),
    ...(isPicked
      ? { load_balancing_policy: overrideHostPolicy() }
      : { lb_policy: LB_POLICIES[policy.loadBalancer?.simple ?? "UNSPECIFIED"] }),
    circuit_breakers: {
      thresholds: [
        {
          max_connections: wrapped(connectionPool?.tcp?.maxConnections ?? NO_LIMIT),
          max_pending_requests: wrapped(connectionPool?.http?.http1MaxPendingRequests ?? NO_LIMIT),
          max_requests: wrapped(connectionPool?.http?.http2MaxRequests ?? NO_LIMIT),
          max_retries: wrapped(connectionPool?.http?.maxRetries ?? NO_LIMIT),
        },
      ],
    },
    outlier_detection: policy.outlierDetection && outlierDetection(policy.outlierDetection),
    common_lb_config: commonLbConfig(policy.outlierDetection, isPicked),
    typed_extension_protocol_options: {
      [HTTP_PROTOCOL_OPTIONS]: any(HTTP_PROTOCOL_OPTIONS, protocolOptions(target.port.protocol, policy)),
    },
  };
}

/** A subset's own settings take the place of the host's, setting by setting. */
export function effectivePolicy({ service, subset }: ClusterTarget): TrafficPolicy {
  const [host, own] = [service.rule?.trafficPolicy, subset?.trafficPolicy];
  return {
    loadBalancer: own?.loadBalancer ?? host?.loadBalancer,
    connectionPool: own?.connectionPool ?? host?.connectionPool,
    outlierDetection: own?.outlierDetection ?? host?.outlierDetection,
    retries: own?.retries ?? host?.retries,
  };
}

function discovery(target: ClusterTarget, name: string, weights: EndpointWeights): ProtoObject {
  const { service, port } = target;
  const { resolution, endpoints } = service.entry;
  if (resolution === "STATIC") return { type: "EDS", eds_cluster_config: { eds_config: ADS, service_name: name } };
  // Without endpoints the host itself is the name to resolve.
  const address = socketAddress(service.host, port.targetPort ?? port.number);
  const assignment =
    endpoints.length > 0
      ? clusterLoadAssignment(target, weights)
      : {
          cluster_name: name,
          endpoints: [{ lb_endpoints: [{ endpoint: { address }, metadata: endpointMetadata(target) }] }],
        };
  return {
    type: resolution === "DNS" ? "STRICT_DNS" : "LOGICAL_DNS",
    dns_lookup_family: "V4_PREFERRED",
    respect_dns_ttl: true,
    load_assignment: assignment,
  };
}

function outlierDetection(config: OutlierDetection): ProtoObject {
  const { consecutive5xxErrors, consecutiveErrors, consecutiveGatewayErrors } = config;
  const duration = (ms: number | undefined) => (ms === undefined ? undefined : protoDuration(ms));
  return {
    consecutive_5xx: wrapped(consecutive5xxErrors ?? consecutiveErrors),
    consecutive_gateway_failure: wrapped(consecutiveGatewayErrors),
    // Envoy counts gateway failures but enforces them only when told to.
    enforcing_consecutive_gateway_failure: wrapped(consecutiveGatewayErrors === undefined ? undefined : 100),
    interval: duration(config.interval),
    base_ejection_time: duration(config.baseEjectionTime),
    max_ejection_percent: wrapped(config.maxEjectionPercent),
  };
}

/**
 * Envoy sends to unhealthy endpoints, too, when less than half are healthy. Behind a picker that would undo what it does, so it is off. And it gathers changes of
 * weights and health for a second, in which who drains gets more: with an empty window they count when they are acknowledged.
 */
function commonLbConfig(config: OutlierDetection | undefined, isPicked: boolean): ProtoObject {
  const percent = config?.minHealthPercent ?? (isPicked ? 0 : undefined);
  return { healthy_panic_threshold: percent === undefined ? undefined : { value: percent }, update_merge_window: {} };
}

function protocolOptions(protocol: AppProtocol, { connectionPool }: TrafficPolicy): ProtoObject {
  const { maxRequestsPerConnection, idleTimeout } = connectionPool?.http ?? {};
  return {
    common_http_protocol_options: someOf({
      // 0 is Istio's "no limit", which is the absence of the field in Envoy.
      max_requests_per_connection: wrapped(maxRequestsPerConnection || undefined),
      idle_timeout: idleTimeout === undefined ? undefined : protoDuration(idleTimeout),
    }),
    explicit_http_config: protocol === "HTTP" ? { http_protocol_options: {} } : { http2_protocol_options: {} },
  };
}
