/** The gRPC side: Envoy's Rate Limit Service and `grpc.health.v1.Health/Check` on one port. */
import { ServerError } from "../../errors.ts";
import { CallError, Status, splitAddress, startGrpcServer, type UnaryMethod } from "../../grpc/index.ts";
import type { Logger } from "../../log.ts";
import { type Ledger, RequestError } from "./ledger.ts";
import type { LedgerMetrics } from "./metrics.ts";
import { decodeRequest, encodeResponse, type RateLimitRequest, SERVICE_PATH } from "./protocol.ts";
import { type LedgerStore, StoreError } from "./store.ts";

/** Bytes of one request: 32 descriptors with 32 entries of a few hundred bytes. */
const MAX_REQUEST_BYTES = 256 * 1024;
/** Bytes of all requests of one connection that are not answered. */
const MAX_PENDING_BYTES = 16 * 1024 * 1024;
/** Calls on one connection; an Envoy has one connection per worker. */
const MAX_CALLS_PER_CONNECTION = 10_000;
const KEEPALIVE_TIME_MS = 30_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;
const SHUTDOWN_GRACE_MS = 2_000;

export const HEALTH_PATH = "/grpc.health.v1.Health/Check";

export interface RlsServer {
  /** `host:port` it listens on. */
  readonly address: string;
  /** Lets calls finish, at most SHUTDOWN_GRACE_MS. */
  close(): Promise<void>;
}

export interface RlsContext {
  readonly ledger: Ledger;
  readonly store: LedgerStore;
  readonly metrics: LedgerMetrics;
  readonly log: Logger;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** HealthCheckResponse: SERVING is 1, NOT_SERVING 2. */
const SERVING = Buffer.from([0x08, 0x01]);
const NOT_SERVING = Buffer.from([0x08, 0x02]);

/**
 * @param address `host:port`; port 0 takes a free one
 * @throws ServerError TM_LISTEN_FAILED, TM_USAGE
 */
export async function startRlsServer(address: string, context: RlsContext): Promise<RlsServer> {
  const { host, port } = splitAddress(address);
  const { store, metrics, log } = context;
  try {
    const server = await startGrpcServer({
      host: host.replace(/^\[|\]$/g, ""),
      port,
      methods: new Map<string, UnaryMethod>([
        [SERVICE_PATH, (bytes) => shouldRateLimit(bytes, context)],
        [HEALTH_PATH, () => (store.up() ? SERVING : NOT_SERVING)],
      ]),
      maxMessageBytes: MAX_REQUEST_BYTES,
      maxPendingBytes: MAX_PENDING_BYTES,
      maxCalls: MAX_CALLS_PER_CONNECTION,
      keepaliveMs: KEEPALIVE_TIME_MS,
      keepaliveTimeoutMs: KEEPALIVE_TIMEOUT_MS,
      graceMs: SHUTDOWN_GRACE_MS,
      onFailure: (error) => {
        metrics.errors.inc({ reason: "internal" });
        log("error", "a call failed", { error: error instanceof Error ? error.stack : String(error) });
      },
    });
    return { address: `${host}:${server.port}`, close: () => server.close() };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ServerError("TM_LISTEN_FAILED", `cannot listen on ${address}: ${reason}`);
  }
}

/** @throws CallError and what must not happen */
async function shouldRateLimit(bytes: Buffer, { ledger, metrics, now, log }: RlsContext): Promise<Uint8Array> {
  let request: RateLimitRequest;
  try {
    request = decodeRequest(bytes);
  } catch {
    metrics.errors.inc({ reason: "malformed" });
    throw new CallError(Status.invalidArgument, "not a RateLimitRequest");
  }
  const began = performance.now();
  try {
    const response = await ledger.shouldRateLimit(request, now());
    metrics.answered(ledger.patterns.knows(request.domain) ? request.domain : "unknown", response.code);
    metrics.latency.observe((performance.now() - began) / 1_000);
    return encodeResponse(response);
  } catch (error) {
    if (error instanceof RequestError) {
      metrics.errors.inc({ reason: "refused" });
      throw new CallError(Status.invalidArgument, error.message);
    }
    if (error instanceof StoreError) {
      metrics.errors.inc({ reason: error.reason });
      // Envoy's failure_mode_deny decides what becomes of the request; a store that answers with an error is no better than one that is down.
      if (error.reason === "failed") log("error", "the store failed", { error: error.message });
      throw new CallError(Status.unavailable, error.message);
    }
    throw error;
  }
}
