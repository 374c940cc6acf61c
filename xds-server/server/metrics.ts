/** Prometheus metrics of the server, in a registry of their own, so that two servers in one process do not share counters. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";

export interface ServerMetrics {
  readonly registry: Registry;
  /** Open ADS streams. */
  readonly streams: Gauge;
  /** Streams ended by the server, by gRPC status. */
  readonly streamsRefused: Counter<"code">;
  readonly requests: Counter<"type" | "kind">;
  readonly pushes: Counter<"type">;
  readonly pushedBytes: Counter<"type">;
  readonly nacks: Counter<"type">;
  /** Rejections that no ACK has cleared yet, over all connected Envoys. */
  readonly nacksOpen: Gauge;
  readonly configReloads: Counter<"result">;
  /** Errors in the configuration as it is on disk; 0 when what is served is what is on disk. */
  readonly configErrors: Gauge;
  /** When the served configuration was loaded, seconds since the epoch. */
  readonly configLoaded: Gauge;
  readonly resources: Gauge<"type">;
}

export function createMetrics(): ServerMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    streams: new Gauge({ name: "tokenmesh_xds_streams", help: "Open ADS streams.", registers }),
    streamsRefused: new Counter({
      name: "tokenmesh_xds_streams_refused_total",
      help: "ADS streams ended by the server, by gRPC status.",
      labelNames: ["code"],
      registers,
    }),
    requests: new Counter({
      name: "tokenmesh_xds_requests_total",
      help: "Discovery requests by type and what they turned out to be (subscribe, ack, nack, stale, unknown-type).",
      labelNames: ["type", "kind"],
      registers,
    }),
    pushes: new Counter({
      name: "tokenmesh_xds_pushes_total",
      help: "Discovery responses sent, by type.",
      labelNames: ["type"],
      registers,
    }),
    pushedBytes: new Counter({
      name: "tokenmesh_xds_pushed_bytes_total",
      help: "Bytes of discovery responses sent, by type.",
      labelNames: ["type"],
      registers,
    }),
    nacks: new Counter({
      name: "tokenmesh_xds_nacks_total",
      help: "Responses that an Envoy rejected, by type.",
      labelNames: ["type"],
      registers,
    }),
    nacksOpen: new Gauge({
      name: "tokenmesh_xds_nacks_open",
      help: "Rejections that are not resolved yet, over all connected Envoys.",
      registers,
    }),
    configReloads: new Counter({
      name: "tokenmesh_config_reloads_total",
      help: "Loads of the configuration folder, by result (published, unchanged, rejected).",
      labelNames: ["result"],
      registers,
    }),
    configErrors: new Gauge({
      name: "tokenmesh_config_errors",
      help: "Errors in the configuration on disk; the last good one is served while this is not 0.",
      registers,
    }),
    configLoaded: new Gauge({
      name: "tokenmesh_config_loaded_timestamp_seconds",
      help: "When the served configuration was loaded.",
      registers,
    }),
    resources: new Gauge({
      name: "tokenmesh_xds_resources",
      help: "Resources in the served snapshot, by type.",
      labelNames: ["type"],
      registers,
    }),
  };
}
