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
import { filterOf, llmFilters } from "./llm-filters.ts";
import { routeTable } from "./routes.ts";
import { type ClusterTarget, clusterName, clusterTargets, indexServices, type ServiceIndex } from "./service-index.ts";
import { needsStreamEnd, streamEndConfig, streamEndName } from "./stream-end.ts";

/** @throws Error when there is no module for a filter that the model needs, or (a mistake here) when a builder's output does not encode */
export function buildResources(model: Model, modules: WasmModules): readonly Resource[] {
  const index = indexServices(model);
  const targets = model.llmRouters.flatMap((router) => llmClusterTargets(router, index));
  const pools = model.llmRouters.flatMap(llmPools);
  return [
    ...[...clusterTargets(index), ...targets].flatMap(clusterResources),
    ...pools.map((pool) =>
      createResource(TypeUrl.cluster, pool.name, poolCluster(pool), clusterReferences(pool.members)),
    ),
    ...model.gateways.flatMap((gateway) => gatewayResources(gateway, model, modules, index)),
    ...filterResources(llmFilters(model).map((filter) => builtFilter(filter, modules, index))),
  ];
}

function clusterResources(target: ClusterTarget): readonly Resource[] {
  const name = clusterName(target);
  if (!isEdsCluster(target)) return [createResource(TypeUrl.cluster, name, cluster(target))];
  return [
    createResource(TypeUrl.cluster, name, cluster(target), [{ typeUrl: TypeUrl.endpoints, name }]),
    createResource(TypeUrl.endpoints, name, clusterLoadAssignment(target)),
  ];
}

function gatewayResources(
  gateway: Gateway,
  model: Model,
  modules: WasmModules,
  index: ServiceIndex,
): readonly Resource[] {
  const filter = filterOf(gateway, model);
  const services = model.virtualServices.filter((service) => serviceApplies(service, gateway));
  const built = filter === undefined ? [] : [builtFilter(filter, modules, index)];
  const filters = {
    network: built.filter((each) => needsStreamEnd(each.filter)).map(streamEndName),
    downstream: built.map(filterName),
    upstream: built.filter((each) => needsAttemptFilter(each.filter)).map(attemptFilterName),
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
