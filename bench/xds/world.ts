/** What every server of this bench serves: EDS clusters, their endpoints, a listener and its route. xds/server/main.go builds the same, byte for byte as large. */
import { type AssignedEndpoint, encodeLoadAssignment, TypeUrl } from "../../protos/index.ts";
import { createResource, encodedResource, type Resource } from "../../xds-server/cache/index.ts";

export interface WorldSize {
  readonly clusters: number;
  /** Of each cluster. */
  readonly endpoints: number;
}

export const PORT = 8_000;

export const hostOf = (cluster: number): string => `service-${String(cluster).padStart(4, "0")}.test`;
const clusterName = (cluster: number): string => `outbound|80||${hostOf(cluster)}`;
export const addressOf = (cluster: number, endpoint: number): string =>
  `10.${Math.floor(cluster / 250)}.${cluster % 250}.${endpoint + 1}`;

/** The endpoints of a cluster, the first with another weight. */
export function assignment(size: WorldSize, cluster: number, firstWeight: number): Resource {
  const name = clusterName(cluster);
  const endpoints = [...endpointsOf(size, cluster)];
  endpoints[0] = { address: addressOf(cluster, 0), port: PORT, weight: firstWeight };
  return encodedResource(TypeUrl.endpoints, name, encodeLoadAssignment(name, [{ endpoints }]));
}

const known = new Map<number, readonly AssignedEndpoint[]>();

/** The peer keeps its endpoints, too. There is one world in a process. */
function endpointsOf({ endpoints }: WorldSize, cluster: number): readonly AssignedEndpoint[] {
  const list =
    known.get(cluster) ??
    Array.from({ length: endpoints }, (_, n) => ({ address: addressOf(cluster, n), port: PORT, weight: 1 }));
  known.set(cluster, list);
  return list;
}

export function world(size: WorldSize): readonly Resource[] {
  const clusters = Array.from({ length: size.clusters }, (_, n) => {
    const name = clusterName(n);
    const config = {
      ...{ name, type: "EDS", connect_timeout: { seconds: 1 } },
      eds_cluster_config: { eds_config: { ads: {}, resource_api_version: "V3" } },
    };
    return createResource(TypeUrl.cluster, name, config, [{ typeUrl: TypeUrl.endpoints, name }]);
  });
  const first = clusterName(0);
  const routes = [{ match: { prefix: "/" }, route: { cluster: first } }];
  return [
    ...clusters,
    ...clusters.map((_, n) => assignment(size, n, 1)),
    createResource(TypeUrl.listener, "gateway", { name: "gateway" }, [{ typeUrl: TypeUrl.route, name: "gateway" }]),
    createResource(
      TypeUrl.route,
      "gateway",
      { name: "gateway", virtual_hosts: [{ name: "all", domains: ["*"], routes }] },
      [{ typeUrl: TypeUrl.cluster, name: first }],
    ),
  ];
}
