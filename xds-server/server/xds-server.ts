/** The xDS port: discovery services in both variants, load reports, client status, and whatever else Envoys ask this server, on one port. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { SnapshotCache } from "../cache/index.ts";
import { ServerError } from "../errors.ts";
import {
  type GrpcServer,
  type PageMethod,
  type StreamMethod,
  splitAddress,
  startGrpcServer,
  type TlsOptions,
  type UnaryMethod,
} from "../grpc/index.ts";
import type { Logger } from "../log.ts";
import { MAX_REQUEST_BYTES } from "../stream/index.ts";
import { Admission } from "./admission.ts";
import { FETCH_STATUS_PATH, fetchClientStatus, STREAM_STATUS_PATH, serveClientStatus } from "./client-status.ts";
import { DISCOVERY_METHODS } from "./discovery-services.ts";
import { DiscoveryStream } from "./discovery-stream.ts";
import { NameLists } from "./discovery-wire.ts";
import {
  ADMISSION_WAIT_MS,
  KEEPALIVE_TIME_MS,
  KEEPALIVE_TIMEOUT_MS,
  MAX_CALLS_PER_CONNECTION,
  MAX_CONNECTION_AGE_MS,
  MAX_CONNECTIONS,
  MAX_PENDING_BYTES,
  MAX_STREAMS,
  PUSH_SLICE_MS,
  SHUTDOWN_GRACE_MS,
  SHUTDOWN_MS_PER_STREAM,
  SHUTDOWN_SPREAD_MS,
  STREAM_BURST,
  STREAMS_PER_SECOND,
} from "./limits.ts";
import { LOAD_STATS_PATH, serveLoadReports } from "./load-reporting.ts";
import { LoadReports } from "./load-reports.ts";
import type { ServerMetrics } from "./metrics.ts";
import { PushQueue } from "./push-queue.ts";
import { SharedBodies } from "./shared-bodies.ts";
import type { Authorize, StreamContext } from "./stream-context.ts";
import { openNacks, type StreamRegistry } from "./stream-registry.ts";

/** What else is on the same port, by path. */
export interface SideService {
  readonly methods: ReadonlyMap<string, UnaryMethod>;
  readonly streams?: ReadonlyMap<string, StreamMethod>;
  readonly pages?: ReadonlyMap<string, PageMethod>;
}

export interface XdsContext {
  readonly cache: SnapshotCache;
  readonly registry: StreamRegistry;
  readonly metrics: ServerMetrics;
  /** Where reports of the load service go; a store of its own by default. */
  readonly loads?: LoadReports;
  readonly log: Logger;
  /** `control_plane.identifier` of every response. */
  readonly identifier: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly options?: XdsServerOptions;
}

/** What is not said is as in limits.ts. */
export interface XdsServerOptions {
  readonly tls?: TlsOptions | undefined;
  /** Everybody may have every group by default. */
  readonly authorize?: Authorize;
  readonly maxStreams?: number;
  readonly streamsPerSecond?: number;
  readonly streamBurst?: number;
  readonly keepaliveMs?: number;
  readonly keepaliveTimeoutMs?: number;
  readonly maxConnectionAgeMs?: number;
  /** Over how long streams are ended when the server closes. */
  readonly shutdownSpreadMs?: number;
}

export interface XdsServer {
  /** `host:port` it listens on. */
  readonly address: string;
  /** Certificates for new connections, after they were rotated. @throws ServerError TM_TLS_INVALID; the old ones stay */
  setTls(tls: TlsOptions): void;
  /** Brings the gauges up to date, before metrics are read. */
  collect(): void;
  /** Ends all streams with UNAVAILABLE, so that Envoys keep what they have, spread over SHUTDOWN_SPREAD_MS when there are many, and stops. */
  close(): Promise<void>;
}

/**
 * @param address `host:port`; port 0 takes a free one
 * @param services what else is served there
 * @throws ServerError TM_LISTEN_FAILED, TM_TLS_INVALID, TM_USAGE
 */
