/**
 * What is served of a model: the resources of every node group, and which of them follow from which service. A change of endpoints or weights
 * makes the resources of the clusters that it is about and touches nothing else; only where a filter has the endpoints in its own configuration, an EndpointPicker's,
 * everything is put together again.
 */

import type { Resource } from "../cache/index.ts";
import { addressedPort, selectedEndpoints } from "../config/endpoint-selection.ts";
import { endpointsFrom } from "../config/endpoints-from.ts";
import { fullName } from "../config/gateway-scope.ts";
import type { Model, ServiceEntry } from "../config/index.ts";
import type { EnvoyResource } from "../config/model.ts";
import { isServedTo, type ServedGroup, servedGroups } from "../config/node-groups.ts";
import {
  type BuildOptions,
  type BuiltTarget,
  build,
  clusterName,
  type EndpointWeights,
  envoyResource,
  isEdsCluster,
  pickedEntries,
  type ResourceMemo,
  targetResources,
  withNamed,
} from "../resources/index.ts";
import type { DiscoveredEndpoints } from "./discovered-endpoints.ts";

export interface AssemblyOptions extends BuildOptions {
  readonly weights: EndpointWeights;
  readonly memo: ResourceMemo;
  readonly endpoints: DiscoveredEndpoints;
}

export class Assembly {
  /** As it was read. */
  readonly source: Model;
  readonly groups: readonly ServedGroup[];
  readonly resources: ReadonlyMap<string, readonly Resource[]>;
  /** Of resources that are as they stand in EnvoyResources. */
  readonly origins: ReadonlyMap<Resource, EnvoyResource>;
  readonly #options: AssemblyOptions;
  readonly #sources: ReadonlyMap<string, ServiceEntry>;
  readonly #targetsOfEntry = new Map<string, BuiltTarget[]>();
  readonly #entryOfCluster = new Map<string, string>();
  readonly #picked: ReadonlySet<string>;
  readonly #entries: Map<string, ServiceEntry>;
  readonly #model: Model;

  /** @throws Error as `build` does */
  constructor(source: Model, served: Assembly | undefined, options: AssemblyOptions) {
    this.source = source;
    this.#options = options;
    this.#model = options.endpoints.effectiveModel(source, served?.model);
    this.#sources = byName(source.serviceEntries);
    this.#entries = byName(this.#model.serviceEntries);
    const { shared, gateways, secrets, targets } = build(this.#model, options);
    for (const built of targets) {
      const name = fullName(built.target.service.entry.metadata);
      this.#targetsOfEntry.set(name, [...(this.#targetsOfEntry.get(name) ?? []), built]);
      this.#entryOfCluster.set(clusterName(built.target), name);
    }
    this.#picked = new Set([...pickedEntries(this.#model)].map(({ metadata }) => fullName(metadata)));
    this.origins = new Map(
      source.envoyResources.flatMap(({ spec }) => spec.resources.map((each) => [envoyResource(each), each])),
    );
    this.groups = servedGroups(source);
    this.resources = new Map(
      this.groups.map((group) => {
        const own = gateways.filter(({ gateway }) => isServedTo(gateway, group)).flatMap(({ resources }) => resources);
        const asTheyAre = source.envoyResources
          .filter(({ spec }) => spec.nodeGroups?.includes(group.name) ?? true)
          .flatMap(({ spec }) => spec.resources.map(envoyResource));
        return [group.name, withNamed([...shared, ...own, ...asTheyAre], secrets)];
      }),
    );
  }

  /** With the endpoints of discovery in it. O(services) after a change. */
  get model(): Model {
    return { ...this.#model, serviceEntries: [...this.#entries.values()] };
  }

  /**
   * The resources that follow from these services and clusters, as they are now.
   * @param entries `namespace/name` of ServiceEntries whose endpoints changed
   * @param clusters names of clusters whose weights changed
   * @returns undefined when more than clusters and their endpoints depends on them
   */
  update(entries: Iterable<string>, clusters: Iterable<string>): readonly Resource[] | undefined {
    const names = new Set(entries);
    for (const cluster of clusters) {
      const name = this.#entryOfCluster.get(cluster);
      if (name !== undefined) names.add(name);
    }
    if ([...names].some((name) => this.#picked.has(name))) return undefined;
    return [...names].flatMap((name) => this.#updateEntry(name));
  }

  /** Whether the endpoints of an EDS cluster, as they are now, have this one among them; undefined for no such cluster of a service. */
  hasEndpoint(cluster: string, address: string, port: number): boolean | undefined {
    const name = this.#entryOfCluster.get(cluster) ?? "";
    const [entry, built] = [this.#entries.get(name), this.#targetsOfEntry.get(name)];
    const target = built?.find((each) => clusterName(each.target) === cluster)?.target;
    if (entry === undefined || target === undefined || !isEdsCluster(target)) return undefined;
    return selectedEndpoints(entry, target.subset?.labels).some(
      (each) => each.address === address && addressedPort(each, target.port) === port,
    );
  }

  /** Whether the endpoints of a cluster come from discovery. */
  isDiscovered(cluster: string): boolean {
    const entry = this.#sources.get(this.#entryOfCluster.get(cluster) ?? "");
    return entry !== undefined && endpointsFrom(entry) !== undefined;
  }

  #updateEntry(name: string): readonly Resource[] {
    const [source, served] = [this.#sources.get(name), this.#entries.get(name)];
    if (source === undefined) return [];
    const { endpoints, weights, memo } = this.#options;
    const entry = endpoints.effective(source, served);
    this.#entries.set(name, entry);
    return (this.#targetsOfEntry.get(name) ?? []).flatMap(({ target, isPicked }) =>
      targetResources({ target: { ...target, service: { ...target.service, entry } }, isPicked }, weights, memo),
    );
  }
}

function byName(entries: readonly ServiceEntry[]): Map<string, ServiceEntry> {
  return new Map(entries.map((entry) => [fullName(entry.metadata), entry]));
}
