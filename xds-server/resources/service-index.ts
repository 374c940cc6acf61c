/** Lookups over a model that the builders share: services and rules by host, and the names of clusters. */
import { findByHost } from "../config/host-names.ts";
import type { Destination, DestinationRule, Model, ServiceEntry, ServicePort, Subset } from "../config/model.ts";
import { serviceClusterName } from "../config/service-cluster-name.ts";

/** One host of a ServiceEntry with the rule that applies to it. */
export interface Service {
  readonly host: string;
  readonly entry: ServiceEntry;
  readonly rule: DestinationRule | undefined;
}

/** What becomes one Envoy cluster: a host, a port and a subset (undefined for all endpoints). */
export interface ClusterTarget {
  readonly service: Service;
  readonly port: ServicePort;
  readonly subset: Subset | undefined;
  /** For the cluster of a target of an LLMRouter: its name, and the target's. */
  readonly llm?: { readonly cluster: string; readonly target: string };
}

export type ServiceIndex = ReadonlyMap<string, Service>;

export function indexServices(model: Model): ServiceIndex {
  const index = new Map<string, Service>();
  for (const entry of model.serviceEntries) {
    for (const host of entry.hosts) index.set(host.toLowerCase(), { host, entry, rule: undefined });
  }
  for (const rule of model.destinationRules) {
    const service = findByHost(index, rule.host, rule.metadata.namespace);
    if (service !== undefined) index.set(service.host.toLowerCase(), { ...service, rule });
  }
  return index;
}

/** Every cluster of every service, in a stable order. */
export function* clusterTargets(index: ServiceIndex): Iterable<ClusterTarget> {
  for (const service of index.values()) {
    for (const port of service.entry.ports) {
      yield { service, port, subset: undefined };
      for (const subset of service.rule?.subsets ?? []) yield { service, port, subset };
    }
  }
}

export function clusterName({ service, port, subset, llm }: ClusterTarget): string {
  return llm?.cluster ?? serviceClusterName(service.host, port.number, subset?.name);
}

/**
 * The cluster a route goes to.
 * @throws Error for a destination that configuration parsing would have refused
 */
export function resolveDestination(index: ServiceIndex, destination: Destination, namespace: string): ClusterTarget {
  const service = findByHost(index, destination.host, namespace);
  const port = service?.entry.ports.find(
    ({ number }) => destination.port === undefined || number === destination.port.number,
  );
  const subset = service?.rule?.subsets.find(({ name }) => name === destination.subset);
  if (service === undefined || port === undefined || (destination.subset !== undefined && subset === undefined)) {
    throw new Error(`destination ${destination.host} was not checked`);
  }
  return { service, port, subset };
}
