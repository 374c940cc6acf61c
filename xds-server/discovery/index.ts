/** Service discovery: DiscoverySources of the configuration in, endpoints of ServiceEntries out. `createDiscovery` puts the parts together. */
import type { Registry as MetricsRegistry } from "prom-client";
import type { Logger } from "../log.ts";
import type { RecordStore } from "../state/records/store.ts";
import { systemClock } from "./clock.ts";
import { consulSource } from "./consul/index.ts";
import type { SourceFactory } from "./context.ts";
import { dnsSource } from "./dns/index.ts";
import { EndpointMemory } from "./endpoint-memory.ts";
import { eurekaSource } from "./eureka/index.ts";
import { sourceFactory } from "./factories.ts";
import { fileSource } from "./file/index.ts";
import { kubernetesSource } from "./kubernetes/index.ts";
import { DiscoveryManager } from "./manager.ts";

export { DiscoveryManager } from "./manager.ts";
export type { EndpointView, ServiceView, SourceView } from "./view.ts";

export interface CreateDiscoveryOptions {
  readonly log: Logger;
  /** Gets the metrics `tokenmesh_discovery_*`. */
  readonly registry: MetricsRegistry;
  /** Keeps the last good endpoints over a restart; the caller closes it after the manager. */
  readonly store?: RecordStore | undefined;
  /** Requests under way at an endpoint, as Envoys report them: ends draining early. */
  readonly inProgress?: ((address: string, port: number) => number | undefined) | undefined;
  /** The registry of this server itself; without it DiscoverySources with `registry` fail. */
  readonly ownRegistry?: SourceFactory | undefined;
}

export function createDiscovery({
  log,
  registry,
  store,
  inProgress,
  ownRegistry,
}: CreateDiscoveryOptions): DiscoveryManager {
  const factory = sourceFactory({
    file: fileSource,
    dns: dnsSource,
    consul: consulSource,
    eureka: eurekaSource,
    kubernetes: kubernetesSource,
    ...(ownRegistry && { registry: ownRegistry }),
  });
  return new DiscoveryManager({
    factory,
    clock: systemClock,
    now: Date.now,
    random: Math.random,
    log,
    memory: store && new EndpointMemory({ store, now: Date.now, log }),
    registry,
    inProgress,
  });
}
