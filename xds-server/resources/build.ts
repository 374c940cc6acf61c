/** A whole model -> every resource of it. Pure and deterministic: the same model gives the same bytes on every machine. */
import { TypeUrl } from "../../protos/index.ts";
import { createResource, type Reference, type Resource } from "../cache/index.ts";
import type { Gateway, LlmRouter, Metadata, Model, VirtualService } from "../config/model.ts";
import { cluster, isEdsCluster } from "./clusters.ts";
import { clusterLoadAssignment } from "./endpoints.ts";
import { llmRouterBufferBytes, llmRouterConfig, llmRouterName, type WasmModule } from "./filters.ts";
import { DEFAULT_BUFFER_BYTES, listener, listenerName } from "./listeners.ts";
import { routeConfiguration } from "./routes.ts";
import { clusterName, clusterTargets, indexServices, resolveDestination, type ServiceIndex } from "./service-index.ts";

/** The compiled filters that configurations refer to. */
export interface WasmModules {
  readonly llmRouter: WasmModule | undefined;
}

/** @throws Error when the model has an LLMRouter but there is no module for it, or (a mistake here) when a builder's output does not encode */
export function buildResources(model: Model, modules: WasmModules): readonly Resource[] {
  const index = indexServices(model);
  return [...serviceResources(index), ...gatewayResources(model, index), ...filterResources(model, modules)];
}

function* serviceResources(index: ServiceIndex): Iterable<Resource> {
  for (const target of clusterTargets(index)) {
    const name = clusterName(target);
    const eds = isEdsCluster(target);
    yield createResource(TypeUrl.cluster, name, cluster(target), eds ? [{ typeUrl: TypeUrl.endpoints, name }] : []);
    if (eds) yield createResource(TypeUrl.endpoints, name, clusterLoadAssignment(target));
  }
}

function* gatewayResources(model: Model, index: ServiceIndex): Iterable<Resource> {
  for (const gateway of model.gateways) {
    const routers = model.llmRouters.filter((router) => routerApplies(router, gateway));
    const services = model.virtualServices.filter((service) => serviceApplies(service, gateway));
    const filters = routers.map(llmRouterName);
    const bufferBytes = Math.max(DEFAULT_BUFFER_BYTES, ...routers.map(llmRouterBufferBytes));
    for (const server of gateway.servers) {
      const name = listenerName(gateway, server);
      yield createResource(TypeUrl.listener, name, listener(gateway, server, filters, bufferBytes), [
        { typeUrl: TypeUrl.route, name },
        ...filters.map((filter): Reference => ({ typeUrl: TypeUrl.extensionConfig, name: filter })),
      ]);
      yield createResource(
        TypeUrl.route,
        name,
        routeConfiguration(name, server, services, index),
        clustersOf(services, index),
      );
    }
  }
}

function* filterResources(model: Model, { llmRouter }: WasmModules): Iterable<Resource> {
  for (const router of model.llmRouters) {
    if (llmRouter === undefined) throw new Error("the llm-router module is missing");
    yield createResource(TypeUrl.extensionConfig, llmRouterName(router), llmRouterConfig(router, llmRouter));
  }
}

/** The clusters that the routes of these VirtualServices name, once each, in byte order. */
function clustersOf(services: readonly VirtualService[], index: ServiceIndex): readonly Reference[] {
  const names = new Set<string>();
  for (const { http, metadata } of services) {
    for (const { route } of http) {
      const used = route.length === 1 ? route : route.filter(({ weight }) => weight !== 0);
      for (const { destination } of used)
        names.add(clusterName(resolveDestination(index, destination, metadata.namespace)));
    }
  }
  return [...names].sort().map((name) => ({ typeUrl: TypeUrl.cluster, name }));
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
