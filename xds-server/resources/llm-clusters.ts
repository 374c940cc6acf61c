/**
 * Clusters of an LLMRouter: one for each target that is a cluster, and one for each pool.
 *
 * A pool stands behind the name that the filter writes when a rule has a fallback: attempt n of a request goes to its n-th member. That is
 * `envoy.clusters.composite`, which Envoy has from 1.37 on; an older one rejects the pools, and only them. Before 1.40 a member without any endpoint ends
 * the request with 503; from 1.40 on the next member is taken. The endpoints say which target they are, because the attempt filter must write
 * each target's own model name and key.
 * https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/composite_cluster
 */
import { type ProtoObject, TypeUrl } from "../../protos/index.ts";
import type { Reference } from "../cache/index.ts";
import { splitHostPort } from "../config/host-names.ts";
import { llmClusterName, poolName } from "../config/llm-cluster-name.ts";
import type { LlmRouter } from "../config/model.ts";
import { CONNECT_TIMEOUT_MS } from "./clusters.ts";
import { any, protoDuration, wrapped } from "./proto-values.ts";
import { type ClusterTarget, resolveDestination, type ServiceIndex } from "./service-index.ts";

/** Retries of a pool are its fallbacks; Envoy's default allows three at a time. */
const MAX_POOL_RETRIES = 1_024;

/** A chain of clusters. */
export interface Pool {
  readonly name: string;
  /** Names of its clusters in the order in which they are tried. */
  readonly members: readonly string[];
}

/** The targets that are clusters. @throws Error for a service that configuration parsing would have refused */
export function llmClusterTargets(router: LlmRouter, index: ServiceIndex): readonly ClusterTarget[] {
  const targets: ClusterTarget[] = [];
  for (const [name, { cluster }] of router.spec.targets) {
    if (cluster === undefined) continue;
    const destination = { ...splitHostPort(cluster), subset: undefined };
    const resolved = resolveDestination(index, destination, router.metadata.namespace);
    targets.push({ ...resolved, llm: { cluster: llmClusterName(router, name), target: name } });
  }
  return targets;
}

/** One pool per chain of a rule's target and its fallbacks, each once. A target of weight 0 has one too: the weight may change any time. */
export function llmPools(router: LlmRouter): readonly Pool[] {
  const pools = new Map<string, Pool>();
  for (const { targets, fallback } of router.spec.rules) {
    if (fallback === undefined) continue;
    for (const { target } of targets) {
      const members = [target, ...fallback.targets].map((name) => llmClusterName(router, name));
      const name = poolName(members);
      pools.set(name, { name, members });
    }
  }
  return [...pools.values()];
}

/** Every cluster that the router's filter may name. */
export function llmClusterReferences(router: LlmRouter): readonly Reference[] {
  const clusters = [...router.spec.targets].filter(([, { cluster }]) => cluster !== undefined);
  return clusterReferences([
    ...clusters.map(([name]) => llmClusterName(router, name)),
    ...llmPools(router).map(({ name }) => name),
  ]);
}

export function clusterReferences(names: readonly string[]): readonly Reference[] {
  return names.map((name) => ({ typeUrl: TypeUrl.cluster, name }));
}

export function poolCluster({ name, members }: Pool): ProtoObject {
  return {
    name,
    connect_timeout: protoDuration(CONNECT_TIMEOUT_MS),
    lb_policy: "CLUSTER_PROVIDED",
    // Connections and requests count at the members.
    circuit_breakers: { thresholds: [{ max_retries: wrapped(MAX_POOL_RETRIES) }] },
    cluster_type: {
      name: "envoy.clusters.composite",
      typed_config: any("envoy.extensions.clusters.composite.v3.ClusterConfig", {
        clusters: members.map((member) => ({ name: member })),
      }),
    },
  };
}
