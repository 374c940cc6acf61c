/** The gRPC side: Envoy's Rate Limit Service and `grpc.health.v1.Health/Check` on one port. */
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { ServerError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import { splitAddress } from "../../server/ads-server.ts";
import { type Ledger, RequestError } from "./ledger.ts";
import type { LedgerMetrics } from "./metrics.ts";
import { decodeRequest, encodeResponse, type RateLimitRequest, SERVICE_PATH } from "./protocol.ts";
import { type LedgerStore, StoreError } from "./store.ts";

/** Bytes of one request: 32 descriptors with 32 entries of a few hundred bytes. */
const MAX_REQUEST_BYTES = 256 * 1024;
/** Calls on one connection; an Envoy has one connection per worker. */
const MAX_CALLS_PER_CONNECTION = 10_000;
const KEEPALIVE_TIME_MS = 30_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;
const SHUTDOWN_GRACE_MS = 2_000;

const passThrough = (bytes: Buffer): Buffer => bytes;

function unary(path: string) {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: passThrough,
    requestDeserialize: passThrough,
    responseSerialize: passThrough,
    responseDeserialize: passThrough,
  } as const;
}

export const RLS_SERVICE = {
  shouldRateLimit: unary(SERVICE_PATH),
  check: unary("/grpc.health.v1.Health/Check"),
} as const satisfies ServiceDefinition;

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

type Call = ServerUnaryCall<Buffer, Buffer>;
type Reply = sendUnaryData<Buffer>;

/** HealthCheckResponse: SERVING is 1, NOT_SERVING 2. */
const SERVING = Buffer.from([0x08, 0x01]);
const NOT_SERVING = Buffer.from([0x08, 0x02]);

/**
 * @param address `host:port`; port 0 takes a free one
 * @throws ServerError TM_LISTEN_FAILED, TM_USAGE
 */
export async function startRlsServer(address: string, context: RlsContext): Promise<RlsServer> {
  const { host, port } = splitAddress(address);
  const server = new Server({
    "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
    "grpc.max_concurrent_streams": MAX_CALLS_PER_CONNECTION,
    "grpc.keepalive_time_ms": KEEPALIVE_TIME_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
    "grpc.keepalive_permit_without_calls": 1,
  });
  server.addService(RLS_SERVICE, {
    shouldRateLimit: (call: Call, reply: Reply) => void answer(call.request, reply, context),
    check: (_call: Call, reply: Reply) => reply(null, context.store.up() ? SERVING : NOT_SERVING),
  });
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, number) => {
      if (error === null) resolve(number);
      else reject(new ServerError("TM_LISTEN_FAILED", `cannot listen on ${address}: ${error.message}`));
    });
  });
  return {
    address: `${host}:${bound === 0 ? port : bound}`,
    close: () =>
      new Promise((resolve) => {
        const timer = setTimeout(() => server.forceShutdown(), SHUTDOWN_GRACE_MS);
        server.tryShutdown(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
  };
}

async function answer(bytes: Buffer, reply: Reply, { ledger, metrics, now, log }: RlsContext): Promise<void> {
  let request: RateLimitRequest;
  try {
    request = decodeRequest(bytes);
  } catch {
    metrics.errors.inc({ reason: "malformed" });
    reply({ code: status.INVALID_ARGUMENT, details: "not a RateLimitRequest" });
    return;
  }
  const began = performance.now();
  try {
    const response = await ledger.shouldRateLimit(request, now());
    metrics.answered(ledger.patterns.knows(request.domain) ? request.domain : "unknown", response.code);
    metrics.latency.observe((performance.now() - began) / 1_000);
    reply(null, Buffer.from(encodeResponse(response)));
  } catch (error) {
    if (error instanceof RequestError) {
      metrics.errors.inc({ reason: "refused" });
      reply({ code: status.INVALID_ARGUMENT, details: error.message });
    } else if (error instanceof StoreError) {
      metrics.errors.inc({ reason: error.reason });
      // Envoy's failure_mode_deny decides what becomes of the request; a store that answers with an error is no better than one that is down.
      if (error.reason === "failed") log("error", "the store failed", { error: error.message });
      reply({ code: status.UNAVAILABLE, details: error.message });
    } else {
      metrics.errors.inc({ reason: "internal" });
      log("error", "a call failed", { error: error instanceof Error ? error.stack : String(error) });
      reply({ code: status.INTERNAL, details: "internal error; see the ledger's log" });
    }
  }
}
