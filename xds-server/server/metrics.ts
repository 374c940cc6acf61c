/** Prometheus metrics of the server, in a registry of their own, so that two servers in one process do not share counters. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { Traffic } from "./traffic.ts";

export interface ServerMetrics {
  readonly registry: Registry;
  /** Open discovery streams; without group those that have not named their node. */
  readonly streams: Gauge<"variant" | "service" | "group">;
  /** Streams that have not accepted all of their group's snapshot, and how long the longest has been so. */
  readonly streamsBehind: Gauge<"group">;
  readonly behindSeconds: Gauge<"group">;
  /** Streams that wait for their turn to be sent something. */
  readonly pushQueue: Gauge;
  /** Requests, responses and how long they took. */
  readonly traffic: Traffic;
  readonly admissionWait: Histogram;
  /** Encoded responses that are kept for other streams. */
  readonly sharedBytes: Gauge;
  readonly connections: Gauge;
  /** Load reports that Envoys have sent. */
  readonly loadReports: Counter;
  readonly loadReporters: Gauge;
  /** Streams ended by the server, by gRPC status. */
  readonly streamsRefused: Counter<"code">;
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

/** From a push on this machine to an Envoy that warms for its initial_fetch_timeout. */
const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 30];

export function createMetrics(): ServerMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    streams: new Gauge({
      name: "tokenmesh_xds_streams",
      help: "Open discovery streams by variant, service and node group; without group those that have not named their node.",
      labelNames: ["variant", "service", "group"],
      registers,
    }),
    streamsBehind: new Gauge({
      name: "tokenmesh_xds_streams_behind",
      help: "Streams that have not accepted all of their group's snapshot.",
      labelNames: ["group"],
      registers,
    }),
    behindSeconds: new Gauge({
      name: "tokenmesh_xds_behind_seconds",
      help: "How long the stream that has been behind its group's snapshot for longest has been so.",
      labelNames: ["group"],
      registers,
    }),
    pushQueue: new Gauge({
      name: "tokenmesh_xds_push_queue",
      help: "Streams that wait for their turn to be sent something.",
      registers,
    }),
    traffic: new Traffic(registry, SECONDS),
    admissionWait: new Histogram({
      name: "tokenmesh_xds_admission_wait_seconds",
      help: "How long new streams waited for their turn.",
      buckets: SECONDS,
      registers,
    }),
    sharedBytes: new Gauge({
      name: "tokenmesh_xds_shared_bytes",
      help: "Bytes of encoded responses that are kept for other streams.",
      registers,
    }),
    loadReports: new Counter({
      name: "tokenmesh_lrs_reports_total",
      help: "Load reports that Envoys have sent.",
      registers,
    }),
    loadReporters: new Gauge({
      name: "tokenmesh_lrs_reporters",
      help: "Envoys that report their load.",
      registers,
    }),
    connections: new Gauge({
      name: "tokenmesh_xds_connections",
      help: "Connections of the xDS port.",
      registers,
    }),
    streamsRefused: new Counter({
      name: "tokenmesh_xds_streams_refused_total",
      help: "Discovery streams ended by the server, by gRPC status.",
      labelNames: ["code"],
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
