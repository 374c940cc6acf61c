/** A small HTTP server for administration: a few callers, short requests, bounded waiting. */
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { ServerError } from "../errors.ts";
import { splitAddress } from "../grpc/index.ts";

const TIMEOUTS = { requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 5_000 };
const MAX_CONNECTIONS = 256;

export interface HttpServer {
  /** `host:port` it listens on. */
  readonly address: string;
  /** Ends open connections. */
  close(): Promise<void>;
}

/**
 * @param address `host:port`; port 0 takes a free one
 * @throws ServerError TM_LISTEN_FAILED, TM_USAGE
 */
export async function startHttpServer(address: string, listener: RequestListener): Promise<HttpServer> {
  const { host, port } = splitAddress(address);
  const server = createServer(TIMEOUTS, listener);
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(new ServerError("TM_LISTEN_FAILED", `cannot listen on ${address}: ${error.message}`)),
    );
    server.listen(port, host.replace(/^\[|\]$/g, ""), resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    address: `${host}:${bound.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
