/** The gRPC side: `envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources` on one port. */
import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { ServerError } from "../errors.ts";
import { MAX_REQUEST_BYTES } from "../stream/index.ts";
import { type AdsCall, type StreamContext, serveStream } from "./ads-stream.ts";
import {
  KEEPALIVE_TIME_MS,
  KEEPALIVE_TIMEOUT_MS,
  MAX_RESPONSE_BYTES,
  MAX_STREAMS,
  MAX_STREAMS_PER_CONNECTION,
  SHUTDOWN_GRACE_MS,
} from "./limits.ts";

const passThrough = (bytes: Buffer): Buffer => bytes;

/** Bytes in, bytes out: requests are decoded where a bad one can be answered, responses are encoded already. */
export const ADS_SERVICE = {
  streamAggregatedResources: {
    path: "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
    requestStream: true,
    responseStream: true,
    requestSerialize: passThrough,
    requestDeserialize: passThrough,
    responseSerialize: passThrough,
    responseDeserialize: passThrough,
  },
} as const satisfies ServiceDefinition;

/** Another service on the same port. */
export interface SideService {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}

export interface AdsServer {
  /** `host:port` it listens on. */
  readonly address: string;
  /** Ends all streams with UNAVAILABLE, so that Envoys keep what they have, and stops within SHUTDOWN_GRACE_MS. */
  close(): Promise<void>;
}

/**
 * @param address `host:port`; port 0 takes a free one
 * @param services what else is served there
 * @throws ServerError TM_LISTEN_FAILED, TM_USAGE
 */
export async function startAdsServer(
  address: string,
  context: StreamContext,
  services: readonly SideService[] = [],
): Promise<AdsServer> {
  const server = new Server({
    "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
    "grpc.max_send_message_length": MAX_RESPONSE_BYTES,
    "grpc.max_concurrent_streams": MAX_STREAMS_PER_CONNECTION,
    "grpc.keepalive_time_ms": KEEPALIVE_TIME_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
    "grpc.keepalive_permit_without_calls": 1,
  });
  const open = new Set<(code: status, details: string) => void>();
  server.addService(ADS_SERVICE, {
    streamAggregatedResources: (call: AdsCall) => {
      if (open.size >= MAX_STREAMS) {
        context.metrics.streamsRefused.inc({ code: "RESOURCE_EXHAUSTED" });
        call.emit("error", { code: status.RESOURCE_EXHAUSTED, details: `this server has ${MAX_STREAMS} streams` });
        return;
      }
      const end = serveStream(call, context);
      open.add(end);
      call.on("close", () => open.delete(end));
      call.on("cancelled", () => open.delete(end));
    },
  });
  for (const { definition, implementation } of services) server.addService(definition, implementation);
  const { host, port } = splitAddress(address);
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
        for (const end of open) end(status.UNAVAILABLE, "the server is shutting down");
        const timer = setTimeout(() => server.forceShutdown(), SHUTDOWN_GRACE_MS);
        server.tryShutdown(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
  };
}

/** Splits `host:port` and `[::1]:port`; the host keeps its brackets. */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+):(\d{1,5})$/.exec(address);
  const port = Number(match?.[2]);
  if (match?.[1] === undefined || port > 65_535) throw new ServerError("TM_USAGE", `not HOST:PORT: ${address}`);
  return { host: match[1], port };
}
