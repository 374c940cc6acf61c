/** What one cluster is on the wire: the Cluster, and its ClusterLoadAssignment when its endpoints are sent by EDS. */
import { TypeUrl } from "../../protos/index.ts";
import { createResource, encodedResource, type Resource } from "../cache/index.ts";
import { cluster, isEdsCluster } from "./clusters.ts";
import type { EndpointWeights } from "./endpoint-weights.ts";
import { encodedLoadAssignment } from "./endpoints.ts";
import type { ResourceMemo } from "./resource-memo.ts";
import { type ClusterTarget, clusterName } from "./service-index.ts";

export interface BuiltTarget {
  readonly target: ClusterTarget;
  /** Whether a filter picks its endpoints. */
  readonly isPicked: boolean;
}

/** A change of endpoints or weights of a service makes its ClusterLoadAssignments anew and nothing else. */
export function targetResources(
  { target, isPicked }: BuiltTarget,
  weights: EndpointWeights,
  memo: ResourceMemo,
): readonly Resource[] {
  const { service, port, subset, llm } = target;
  const { resolution, endpoints } = service.entry;
  const name = clusterName(target);
  const endpointInputs = [endpoints, port, subset?.labels, llm?.target, weights.stampOf(name)];
  const inputs = [service.host, resolution, port, service.rule, subset, isPicked];
  if (!isEdsCluster(target)) {
    return [
      memo.resource(`CDS ${name}`, [...inputs, ...endpointInputs], () =>
        createResource(TypeUrl.cluster, name, cluster(target, isPicked, weights)),
      ),
    ];
  }
  return [
    memo.resource(`CDS ${name}`, inputs, () =>
      createResource(TypeUrl.cluster, name, cluster(target, isPicked), [{ typeUrl: TypeUrl.endpoints, name }]),
    ),
    memo.resource(`EDS ${name}`, endpointInputs, () =>
      encodedResource(TypeUrl.endpoints, name, encodedLoadAssignment(target, weights)),
    ),
  ];
}
