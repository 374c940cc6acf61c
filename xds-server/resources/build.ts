/** A whole model -> every resource of it. Pure and deterministic: the same model gives the same bytes on every machine. */
import { TypeUrl } from "../../protos/index.ts";
import { createResource, type Reference, type Resource } from "../cache/index.ts";
import { appliesTo } from "../config/gateway-scope.ts";
import type { Gateway, Model, VirtualService } from "../config/model.ts";
import { readsAlong } from "./cache-configuration.ts";
import { type BuiltTarget, targetResources } from "./cluster-resources.ts";
import { type EndpointWeights, NO_WEIGHTS } from "./endpoint-weights.ts";
import { filterResources } from "./filter-resources.ts";
import {
  attemptFilterName,
  type BuiltFilter,
  builtFilter,
  filterBufferBytes,
  filterName,
  needsAttemptFilter,
  type WasmModules,
} from "./filters.ts";
import { DEFAULT_BUFFER_BYTES, listener, listenerName } from "./listeners.ts";
import { clusterReferences, llmClusterTargets, llmPools, poolCluster } from "./llm-clusters.ts";
import { filterOf, type LlmFilter, llmFilters } from "./llm-filters.ts";
import { pickedClusters } from "./picker-pools.ts";
import { ResourceMemo } from "./resource-memo.ts";
import { routeTable } from "./routes.ts";
import {
  ANSWERS_CLUSTER,
  FLIGHTS_CLUSTER,
  LOADS_CLUSTER,
  type ServerAddress,
  serverCluster,
} from "./server-clusters.ts";
import { clusterTargets, indexServices, type ServiceIndex } from "./service-index.ts";
import { needsStreamEnd, streamEndName } from "./stream-end.ts";
import { secretReferences, secretResources } from "./tls.ts";

export interface BuildOptions {
  readonly modules: WasmModules;
  /** Where Envoys reach this server; undefined when it does not know, and then filters do not ask it for anything. */
  readonly server?: ServerAddress | undefined;
  readonly weights?: EndpointWeights;
  /** Gives back what did not change since it was made. */
  readonly memo?: ResourceMemo;
}

export interface Build {
  /** What every node group gets. */
  readonly shared: readonly Resource[];
  readonly gateways: readonly GatewayBuild[];
  /** For groups with a resource that names them, and nobody else. */
  readonly secrets: readonly Resource[];
  /** What the clusters were made of, in the order of the resources. */
  readonly targets: readonly BuiltTarget[];
}

export interface GatewayBuild {
  readonly gateway: Gateway;
  /** What only groups with this Gateway get. Gateways with one filter have the same object in common. */
  readonly resources: readonly Resource[];
}

/** @throws Error when there is no module for a filter that the model needs, or (a mistake here) when a builder's output does not encode */
export function build(model: Model, options: BuildOptions): Build {
  const { modules, server, weights = NO_WEIGHTS, memo = new ResourceMemo() } = options;
  const index = indexServices(model);
  const isPicked = pickedClusters(model, index);
  const llmTargets = model.llmRouters.flatMap((router) => llmClusterTargets(router, index));
  const targets = [...clusterTargets(index), ...llmTargets].map((target) => ({ target, isPicked: isPicked(target) }));
  const pools = model.llmRouters.flatMap(llmPools);
  const context = { modules, index, asksServer: server !== undefined, weights };
  const built = (filter: LlmFilter) => builtFilter(filter, context);
  const filters = llmFilters(model).map(built);
  const ofFilters = filterResources(filters, memo);
  const gateways = model.gateways.map((gateway) => ({
    gateway,
    resources: gatewayResources(gateway, model, built, index, ofFilters, memo),
  }));
  const inGateways = new Set(gateways.flatMap(({ resources }) => resources));
  return {
    shared: [
      ...targets.flatMap((each) => targetResources(each, weights, memo)),
      ...pools.map((pool) =>
        createResource(TypeUrl.cluster, pool.name, poolCluster(pool), clusterReferences(pool.members)),
      ),
      ...(server === undefined ? [] : serverClusters(server, filters)),
      ...[...ofFilters.values()].filter((each) => !inGateways.has(each)),
    ],
    gateways,
    secrets: model.secrets.flatMap(secretResources),
    targets,
  };
}

/** The resources, each once, and those of `more` that one of them names. */
export function withNamed(resources: Iterable<Resource>, more: readonly Resource[]): readonly Resource[] {
  const all = new Set(resources);
  const named = new Set([...all].flatMap(({ references }) => references.map(referenceKey)));
  for (const each of more) if (named.has(referenceKey(each))) all.add(each);
  return [...all];
}

function referenceKey({ typeUrl, name }: Reference): string {
  return `${typeUrl} ${name}`;
}

/** Of the services of this server, those that a filter asks. */
function serverClusters(server: ServerAddress, filters: readonly BuiltFilter[]): readonly Resource[] {
  const asked = new Set(filters.flatMap(({ picker, cache }) => [picker?.feedCluster, cache?.answersCluster]));
  if (filters.some(hasReaders)) asked.add(FLIGHTS_CLUSTER);
  return [LOADS_CLUSTER, ANSWERS_CLUSTER, FLIGHTS_CLUSTER]
    .filter((name) => asked.has(name))
    .map((name) => createResource(TypeUrl.cluster, name, serverCluster(name, server)));
}

function hasReaders({ cache }: BuiltFilter): boolean {
  return cache !== undefined && readsAlong(cache);
}

function gatewayResources(
  gateway: Gateway,
  model: Model,
  built: (filter: LlmFilter) => BuiltFilter,
  index: ServiceIndex,
  ofFilters: ReadonlyMap<string, Resource>,
  memo: ResourceMemo,
): readonly Resource[] {
  const filter = filterOf(gateway, model);
  const services = model.virtualServices.filter((service) => serviceApplies(service, gateway));
  const own = filter === undefined ? [] : [built(filter)];
  const filters = {
    network: own.filter((each) => needsStreamEnd(each.filter)).map(streamEndName),
    downstream: own.map(filterName),
    upstream: own.filter((each) => needsAttemptFilter(each.filter)).map(attemptFilterName),
    picks: filter?.picker !== undefined,
  };
  const filterNames = [...filters.network, ...filters.downstream, ...filters.upstream];
  const bufferBytes = filter === undefined ? DEFAULT_BUFFER_BYTES : filterBufferBytes(filter);
  const ofServers = gateway.servers.flatMap((server) => {
    const name = listenerName(gateway, server);
    const { object, clusters } = routeTable(name, server, services, filter?.router, index, own.some(hasReaders));
    const inputs = [gateway, server, filterNames.join("\n"), filters.picks, bufferBytes];
    return [
      memo.resource(`LDS ${name}`, inputs, () =>
        createResource(TypeUrl.listener, name, listener(gateway, server, filters, bufferBytes), [
          { typeUrl: TypeUrl.route, name },
          ...secretReferences(gateway, server),
          ...filterNames.map((each): Reference => ({ typeUrl: TypeUrl.extensionConfig, name: each })),
        ]),
      ),
      createResource(TypeUrl.route, name, object, clusterReferences(clusters)),
    ];
  });
  return [...ofServers, ...filterNames.flatMap((name) => ofFilters.get(name) ?? [])];
}

/** Without `gateways`, or with `mesh`, a VirtualService applies to every Gateway of its namespace: there are no sidecars here. */
function serviceApplies({ metadata, gateways }: VirtualService, gateway: Gateway): boolean {
  return appliesTo(metadata, gateways?.includes("mesh") ? undefined : gateways, gateway);
}
