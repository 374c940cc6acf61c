/** A whole model -> every resource of it. Pure and deterministic: the same model gives the same bytes on every machine. */
import { TypeUrl } from "../../protos/index.ts";
import { createResource, type Reference, type Resource } from "../cache/index.ts";
import { appliesTo } from "../config/gateway-scope.ts";
import type { Gateway, Model, VirtualService } from "../config/model.ts";
import { cluster, isEdsCluster } from "./clusters.ts";
import { clusterLoadAssignment } from "./endpoints.ts";
import {
  attemptFilterConfig,
  attemptFilterName,
  type BuiltFilter,
  builtFilter,
  filterBufferBytes,
  filterClusters,
  filterConfig,
  filterName,
  filterSecrets,
  needsAttemptFilter,
  type WasmModules,
} from "./filters.ts";
import { DEFAULT_BUFFER_BYTES, listener, listenerName } from "./listeners.ts";
import { clusterReferences, llmClusterTargets, llmPools, poolCluster } from "./llm-clusters.ts";
import { filterOf, type LlmFilter, llmFilters } from "./llm-filters.ts";
import { pickedClusters } from "./picker-pools.ts";
import { routeTable } from "./routes.ts";
import { ANSWERS_CLUSTER, LOADS_CLUSTER, type ServerAddress, serverCluster } from "./server-clusters.ts";
import { type ClusterTarget, clusterName, clusterTargets, indexServices, type ServiceIndex } from "./service-index.ts";
import { needsStreamEnd, streamEndConfig, streamEndName } from "./stream-end.ts";

/**
 * @param server where Envoys reach this server; undefined when it does not know, and then filters do not ask it for anything
 * @throws Error when there is no module for a filter that the model needs, or (a mistake here) when a builder's output does not encode
 */
export function buildResources(model: Model, modules: WasmModules, server?: ServerAddress): readonly Resource[] {
  const index = indexServices(model);
  const targets = model.llmRouters.flatMap((router) => llmClusterTargets(router, index));
  const pools = model.llmRouters.flatMap(llmPools);
  const isPicked = pickedClusters(model, index);
  const build = (filter: LlmFilter) => builtFilter(filter, modules, index, server !== undefined);
  const filters = llmFilters(model).map(build);
  return [
    ...[...clusterTargets(index), ...targets].flatMap((target) => clusterResources(target, isPicked(target))),
    ...pools.map((pool) =>
      createResource(TypeUrl.cluster, pool.name, poolCluster(pool), clusterReferences(pool.members)),
    ),
    ...(server === undefined ? [] : serverClusters(server, filters)),
    ...model.gateways.flatMap((gateway) => gatewayResources(gateway, model, build, index)),
    ...filterResources(filters),
  ];
}

/** Of the services of this server, those that a filter asks. */
function serverClusters(server: ServerAddress, filters: readonly BuiltFilter[]): readonly Resource[] {
  const asked = new Set(filters.flatMap(({ picker, cache }) => [picker?.feedCluster, cache?.answersCluster]));
  return [LOADS_CLUSTER, ANSWERS_CLUSTER]
    .filter((name) => asked.has(name))
    .map((name) => createResource(TypeUrl.cluster, name, serverCluster(name, server)));
}

function clusterResources(target: ClusterTarget, isPicked: boolean): readonly Resource[] {
  const name = clusterName(target);
  const object = cluster(target, isPicked);
  if (!isEdsCluster(target)) return [createResource(TypeUrl.cluster, name, object)];
  return [
    createResource(TypeUrl.cluster, name, object, [{ typeUrl: TypeUrl.endpoints, name }]),
    createResource(TypeUrl.endpoints, name, clusterLoadAssignment(target)),
  ];
}

function gatewayResources(
  gateway: Gateway,
  model: Model,
  build: (filter: LlmFilter) => BuiltFilter,
  index: ServiceIndex,
): readonly Resource[] {
  const filter = filterOf(gateway, model);
  const services = model.virtualServices.filter((service) => serviceApplies(service, gateway));
  const built = filter === undefined ? [] : [build(filter)];
  const filters = {
    network: built.filter((each) => needsStreamEnd(each.filter)).map(streamEndName),
    downstream: built.map(filterName),
    upstream: built.filter((each) => needsAttemptFilter(each.filter)).map(attemptFilterName),
    picks: filter?.picker !== undefined,
  };
  const bufferBytes = filter === undefined ? DEFAULT_BUFFER_BYTES : filterBufferBytes(filter);
  return gateway.servers.flatMap((server) => {
    const name = listenerName(gateway, server);
    const { object, clusters } = routeTable(name, server, services, filter?.router, index);
    return [
      createResource(TypeUrl.listener, name, listener(gateway, server, filters, bufferBytes), [
        { typeUrl: TypeUrl.route, name },
        ...[...filters.network, ...filters.downstream, ...filters.upstream].map(
          (each): Reference => ({ typeUrl: TypeUrl.extensionConfig, name: each }),
        ),
      ]),
      createResource(TypeUrl.route, name, object, clusterReferences(clusters)),
    ];
  });
}

/** The filter names clusters, and no route does for it: the header route takes any cluster of the router. So the references are the filter's. */
function filterResources(filters: readonly BuiltFilter[]): readonly Resource[] {
  const resources = new Map<string, Resource>();
  for (const built of filters) {
    const { filter } = built;
    const name = filterName(built);
    const config = filterConfig(built);
    const clusters = filterClusters(built);
    resources.set(name, createResource(TypeUrl.extensionConfig, name, config, clusters, filterSecrets(filter)));
    const streamEnd = streamEndName(built);
    if (needsStreamEnd(filter)) {
      resources.set(streamEnd, createResource(TypeUrl.extensionConfig, streamEnd, streamEndConfig(built)));
    }
    const attempt = attemptFilterName(built);
    if (!needsAttemptFilter(filter) || resources.has(attempt)) continue;
    resources.set(attempt, createResource(TypeUrl.extensionConfig, attempt, attemptFilterConfig(built)));
  }
  return [...resources.values()];
}

/** Without `gateways`, or with `mesh`, a VirtualService applies to every Gateway of its namespace: there are no sidecars here. */
function serviceApplies({ metadata, gateways }: VirtualService, gateway: Gateway): boolean {
  return appliesTo(metadata, gateways?.includes("mesh") ? undefined : gateways, gateway);
}
