/** Prometheus metrics of service discovery, in the server's registry. Their labels have as many values as the configuration has sources and services. */
import { Counter, Gauge, type Registry } from "prom-client";
import type { SourceView } from "./view.ts";

export interface DiscoveryMetrics {
  readonly answers: Counter<"source">;
  readonly failures: Counter<"source" | "code">;
  readonly changes: Counter<"source">;
}

/** @param view is called when metrics are collected */
export function createDiscoveryMetrics(registry: Registry, view: () => readonly SourceView[]): DiscoveryMetrics {
  const registers = [registry];
  const services = () => view().flatMap(({ name, services: each }) => each.map((service) => ({ name, service })));
  new Gauge({
    name: "tokenmesh_discovery_age_seconds",
    help: "For how long the source has not confirmed the endpoints of a service; 0 while it does.",
    labelNames: ["source", "service"],
    registers,
    collect() {
      this.reset();
      for (const { name, service } of services())
        this.set({ source: name, service: service.service }, service.ageSeconds);
    },
  });
  new Gauge({
    name: "tokenmesh_discovery_endpoints",
    help: "Endpoints of a service that Envoys are told, by health.",
    labelNames: ["source", "service", "health"],
    registers,
    collect() {
      this.reset();
      for (const { name, service } of services()) {
        for (const { health } of service.endpoints) this.inc({ source: name, service: service.service, health });
      }
    },
  });
  return {
    answers: new Counter({
      name: "tokenmesh_discovery_answers_total",
      help: "Good answers of a source, changed or not.",
      labelNames: ["source"],
      registers,
    }),
    failures: new Counter({
      name: "tokenmesh_discovery_failures_total",
      help: "Attempts to ask a source that failed, by code.",
      labelNames: ["source", "code"],
      registers,
    }),
    changes: new Counter({
      name: "tokenmesh_discovery_changes_total",
      help: "Changes of the endpoints of a service that were passed on.",
      labelNames: ["source"],
      registers,
    }),
  };
}