export async function startXdsServer(
  address: string,
  context: XdsContext,
  services: readonly SideService[] = [],
): Promise<XdsServer> {
  const { metrics, log, registry, options = {} } = context;
  const { host, port } = splitAddress(address);
  if (options.tls !== undefined) checkTls(options.tls);
  const streamContext = contextOfStreams(context);
  const streams = new Map<string, StreamMethod>(
    DISCOVERY_METHODS.map((method) => [method.path, (call) => void new DiscoveryStream(call, method, streamContext)]),
  );
  const loads = context.loads ?? new LoadReports({ now: context.now });
  streams.set(LOAD_STATS_PATH, (call) => serveLoadReports(call, { ...streamContext, loads }));
  streams.set(STREAM_STATUS_PATH, (call) => serveClientStatus(call, streamContext));
  for (const service of services) for (const [path, method] of service.streams ?? []) streams.set(path, method);
  const pages = new Map(services.flatMap((service) => [...(service.pages ?? [])]));
  const methods = new Map(services.flatMap((service) => [...service.methods]));
  methods.set(FETCH_STATUS_PATH, fetchClientStatus(streamContext));
  let server: GrpcServer;
  try {
    server = await startGrpcServer({
      host: host.replace(/^\[|\]$/g, ""),
      port,
      tls: options.tls,
      methods,
      streams,
      pages,
      maxMessageBytes: MAX_REQUEST_BYTES,
      maxPendingBytes: MAX_PENDING_BYTES,
      maxCalls: MAX_CALLS_PER_CONNECTION,
      maxConnections: MAX_CONNECTIONS,
      keepaliveMs: options.keepaliveMs ?? KEEPALIVE_TIME_MS,
      keepaliveTimeoutMs: options.keepaliveTimeoutMs ?? KEEPALIVE_TIMEOUT_MS,
      maxConnectionAgeMs: options.maxConnectionAgeMs ?? MAX_CONNECTION_AGE_MS,
      graceMs: SHUTDOWN_GRACE_MS,
      onFailure: (error) =>
        log("error", "a call failed", { error: error instanceof Error ? error.stack : String(error) }),
      onHandshakeFailure: (reason) => {
        metrics.streamsRefused.inc({ code: "TLS" });
        log("warn", "TLS handshake failed", { reason });
      },
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ServerError("TM_LISTEN_FAILED", `cannot listen on ${address}: ${reason}`);
  }
  return {
    address: `${host}:${server.port}`,
    setTls: (tls) => {
      checkTls(tls);
      server.setTls(tls);
    },
    collect: () => {
      metrics.connections.set(server.connections);
      metrics.pushQueue.set(streamContext.queue.size);
      metrics.sharedBytes.set(streamContext.bodies.bytes);
      metrics.loadReporters.set(loads.reporters);
      collectBehind(registry, metrics, context.now());
    },
    close: () => {
      const spread = Math.min(options.shutdownSpreadMs ?? SHUTDOWN_SPREAD_MS, registry.size * SHUTDOWN_MS_PER_STREAM);
      return server.close(registry.size < FEW_STREAMS ? 0 : spread);
    },
  };
}

/** @throws ServerError TM_TLS_INVALID */
function checkTls({ cert, key, clientCa }: TlsOptions): void {
  try {
    // A text without certificates would be authorities that trust nobody.
    if (clientCa !== undefined) new X509Certificate(clientCa);
    createSecureContext({ cert, key, ...(clientCa === undefined ? {} : { ca: clientCa }) });
    if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
      throw new Error("the key is of another certificate");
  } catch (error) {
    throw new ServerError("TM_TLS_INVALID", error instanceof Error ? error.message : String(error));
  }
}

/** How far the streams of each group are behind its snapshot. */
function collectBehind(registry: StreamRegistry, metrics: ServerMetrics, now: number): void {
  metrics.nacksOpen.set(openNacks(registry));
  metrics.streamsBehind.reset();
  metrics.behindSeconds.reset();
  const longest = new Map<string, number>();
  for (const { group, behindSince } of registry) {
    metrics.streamsBehind.inc({ group }, behindSince === undefined ? 0 : 1);
    const seconds = behindSince === undefined ? 0 : Math.max(0, now - behindSince) / 1_000;
    longest.set(group, Math.max(longest.get(group) ?? 0, seconds));
  }
  for (const [group, seconds] of longest) metrics.behindSeconds.set({ group }, seconds);
}

/** They may all come to another replica at once. */
const FEW_STREAMS = 100;

function contextOfStreams({ options = {}, identifier, ...rest }: XdsContext): StreamContext {
  const clock = () => performance.now();
  return {
    ...rest,
    clock,
    admission: new Admission({
      perSecond: options.streamsPerSecond ?? STREAMS_PER_SECOND,
      burst: options.streamBurst ?? STREAM_BURST,
      waitMs: ADMISSION_WAIT_MS,
      clock,
    }),
    queue: new PushQueue({ defer: setImmediate, soon: queueMicrotask, clock, sliceMs: PUSH_SLICE_MS }),
    bodies: new SharedBodies(identifier),
    names: new NameLists(),
    authorize: options.authorize ?? (() => undefined),
    maxStreams: options.maxStreams ?? MAX_STREAMS,
  };
}
