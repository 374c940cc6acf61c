/** Pools of EndpointPickers with the addresses of their endpoints: what the filter picks from, whose loads are asked for, and whose clusters follow the picks. */
import { isIPv6, SocketAddress } from "node:net";
import type { PickerPool } from "../config/endpoint-picker-model.ts";
import {
  ADAPTER_LABEL,
  endpointPort,
  isDraining,
  isUnixSocket,
  MODEL_LABEL,
  namesOf,
  rankedPriorities,
  scaledWeights,
} from "../config/endpoint-selection.ts";
import { appliesTo } from "../config/gateway-scope.ts";
import type { EndpointPicker, LlmRouter, Locality, Model, ServiceEntry } from "../config/model.ts";
import { poolDestination, poolTargets } from "../config/picker-targets.ts";
import { type EndpointWeights, NO_WEIGHTS, targetEndpoints } from "./endpoint-weights.ts";
import { type ClusterTarget, indexServices, resolveDestination, type ServiceIndex } from "./service-index.ts";

export interface PickerEndpoint {
  /** As Envoy writes it: `10.0.0.1:80`, `[2001:db8::1]:80`. */
  readonly address: string;
  readonly weight: number;
  /** 0 first, then 1, 2, ... */
  readonly priority: number;
  readonly locality: Locality | undefined;
  /** As far as it keeps requests away; absent for an endpoint that works, or of which nobody says anything. */
  readonly health: "degraded" | "unhealthy" | undefined;
  /** Empty for all. */
  readonly models: readonly string[];
  readonly adapters: readonly string[];
  /** It gets no more requests. */
  readonly draining: boolean;
}

export interface ResolvedPool {
  readonly pool: PickerPool;
  /** Values of the router's headers; undefined for every request. */
  readonly targets: readonly string[] | undefined;
  /** Without two of one address; undefined where only Envoy knows them. */
  readonly endpoints: readonly PickerEndpoint[] | undefined;
}

/** @throws Error for a service that configuration parsing would have refused */
export function resolvedPools(
  { metadata, spec }: EndpointPicker,
  router: LlmRouter | undefined,
  index: ServiceIndex,
  weights: EndpointWeights = NO_WEIGHTS,
): readonly ResolvedPool[] {
  const find = (destination: Parameters<typeof resolveDestination>[1], namespace: string) => {
    const { service, port } = resolveDestination(index, destination, namespace);
    return { host: service.host, port };
  };
  return spec.pools.map((pool) => ({
    pool,
    targets: poolTargets(pool, metadata.namespace, router, find),
    endpoints: poolEndpoints(pool, resolveDestination(index, poolDestination(pool), metadata.namespace), weights),
  }));
}

function poolEndpoints(
  pool: PickerPool,
  target: ClusterTarget,
  weights: EndpointWeights,
): readonly PickerEndpoint[] | undefined {
  const { service, port, subset } = target;
  if (service.entry.resolution !== "STATIC") return undefined;
  const selected = targetEndpoints(target, weights, subset?.labels ?? pool.subset?.labels);
  const weightOf = scaledWeights(selected);
  const priorityOf = rankedPriorities(selected);
  const endpoints = new Map<string, PickerEndpoint>();
  for (const each of selected) {
    const address = envoyAddress(each.address, endpointPort(each, port));
    // Envoy keeps the first of several with one address, too.
    if (isUnixSocket(each) || endpoints.has(address)) continue;
    endpoints.set(address, {
      address,
      weight: weightOf(each),
      priority: priorityOf(each),
      locality: each.locality,
      health: each.health === "degraded" || each.health === "unhealthy" ? each.health : undefined,
      models: namesOf(each, MODEL_LABEL),
      adapters: namesOf(each, ADAPTER_LABEL),
      draining: isDraining(each),
    });
  }
  return [...endpoints.values()];
}

/** Envoy compares texts, and has one for each address. */
export function envoyAddress(address: string, port: number): string {
  if (!isIPv6(address)) return `${address}:${port}`;
  return `[${new SocketAddress({ address, family: "ipv6" }).address}]:${port}`;
}

/** Tells the clusters whose endpoints are picked: of pools of a document that some Gateway has. A pool of a host has all clusters of it, one of a subset that one. */
export function pickedClusters(model: Model, index: ServiceIndex): (target: ClusterTarget) => boolean {
  const picked = new Set<string>();
  const key = ({ service, port }: ClusterTarget, subset: string) => `${service.host}|${port.number}|${subset}`;
  for (const { metadata, gateways, spec } of model.endpointPickers) {
    if (!model.gateways.some((gateway) => appliesTo(metadata, gateways, gateway))) continue;
    for (const pool of spec.pools) {
      const target = resolveDestination(index, poolDestination(pool), metadata.namespace);
      picked.add(key(target, target.subset?.name ?? "*"));
    }
  }
  return (target) => picked.has(key(target, "*")) || picked.has(key(target, target.subset?.name ?? ""));
}

/** The services of all pools: their endpoints stand in configurations of filters. */
export function pickedEntries(model: Model): ReadonlySet<ServiceEntry> {
  if (model.endpointPickers.length === 0) return new Set();
  const index = indexServices(model);
  const destinations = model.endpointPickers.flatMap(({ metadata, spec }) =>
    spec.pools.map((pool) => resolveDestination(index, poolDestination(pool), metadata.namespace)),
  );
  return new Set(destinations.map(({ service }) => service.entry));
}

/** A pool as the loads feed knows it: by its name, whichever documents have one of that name. */
export interface LoadsPool {
  readonly addresses: readonly string[];
  readonly intervalMs: number;
}

/** By name. Of pools of one name the feed has the endpoints of all; who asks finds its own by their addresses. */
export function loadsPools(model: Model): ReadonlyMap<string, LoadsPool> {
  const index = indexServices(model);
  const pools = new Map<string, LoadsPool>();
  for (const picker of model.endpointPickers) {
    const { feed } = picker.spec;
    if (feed === undefined) continue;
    for (const { pool, endpoints = [] } of resolvedPools(picker, undefined, index)) {
      const { addresses, intervalMs } = pools.get(pool.name) ?? { addresses: [], intervalMs: feed.intervalMs };
      pools.set(pool.name, {
        addresses: [...new Set([...addresses, ...endpoints.map(({ address }) => address)])],
        intervalMs: Math.min(intervalMs, feed.intervalMs),
      });
    }
  }
  return pools;
}
