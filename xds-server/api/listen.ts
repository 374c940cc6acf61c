/** The admin API on an address. */
import type { AddressInfo } from "node:net";
import { ServerError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { createApi } from "./api-server.ts";
import { isLoopback } from "./authorization.ts";
import { readCredential } from "./credentials.ts";
import { HEADERS_TIMEOUT_MS, MAX_CONNECTIONS } from "./limits.ts";
import type { ApiPorts } from "./ports.ts";

/** Where the API listens and who may use it. */
export interface ApiListenOptions {
  /** `host` and `port`; port 0 takes a free one. */
  readonly host: string;
  readonly port: number;
  readonly log: Logger;
  readonly version: string;
  /** Bearer token. */
  readonly token?: string | undefined;
  /** PEM files. A client certificate of `clientCa` is as good as the token. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string | undefined } | undefined;
}

export interface RunningApi {
  /** `host:port` it listens on. */
  readonly address: string;
  /** With its scheme. */
  readonly url: string;
  /** Ends open connections. */
  close(): Promise<void>;
}

/** @throws ServerError TM_API_UNPROTECTED, TM_API_CREDENTIALS, TM_LISTEN_FAILED */
export async function startApi(ports: ApiPorts, options: ApiListenOptions): Promise<RunningApi> {
  const { host, port, log, version, token, tls: files } = options;
  const clientCertificates = files?.clientCa !== undefined;
  if (!isLoopback(host) && token === undefined && !clientCertificates)
    throw new ServerError("TM_API_UNPROTECTED", `the admin API would be open to all who reach ${host}`);
  const tls =
    files === undefined
      ? undefined
      : {
          cert: readCredential(files.cert),
          key: readCredential(files.key),
          ...(files.clientCa === undefined ? {} : { clientCa: readCredential(files.clientCa) }),
        };
  const api = await createApi(ports, { log, version, token, clientCertificates, tls }).catch((error: unknown) => {
    throw new ServerError("TM_API_CREDENTIALS", `certificate and key of the admin API: ${reason(error)}`);
  });
  api.server.maxConnections = MAX_CONNECTIONS;
  api.server.headersTimeout = HEADERS_TIMEOUT_MS;
  try {
    await api.listen({ host: host.replace(/^\[|\]$/g, ""), port });
  } catch (error) {
    await api.close();
    throw new ServerError("TM_LISTEN_FAILED", `cannot listen on ${host}:${port}: ${reason(error)}`);
  }
  const address = `${host}:${(api.server.address() as AddressInfo).port}`;
  return { address, url: `${tls === undefined ? "http" : "https"}://${address}`, close: () => api.close() };
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
