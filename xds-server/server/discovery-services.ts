/** The discovery services by the path of their methods: the aggregated one, and one per type. */
import { TypeUrl } from "../../protos/index.ts";
import { TYPE_NAMES } from "../cache/index.ts";

export interface DiscoveryMethod {
  readonly path: string;
  readonly variant: "sotw" | "delta";
  /** ADS, CDS, EDS, ... */
  readonly service: string;
  /** The one type of a service that is not aggregated. */
  readonly onlyType?: TypeUrl;
}

const AGGREGATED = "/envoy.service.discovery.v3.AggregatedDiscoveryService";

/** Service and the plural in `Stream*` and `Delta*` of its methods. */
const PER_TYPE: readonly (readonly [TypeUrl, service: string, plural: string])[] = [
  [TypeUrl.cluster, "cluster.v3.ClusterDiscoveryService", "Clusters"],
  [TypeUrl.endpoints, "endpoint.v3.EndpointDiscoveryService", "Endpoints"],
  [TypeUrl.listener, "listener.v3.ListenerDiscoveryService", "Listeners"],
  [TypeUrl.route, "route.v3.RouteDiscoveryService", "Routes"],
  [TypeUrl.scopedRoute, "route.v3.ScopedRoutesDiscoveryService", "ScopedRoutes"],
  [TypeUrl.virtualHost, "route.v3.VirtualHostDiscoveryService", "VirtualHosts"],
  [TypeUrl.secret, "secret.v3.SecretDiscoveryService", "Secrets"],
  [TypeUrl.extensionConfig, "extension.v3.ExtensionConfigDiscoveryService", "ExtensionConfigs"],
  [TypeUrl.runtime, "runtime.v3.RuntimeDiscoveryService", "Runtime"],
];

export const ADS_SOTW_PATH = `${AGGREGATED}/StreamAggregatedResources`;
export const ADS_DELTA_PATH = `${AGGREGATED}/DeltaAggregatedResources`;

export const DISCOVERY_METHODS: readonly DiscoveryMethod[] = [
  { path: ADS_SOTW_PATH, variant: "sotw", service: "ADS" },
  { path: ADS_DELTA_PATH, variant: "delta", service: "ADS" },
  ...PER_TYPE.flatMap(([onlyType, name, plural]): DiscoveryMethod[] => {
    const service = TYPE_NAMES[onlyType];
    const path = `/envoy.service.${name}`;
    const delta = { path: `${path}/Delta${plural}`, variant: "delta", service, onlyType } as const;
    // Virtual hosts are delta only: https://github.com/envoyproxy/envoy/blob/main/api/envoy/service/route/v3/rds.proto
    if (onlyType === TypeUrl.virtualHost) return [delta];
    return [{ path: `${path}/Stream${plural}`, variant: "sotw", service, onlyType }, delta];
  }),
];
