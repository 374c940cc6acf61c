/**
 * From DiscoverySources to endpoints of ServiceEntries: keeps one watch per service that some ServiceEntry names, and the state of each. The control plane asks
 * {@link DiscoveryManager.endpointsOf} while it builds, and is told when an answer would be another one.
 */
import type { Registry } from "prom-client";
import type { DiscoverySourceSpec } from "../config/discovery-model.ts";
import { endpointsFrom } from "../config/endpoints-from.ts";
import type { Endpoint, Metadata, Model, ServiceEntry } from "../config/model.ts";
import type { Logger } from "../log.ts";
import type { Clock } from "./clock.ts";
import type { SourceFactory } from "./context.ts";
import type { EndpointMemory } from "./endpoint-memory.ts";
import { ManagedSource } from "./managed-source.ts";
import { createDiscoveryMetrics, type DiscoveryMetrics } from "./metrics.ts";
import type { SourceView } from "./view.ts";
import type { WatchedService } from "./watched-service.ts";

export interface DiscoveryOptions {
  readonly factory: SourceFactory;
  readonly clock: Clock;
  /** ms since the epoch. */
  readonly now: () => number;
  /** 0 to 1. */
  readonly random: () => number;
  readonly log: Logger;
  /** Where the last good endpoints are kept for the next start. */
  readonly memory?: EndpointMemory | undefined;
  /** Gets the metrics `tokenmesh_discovery_*`. */
  readonly registry?: Registry | undefined;
  /** Requests under way at an endpoint, over all Envoys that report; undefined when nobody reports. */
  readonly inProgress?: ((address: string, port: number) => number | undefined) | undefined;
}

export type EntriesChanged = (entries: ReadonlySet<string>) => void;

export class DiscoveryManager {
  readonly #options: DiscoveryOptions;
  readonly #sources = new Map<string, ManagedSource>();
  readonly #listeners = new Set<EntriesChanged>();
  readonly #metrics: DiscoveryMetrics | undefined;
  #closed = false;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    this.#metrics = options.registry && createDiscoveryMetrics(options.registry, () => this.view());
  }

  /** From now on what this model says: watches begin and end. What is known of services that stay is kept. */
  configure(model: Pick<Model, "discoverySources" | "serviceEntries">): void {
    if (this.#closed) return;
    const wanted = new Map<string, { spec: DiscoverySourceSpec; services: Map<string, Set<string>> }>();
    for (const { metadata, spec } of model.discoverySources)
      wanted.set(fullName(metadata), { spec, services: new Map() });
    for (const entry of model.serviceEntries) {
      const from = endpointsFrom(entry);
      if (from === undefined) continue;
      const services = wanted.get(sourceId(entry, from.source))?.services;
      if (services === undefined) continue;
      const entries = services.get(from.service) ?? new Set();
      services.set(from.service, entries.add(fullName(entry.metadata)));
    }
    for (const [id, source] of this.#sources) {
      if (wanted.has(id)) continue;
      this.#sources.delete(id);
      source.remove();
    }
    for (const [id, { spec, services }] of wanted) {
      let source = this.#sources.get(id);
      if (source === undefined) {
        source = new ManagedSource(id, this.#options, this.#metrics, (entries) => this.#tell(entries));
        this.#sources.set(id, source);
      }
      source.configure(spec, services);
    }
  }

  /**
   * Endpoints of a ServiceEntry that takes them from a DiscoverySource; undefined while nothing is known of them. The same object as long as nothing changes.
   * O(1) after the first call.
   */
  endpointsOf(entry: ServiceEntry): readonly Endpoint[] | undefined {
    return this.#serviceOf(entry)?.endpointsFor(entry);
  }

  #serviceOf(entry: ServiceEntry): WatchedService | undefined {
    const from = endpointsFrom(entry);
    return from && this.#sources.get(sourceId(entry, from.source))?.services.get(from.service);
  }

  /** @param changed is told `namespace/name` of the ServiceEntries whose endpoints are others now */
  watch(changed: EntriesChanged): () => void {
    const listener: EntriesChanged = (entries) => changed(entries);
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Sources by name with what is known of their services, for people. */
  view(): readonly SourceView[] {
    return [...this.#sources.values()].map((source) => source.view()).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Ends all watches and sources; what is known is no longer told. */
  async close(): Promise<void> {
    this.#closed = true;
    const sources = [...this.#sources.values()];
    await Promise.all(sources.map((source) => source.close()));
    await this.#options.memory?.settled();
  }

  #tell(entries: ReadonlySet<string>): void {
    for (const listener of [...this.#listeners]) listener(entries);
  }
}

function fullName({ namespace, name }: Metadata): string {
  return `${namespace}/${name}`;
}

/** DiscoverySources are looked up in the namespace of the ServiceEntry: another tenant's registry is not for everybody. */
function sourceId({ metadata }: ServiceEntry, name: string): string {
  return `${metadata.namespace}/${name}`;
}
