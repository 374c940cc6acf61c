/**
 * The Load Reporting Service: `envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats`. An Envoy that opens the stream is told at once what to
 * report and how often.
 * https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/load_stats/v3/lrs.proto
 */
import { TypeUrl } from "../../protos/index.ts";
import { type Snapshot, typeSnapshot } from "../cache/index.ts";
import { CallError, Status, type StreamCall } from "../grpc/index.ts";
import { FIRST_REQUEST_TIMEOUT_MS, MAX_LOAD_NODES } from "./limits.ts";
import { decodeLoadReport, encodeLoadResponse } from "./load-report-wire.ts";
import type { LoadReporter, LoadReports } from "./load-reports.ts";
import type { StreamContext } from "./stream-context.ts";

export const LOAD_STATS_PATH = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats";

/** A client with this feature knows the word for all clusters; others have to be told them one by one. */
const ALL_CLUSTERS = "envoy.lrs.supports_send_all_clusters";

export type LoadReportingContext = Pick<StreamContext, "cache" | "metrics" | "authorize"> & {
  readonly loads: LoadReports;
};

function clusterNames(snapshot: Snapshot | undefined): readonly string[] {
  return snapshot === undefined ? [] : [...typeSnapshot(snapshot, TypeUrl.cluster).resources.keys()];
}

export function serveLoadReports(call: StreamCall, context: LoadReportingContext): void {
  const { loads, metrics } = context;
  let reporter: LoadReporter | undefined;
  let all = true;
  let offered: () => readonly string[] = () => [];
  const tell = () => call.write(encodeLoadResponse(all ? undefined : offered(), loads.intervalMs));
  const timer = setTimeout(() => call.end(Status.deadlineExceeded, "no request within 15 s"), FIRST_REQUEST_TIMEOUT_MS);
  call.onMessage = (bytes) => {
    const { node, clusters } = decodeLoadReport(bytes);
    if (reporter === undefined) {
      if (node === undefined || node.id === "") {
        throw new CallError(Status.invalidArgument, "the first request of a stream must carry node.id");
      }
      if (loads.reporters >= MAX_LOAD_NODES) {
        throw new CallError(Status.resourceExhausted, `${MAX_LOAD_NODES} nodes report to this server`);
      }
      const group = context.cache.nodeHash(node);
      const refusal = context.authorize(call.peer, node, group);
      if (refusal !== undefined) throw new CallError(Status.permissionDenied, refusal);
      all = node.clientFeatures.includes(ALL_CLUSTERS);
      if (!all && context.cache.get(group) === undefined) {
        throw new CallError(Status.unavailable, "no valid configuration is loaded yet");
      }
      clearTimeout(timer);
      reporter = loads.open(node);
      offered = () => clusterNames(context.cache.get(group));
      tell();
      if (clusters.length === 0) return;
    }
    metrics.loadReports.inc();
    loads.report(reporter, clusters);
    // "All clusters" are those that the Envoy had when it was told (1.36 and others): it has to be told again when there are more.
    const reported = new Set(clusters.map(({ cluster }) => cluster));
    if (call.bufferedBytes === 0 && offered().some((name) => !reported.has(name))) tell();
  };
  call.onHalfClose = () => call.end(Status.ok);
  call.onClose = () => {
    clearTimeout(timer);
    if (reporter !== undefined) loads.close(reporter);
  };
}
