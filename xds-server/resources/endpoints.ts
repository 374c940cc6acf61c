/** Endpoints of a cluster: ClusterLoadAssignment, `envoy/config/endpoint/v3/endpoint.proto`. */
import type { ProtoObject } from "../../protos/index.ts";
import { endpointPort, isDraining, isUnixSocket } from "../config/endpoint-selection.ts";
import type { Endpoint, EndpointHealth, Locality } from "../config/model.ts";
import { type EndpointWeights, NO_WEIGHTS, targetEndpoints } from "./endpoint-weights.ts";
import { wrapped } from "./proto-values.ts";
import { type ClusterTarget, clusterName } from "./service-index.ts";

/** Envoy refuses an assignment in which the weights of a locality make more than this. */
const MAX_LOCALITY_WEIGHT = 4_294_967_295;

const HEALTH: Readonly<Record<EndpointHealth, string | undefined>> = {
  healthy: "HEALTHY",
  unhealthy: "UNHEALTHY",
  draining: "DRAINING",
  degraded: "DEGRADED",
  unknown: undefined,
};

/** The endpoints of a target, grouped by locality in a stable order. */
export function clusterLoadAssignment(target: ClusterTarget, weights: EndpointWeights = NO_WEIGHTS): ProtoObject {
  const groups = new Map<string, { locality: Locality | undefined; endpoints: Endpoint[] }>();
  for (const endpoint of targetEndpoints(target, weights)) {
    const { locality } = endpoint;
    const key = locality === undefined ? "" : `${locality.region}/${locality.zone}/${locality.subZone}`;
    const group = groups.get(key) ?? { locality, endpoints: [] };
    groups.set(key, group);
    group.endpoints.push(endpoint);
  }
  const localities = [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    cluster_name: clusterName(target),
    endpoints: localities.map(([, { locality, endpoints }]) => {
      const bounded = boundedWeights(endpoints);
      return {
        locality: locality && { region: locality.region, zone: locality.zone, sub_zone: locality.subZone },
        lb_endpoints: endpoints.map((endpoint, index) => lbEndpoint(endpoint, bounded[index] ?? 1, target)),
        load_balancing_weight: { value: bounded.reduce((sum, weight) => sum + weight, 0) },
      };
    }),
  };
}

/** The weights, made smaller in proportion where they are too much together. */
function boundedWeights(endpoints: readonly Endpoint[]): readonly number[] {
  const weights = endpoints.map(({ weight }) => weight);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (sum <= MAX_LOCALITY_WEIGHT) return weights;
  // Half, because no weight may become 0.
  const scale = MAX_LOCALITY_WEIGHT / 2 / sum;
  return weights.map((weight) => Math.max(1, Math.floor(weight * scale)));
}

function lbEndpoint(endpoint: Endpoint, weight: number, target: ClusterTarget): ProtoObject {
  return {
    endpoint: { address: endpointAddress(endpoint, target) },
    metadata: endpointMetadata(target),
    health_status: isDraining(endpoint) ? "DRAINING" : HEALTH[endpoint.health ?? "unknown"],
    load_balancing_weight: wrapped(weight),
  };
}

/** Says which target of an LLMRouter an endpoint belongs to; the attempt filter of llm-router reads it. */
export function endpointMetadata({ llm }: ClusterTarget): ProtoObject | undefined {
  return llm && { filter_metadata: { tokenmesh: { fields: { target: { stringValue: llm.target } } } } };
}

function endpointAddress(endpoint: Endpoint, { port }: ClusterTarget): ProtoObject {
  const { address } = endpoint;
  if (isUnixSocket(endpoint)) return { pipe: { path: address.slice("unix://".length) } };
  return socketAddress(address, endpointPort(endpoint, port));
}

export function socketAddress(address: string, port: number): ProtoObject {
  return { socket_address: { address, port_value: port } };
}
