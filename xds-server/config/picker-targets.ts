/** Which of a router's decisions a pool of an EndpointPicker is about: the values that the router writes to its headers. */
import type { PickerPool } from "./endpoint-picker-model.ts";
import { splitHostPort } from "./host-names.ts";
import { llmClusterName } from "./llm-cluster-name.ts";
import type { LlmDefault } from "./llm-model.ts";
import type { Destination, LlmRouter, ServicePort } from "./model.ts";

/** The service of a destination; undefined for one that has faults. */
export type FindService = (
  destination: Destination,
  namespace: string,
) => { readonly host: string; readonly port: ServicePort } | undefined;

/** The pool's service as the destination of a route. */
export function poolDestination({ host, port, subset }: PickerPool): Destination {
  return { host, subset: subset?.name, port: port === undefined ? undefined : { number: port } };
}

/**
 * Routes and names of clusters; undefined for every request. A pool that names no targets is about those that are its service, so that it does not answer for
 * requests that go elsewhere.
 */
export function poolTargets(
  pool: PickerPool,
  namespace: string,
  router: LlmRouter | undefined,
  find: FindService,
): readonly string[] | undefined {
  if (router === undefined) return undefined;
  const { targets } = router.spec;
  if (pool.targets !== undefined) {
    const values = pool.targets.map((name) => {
      const target = targets.get(name);
      return target?.cluster === undefined ? (target?.route ?? name) : llmClusterName(router, name);
    });
    return [...new Set(values)];
  }
  const own = [...targets.keys()].filter((name) => isTargetOf(pool, namespace, router, name, find));
  return own.length === 0 ? undefined : own.map((name) => llmClusterName(router, name));
}

/** Whether a target is a cluster of the pool's service. */
export function isTargetOf(
  pool: PickerPool,
  namespace: string,
  router: LlmRouter,
  name: string,
  find: FindService,
): boolean {
  const cluster = router.spec.targets.get(name)?.cluster;
  if (cluster === undefined) return false;
  const theirs = find({ ...splitHostPort(cluster), subset: undefined }, router.metadata.namespace);
  const own = find(poolDestination(pool), namespace);
  return own !== undefined && theirs?.host === own.host && theirs.port.number === own.port.number;
}

/** What `targets` of a pool may name: targets of the router, and routes. */
export function targetNames({ spec }: LlmRouter): ReadonlySet<string> {
  const decisions: readonly LlmDefault[] = [
    spec.onMissingModel,
    spec.onUnknownModel,
    spec.onMalformedBody,
    spec.onBodyTooLarge,
    spec.onBodyUnreadable,
  ];
  const routes = [
    ...[...spec.targets.values()].map(({ route }) => route),
    ...spec.models.map(({ route }) => route),
    ...decisions.map((each) => (each === "reject" ? undefined : each.route)),
  ];
  return new Set([...spec.targets.keys(), ...routes.filter((each) => each !== undefined)]);
}
