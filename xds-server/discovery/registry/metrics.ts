/** Prometheus metrics of the registry of our own, in the server's registry. Services are named by whoever registers, so none of them is a label. */
import { Counter, Gauge, type Registry as MetricsRegistry } from "prom-client";
import type { EndpointHealth } from "../source.ts";
import { HEALTHS } from "./instance.ts";

export interface RegistryMetrics {
  /** What became of instances here; `expired` by the replica that has removed them. */
  readonly changes: Counter<"change">;
  /** `unknown`: the instance has to register again. */
  readonly heartbeats: Counter<"result">;
}

/** What is read when metrics are collected. */
export interface RegistryGauges {
  /** Instances by service, by id. */
  readonly services: () => ReadonlyMap<string, ReadonlyMap<string, { readonly health: EndpointHealth }>>;
  /** Instances that have been silent for longer than they may be. */
  readonly overdue: () => number;
  readonly holding: () => boolean;
}

const CHANGES = ["created", "changed", "removed", "expired"] as const;

export function createRegistryMetrics(
  registry: MetricsRegistry,
  { services, overdue, holding }: RegistryGauges,
): RegistryMetrics {
  const registers = [registry];
  new Gauge({
    name: "tokenmesh_registry_services",
    help: "Services that have registered instances.",
    registers,
    collect() {
      this.set(services().size);
    },
  });
  new Gauge({
    name: "tokenmesh_registry_instances",
    help: "Registered instances, by the health that they say.",
    labelNames: ["health"],
    registers,
    collect() {
      for (const health of HEALTHS) this.set({ health }, 0);
      for (const instances of services().values()) for (const { health } of instances.values()) this.inc({ health });
    },
  });
  new Gauge({
    name: "tokenmesh_registry_overdue",
    help: "Registered instances that have sent no heartbeat for longer than their time to live.",
    registers,
    collect() {
      this.set(overdue());
    },
  });
  new Gauge({
    name: "tokenmesh_registry_holding",
    help: "1 while nobody is removed, because more than half of all instances are silent together.",
    registers,
    collect() {
      this.set(holding() ? 1 : 0);
    },
  });
  const changes = new Counter({
    name: "tokenmesh_registry_changes_total",
    help: "Instances that were registered, changed, deregistered or, without heartbeats, removed by this server (created, changed, removed, expired).",
    labelNames: ["change"],
    registers,
  });
  for (const change of CHANGES) changes.inc({ change }, 0);
  const heartbeats = new Counter({
    name: "tokenmesh_registry_heartbeats_total",
    help: "Heartbeats that came here, registrations that say the same again too, by whether the instance is registered (known, unknown).",
    labelNames: ["result"],
    registers,
  });
  for (const result of ["known", "unknown"]) heartbeats.inc({ result }, 0);
  return { changes, heartbeats };
}
