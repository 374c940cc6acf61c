/** Prometheus metrics of the loads feed, in the server's registry. Labels have a fixed set of values: endpoints and pools are in the admin API. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { ScrapeFault } from "./scrape.ts";

export interface LoadsMetrics {
  readonly scrapes: Counter<"result">;
  readonly duration: Histogram;
  readonly requests: Counter<"result">;
}

/** What is read when metrics are collected. */
export interface LoadsGauges {
  readonly running: () => number;
  readonly endpoints: () => { readonly known: number; readonly unknown: number };
}

const RESULTS: readonly ("ok" | ScrapeFault)[] = ["ok", "unreachable", "timeout", "status", "too_large", "malformed"];

export function createLoadsMetrics(registry: Registry, { running, endpoints }: LoadsGauges): LoadsMetrics {
  const registers = [registry];
  new Gauge({
    name: "tokenmesh_loads_scrapes_running",
    help: "Scrapes of engines under way.",
    registers,
    collect() {
      this.set(running());
    },
  });
  new Gauge({
    name: "tokenmesh_loads_endpoints",
    help: "Endpoints of all pools, by whether their load is known. They are scraped only while an Envoy asks.",
    labelNames: ["state"],
    registers,
    collect() {
      const { known, unknown } = endpoints();
      this.set({ state: "known" }, known);
      this.set({ state: "unknown" }, unknown);
    },
  });
  const scrapes = new Counter({
    name: "tokenmesh_loads_scrapes_total",
    help: "Scrapes of engines, by result.",
    labelNames: ["result"],
    registers,
  });
  for (const result of RESULTS) scrapes.inc({ result }, 0);
  return {
    scrapes,
    duration: new Histogram({
      name: "tokenmesh_loads_scrape_seconds",
      help: "Time of a scrape.",
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
      registers,
    }),
    requests: new Counter({
      name: "tokenmesh_loads_requests_total",
      help: "Questions of Envoys, by result (ok, unknown_pool, malformed).",
      labelNames: ["result"],
      registers,
    }),
  };
}
