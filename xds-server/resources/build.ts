/** A whole model -> every resource of it. Pure and deterministic: the same model gives the same bytes on every machine. */
import { TypeUrl } from "../../protos/index.ts";
import { createResource, type Reference, type Resource } from "../cache/index.ts";
import type { Gateway, LlmRouter, Metadata, Model, VirtualService } from "../config/model.ts";
import { cluster, isEdsCluster } from "./clusters.ts";
import { clusterLoadAssignment } from "./endpoints.ts";
import {
  attemptFilterConfig,
  attemptFilterName,
  llmRouterBufferBytes,
  llmRouterConfig,
  llmRouterName,
  llmRouterSecrets,
  needsAttemptFilter,
  type WasmModule,
} from "./filters.ts";
import { DEFAULT_BUFFER_BYTES, listener, listenerName } from "./listeners.ts";
import { clusterReferences, llmClusterReferences, llmClusterTargets, llmPools, poolCluster } from "./llm-clusters.ts";
import { routeTable } from "./routes.ts";
import { type ClusterTarget, clusterName, clusterTargets, indexServices, type ServiceIndex } from "./service-index.ts";

/** The compiled filters that configurations refer to. */
export interface WasmModules {
  readonly llmRouter: WasmModule | undefined;
}

/** @throws Error when the model has an LLMRouter but there is no module for it, or (a mistake here) when a builder's output does not encode */
export function buildResources(model: Model, { llmRouter }: WasmModules): readonly Resource[] {
  const index = indexServices(model);
  const routers = model.llmRouters.map((router): BuiltRouter => {
    if (llmRouter === undefined) throw new Error("the llm-router module is missing");
    return { router, module: llmRouter };
  });
  const targets = model.llmRouters.flatMap((router) => llmClusterTargets(router, index));
  const pools = model.llmRouters.flatMap(llmPools);
  return [
    ...[...clusterTargets(index), ...targets].flatMap(clusterResources),
    ...pools.map((pool) =>
      createResource(TypeUrl.cluster, pool.name, poolCluster(pool), clusterReferences(pool.members)),
    ),
    ...model.gateways.flatMap((gateway) => gatewayResources(gateway, model, routers, index)),
    ...filterResources(routers),
  ];
}

/** A router with the code that runs it. */
interface BuiltRouter {
  readonly router: LlmRouter;
  readonly module: WasmModule;
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
  all: readonly BuiltRouter[],
  index: ServiceIndex,
): readonly Resource[] {
  const built = all.filter(({ router }) => routerApplies(router, gateway));
  const routers = built.map(({ router }) => router);
  const services = model.virtualServices.filter((service) => serviceApplies(service, gateway));
  const filters = {
    downstream: built.map(({ router, module }) => llmRouterName(router, module)),
    upstream: built
      .filter(({ router }) => needsAttemptFilter(router.spec))
      .map(({ router, module }) => attemptFilterName(router, module)),
  };
  const bufferBytes = Math.max(DEFAULT_BUFFER_BYTES, ...routers.map(llmRouterBufferBytes));
  return gateway.servers.flatMap((server) => {
    const name = listenerName(gateway, server);
    const { object, clusters } = routeTable(name, server, services, routers, index);
    return [
      createResource(TypeUrl.listener, name, listener(gateway, server, filters, bufferBytes), [
        { typeUrl: TypeUrl.route, name },
        ...[...filters.downstream, ...filters.upstream].map(
          (filter): Reference => ({ typeUrl: TypeUrl.extensionConfig, name: filter }),
        ),
      ]),
      createResource(TypeUrl.route, name, object, clusterReferences(clusters)),
    ];
  });
}

/** The filter names clusters, and no route does for it: the header route takes any cluster of the router. So the references are the filter's. */
function filterResources(routers: readonly BuiltRouter[]): readonly Resource[] {
  const resources = new Map<string, Resource>();
  for (const { router, module } of routers) {
    const name = llmRouterName(router, module);
    const config = llmRouterConfig(router, module);
    const references = llmClusterReferences(router);
    resources.set(name, createResource(TypeUrl.extensionConfig, name, config, references, llmRouterSecrets(router)));
    const attempt = attemptFilterName(router, module);
    if (!needsAttemptFilter(router.spec) || resources.has(attempt)) continue;
    resources.set(attempt, createResource(TypeUrl.extensionConfig, attempt, attemptFilterConfig(router, module)));
  }
  return [...resources.values()];
}

function routerApplies({ metadata, gateways }: LlmRouter, gateway: Gateway): boolean {
  return appliesTo(metadata, gateways, gateway);
}

/** Without `gateways`, or with `mesh`, a VirtualService applies to every Gateway of its namespace: there are no sidecars here. */
function serviceApplies({ metadata, gateways }: VirtualService, gateway: Gateway): boolean {
  return appliesTo(metadata, gateways?.includes("mesh") ? undefined : gateways, gateway);
}

function appliesTo({ namespace }: Metadata, names: readonly string[] | undefined, gateway: Gateway): boolean {
  const { metadata } = gateway;
  if (names === undefined) return metadata.namespace === namespace;
  return names.some(
    (name) => (name.includes("/") ? name : `${namespace}/${name}`) === `${metadata.namespace}/${metadata.name}`,
  );
}
