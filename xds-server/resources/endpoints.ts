/** Endpoints of a cluster: ClusterLoadAssignment, `envoy/config/endpoint/v3/endpoint.proto`. */
import {
  type AssignedEndpoint,
  encode,
  encodeLoadAssignment,
  HealthStatus,
  type ProtoObject,
} from "../../protos/index.ts";
import { endpointPort, isDraining, isUnixSocket, rankedPriorities } from "../config/endpoint-selection.ts";
import type { Endpoint, EndpointHealth, Locality } from "../config/model.ts";
import { type EndpointWeights, NO_WEIGHTS, targetEndpoints } from "./endpoint-weights.ts";
import { wrapped } from "./proto-values.ts";
import { type ClusterTarget, clusterName } from "./service-index.ts";

/** Envoy refuses an assignment in which the weights of a locality make more than this. */
const MAX_LOCALITY_WEIGHT = 4_294_967_295;

const HEALTH: Readonly<Record<EndpointHealth, keyof typeof HealthStatus | undefined>> = {
  healthy: "HEALTHY",
  unhealthy: "UNHEALTHY",
  draining: "DRAINING",
  degraded: "DEGRADED",
  unknown: undefined,
};

interface LocalityGroup {
  readonly priority: number;
  readonly locality: Locality | undefined;
  readonly endpoints: readonly Endpoint[];
  /** Of the endpoints, as Envoy takes them. */
  readonly weights: readonly number[];
  readonly weight: number;
}

/** The endpoints of a target, for a cluster that holds them itself. */
export function clusterLoadAssignment(target: ClusterTarget, weights: EndpointWeights = NO_WEIGHTS): ProtoObject {
  return {
    cluster_name: clusterName(target),
    endpoints: localityGroups(target, weights).map((group) => ({
      locality: group.locality && localityObject(group.locality),
      lb_endpoints: group.endpoints.map((endpoint, index) => lbEndpoint(endpoint, group.weights[index] ?? 1, target)),
      load_balancing_weight: { value: group.weight },
      ...(group.priority > 0 ? { priority: group.priority } : {}),
    })),
  };
}

/** The same as an encoded `google.protobuf.Any`: byte for byte, without the objects. */
export function encodedLoadAssignment(target: ClusterTarget, weights: EndpointWeights = NO_WEIGHTS): Uint8Array {
  const localities = localityGroups(target, weights).map((group) => ({
    ...group,
    endpoints: group.endpoints.map((endpoint, index) => assignedEndpoint(endpoint, group.weights[index] ?? 1, target)),
  }));
  return encodeLoadAssignment(clusterName(target), localities, encodedMetadata(target));
}

/** The endpoints of a target by priority and locality, in a stable order. */
function localityGroups(target: ClusterTarget, weights: EndpointWeights): readonly LocalityGroup[] {
  const groups = new Map<string, { priority: number; locality: Locality | undefined; endpoints: Endpoint[] }>();
  const all = targetEndpoints(target, weights);
  const priorityOf = rankedPriorities(all);
  for (const endpoint of all) {
    const { locality } = endpoint;
    const priority = priorityOf(endpoint);
    const place = locality === undefined ? "" : `${locality.region}/${locality.zone}/${locality.subZone}`;
    const key = `${priority} ${place}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { priority, locality, endpoints: [endpoint] });
    else group.endpoints.push(endpoint);
  }
  return [...groups]
    .sort(([a, one], [b, other]) => one.priority - other.priority || (a < b ? -1 : 1))
    .map(([, { priority, locality, endpoints }]) => {
      const bounded = boundedWeights(endpoints);
      const weight = bounded.reduce((sum, each) => sum + each, 0);
      return { priority, locality, endpoints, weights: bounded, weight };
    });
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
    health_status: healthOf(endpoint),
    load_balancing_weight: wrapped(weight),
  };
}

function assignedEndpoint(endpoint: Endpoint, weight: number, { port }: ClusterTarget): AssignedEndpoint {
  const health = healthOf(endpoint);
  const isSocket = isUnixSocket(endpoint);
  return {
    address: isSocket ? socketPath(endpoint) : endpoint.address,
    port: isSocket ? undefined : endpointPort(endpoint, port),
    health: health && HealthStatus[health],
    weight,
  };
}

function healthOf(endpoint: Endpoint): keyof typeof HealthStatus | undefined {
  return isDraining(endpoint) ? "DRAINING" : HEALTH[endpoint.health ?? "unknown"];
}

function localityObject({ region, zone, subZone }: Locality): ProtoObject {
  return { region, zone, sub_zone: subZone };
}

/** Says which target of an LLMRouter an endpoint belongs to; the attempt filter of llm-router reads it. */
export function endpointMetadata({ llm }: ClusterTarget): ProtoObject | undefined {
  return llm && { filter_metadata: { tokenmesh: { fields: { target: { stringValue: llm.target } } } } };
}

function encodedMetadata(target: ClusterTarget): Uint8Array | undefined {
  const metadata = endpointMetadata(target);
  return metadata && encode("envoy.config.core.v3.Metadata", metadata);
}

function endpointAddress(endpoint: Endpoint, { port }: ClusterTarget): ProtoObject {
  if (isUnixSocket(endpoint)) return { pipe: { path: socketPath(endpoint) } };
  return socketAddress(endpoint.address, endpointPort(endpoint, port));
}

function socketPath({ address }: Endpoint): string {
  return address.slice("unix://".length);
}

export function socketAddress(address: string, port: number): ProtoObject {
  return { socket_address: { address, port_value: port } };
}
