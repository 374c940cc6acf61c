/** Endpoints of a cluster: ClusterLoadAssignment, `envoy/config/endpoint/v3/endpoint.proto`. */
import type { ProtoObject } from "../../protos/index.ts";
import { endpointPort, isDraining, isUnixSocket, selectedEndpoints } from "../config/endpoint-selection.ts";
import type { Endpoint, Locality } from "../config/model.ts";
import { wrapped } from "./proto-values.ts";
import { type ClusterTarget, clusterName } from "./service-index.ts";

/** The endpoints that a target selects by its subset's labels, grouped by locality in a stable order. */
export function clusterLoadAssignment(target: ClusterTarget): ProtoObject {
  const groups = new Map<string, { locality: Locality | undefined; endpoints: Endpoint[] }>();
  for (const endpoint of selectedEndpoints(target.service.entry, target.subset?.labels)) {
    const { locality } = endpoint;
    const key = locality === undefined ? "" : `${locality.region}/${locality.zone}/${locality.subZone}`;
    const group = groups.get(key) ?? { locality, endpoints: [] };
    groups.set(key, group);
    group.endpoints.push(endpoint);
  }
  const localities = [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    cluster_name: clusterName(target),
    endpoints: localities.map(([, { locality, endpoints }]) => ({
      locality: locality && { region: locality.region, zone: locality.zone, sub_zone: locality.subZone },
      lb_endpoints: endpoints.map((endpoint) => lbEndpoint(endpoint, target)),
      load_balancing_weight: { value: endpoints.reduce((sum, { weight }) => sum + weight, 0) },
    })),
  };
}

function lbEndpoint(endpoint: Endpoint, target: ClusterTarget): ProtoObject {
  return {
    endpoint: { address: endpointAddress(endpoint, target) },
    metadata: endpointMetadata(target),
    health_status: isDraining(endpoint) ? "DRAINING" : undefined,
    load_balancing_weight: wrapped(endpoint.weight),
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
