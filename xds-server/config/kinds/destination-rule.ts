/** DestinationRule: https://istio.io/latest/docs/reference/config/networking/destination-rule/ */
import { fail } from "../cursor.ts";
import type {
  ConnectionPool,
  DestinationRule,
  LoadBalancer,
  LoadBalancerName,
  OutlierDetection,
  Subset,
  TrafficPolicy,
} from "../model.ts";
import { list, object, optional, type Reader, required, withDefault } from "../reader.ts";
import { duration, integer, oneOf, text } from "../scalars.ts";
import { exactHost, labels, retries } from "./metadata.ts";

const simple: Reader<LoadBalancerName> = (cursor) => {
  const value = oneOf(["ROUND_ROBIN", "RANDOM", "LEAST_REQUEST", "LEAST_CONN", "UNSPECIFIED", "PASSTHROUGH"])(cursor);
  if (value !== "PASSTHROUGH") return value;
  return fail(
    cursor,
    "TM_CONFIG_UNSUPPORTED",
    "PASSTHROUGH forwards to the address the client asked for; a gateway has no such address",
    "Use ROUND_ROBIN, RANDOM or LEAST_REQUEST.",
  );
};

const loadBalancer: Reader<LoadBalancer> = object<LoadBalancer>(
  { simple: withDefault(simple, "UNSPECIFIED") },
  {
    unsupported: {
      consistentHash: "Use simple.",
      localityLbSetting: "Remove localityLbSetting.",
      warmup: "Remove warmup.",
      warmupDurationSecs: "Remove warmupDurationSecs.",
    },
  },
);

const count = integer({ min: 1, max: 2_147_483_647 });

const connectionPool: Reader<ConnectionPool> = object<ConnectionPool>({
  tcp: optional(
    object<NonNullable<ConnectionPool["tcp"]>>(
      { maxConnections: optional(count), connectTimeout: optional(duration()) },
      {
        unsupported: {
          tcpKeepalive: "Remove tcpKeepalive.",
          maxConnectionDuration: "Remove maxConnectionDuration.",
          idleTimeout: "Use http.idleTimeout.",
        },
      },
    ),
  ),
  http: optional(
    object<NonNullable<ConnectionPool["http"]>>(
      {
        http1MaxPendingRequests: optional(count),
        http2MaxRequests: optional(count),
        maxRequestsPerConnection: optional(integer({ min: 0, max: 536_870_912 })),
        maxRetries: optional(count),
        idleTimeout: optional(duration()),
      },
      {
        unsupported: {
          h2UpgradePolicy: "Give the port protocol HTTP2.",
          useClientProtocol: "Remove useClientProtocol.",
          maxConcurrentStreams: "Use http2MaxRequests.",
        },
      },
    ),
  ),
});

const outlierDetection: Reader<OutlierDetection> = object<OutlierDetection>(
  {
    consecutive5xxErrors: optional(integer({ min: 0, max: 4_294_967_295 })),
    consecutiveGatewayErrors: optional(integer({ min: 0, max: 4_294_967_295 })),
    consecutiveErrors: optional(integer({ min: 0, max: 4_294_967_295 })),
    interval: optional(duration()),
    baseEjectionTime: optional(duration()),
    maxEjectionPercent: optional(integer({ min: 0, max: 100 })),
    minHealthPercent: optional(integer({ min: 0, max: 100 })),
  },
  {
    unsupported: {
      consecutiveLocalOriginFailures: "Remove consecutiveLocalOriginFailures.",
      splitExternalLocalOriginErrors: "Remove splitExternalLocalOriginErrors.",
    },
  },
);

const trafficPolicy: Reader<TrafficPolicy> = object<TrafficPolicy>(
  {
    loadBalancer: optional(loadBalancer),
    connectionPool: optional(connectionPool),
    outlierDetection: optional(outlierDetection),
    retries: optional(retries),
  },
  {
    unsupported: {
      tls: "Remove tls; connections to endpoints are plain HTTP.",
      portLevelSettings: "Write the settings for the whole host.",
      tunnel: "Remove tunnel.",
      proxyProtocol: "Remove proxyProtocol.",
    },
  },
);

const subset: Reader<Subset> = object<Subset>({
  name: required(text({ max: 63, pattern: /^[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$/, what: "a subset name" })),
  labels: withDefault(labels, new Map()),
  trafficPolicy: optional(trafficPolicy),
});

type Spec = Omit<DestinationRule, "metadata">;

/** The spec of a DestinationRule. */
export const destinationRuleSpec: Reader<Spec> = object<Spec>(
  {
    host: required(exactHost),
    trafficPolicy: optional(trafficPolicy),
    subsets: withDefault(list(subset, { max: 1_000 }), []),
  },
  { ignored: ["exportTo"], unsupported: { workloadSelector: "Remove workloadSelector." } },
);
