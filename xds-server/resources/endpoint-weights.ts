/** Weights that were set apart from the configuration, while the server runs. */
import { addressedPort, selectedEndpoints } from "../config/endpoint-selection.ts";
import type { Endpoint } from "../config/model.ts";
import { type ClusterTarget, clusterName } from "./service-index.ts";

/** Weight of an endpoint in a cluster; undefined where the configuration's counts, 0 for one that is to get no more requests. */
export type WeightOf = (cluster: string, address: string, port: number) => number | undefined;

export interface EndpointWeights {
  readonly weightOf: WeightOf;
  /** A value that changes (by `===`) whenever a weight of the cluster does. */
  readonly stampOf: (cluster: string) => unknown;
}

export const NO_WEIGHTS: EndpointWeights = { weightOf: () => undefined, stampOf: () => undefined };

/** The endpoints that a target selects by its subset's labels, with the weights that count. */
export function targetEndpoints(
  target: ClusterTarget,
  weights: EndpointWeights,
  labels = target.subset?.labels,
): readonly Endpoint[] {
  const selected = selectedEndpoints(target.service.entry, labels);
  if (weights === NO_WEIGHTS) return selected;
  const cluster = clusterName(target);
  return selected.map((endpoint) => {
    const weight = weights.weightOf(cluster, endpoint.address, addressedPort(endpoint, target.port));
    if (weight === undefined) return endpoint;
    // Envoy has no weight of 0.
    return weight === 0 ? { ...endpoint, weight: 1, health: "draining" } : { ...endpoint, weight };
  });
}
