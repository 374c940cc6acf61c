/** The admin API on an address. */
import { X509Certificate } from "node:crypto";
import type { AddressInfo } from "node:net";
import { ServerError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { createApi, setCertificates } from "./api-server.ts";
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
  /**
   * Reads the files of certificate, key and authority again, for new connections; without TLS nothing.
   * @throws ServerError TM_API_CREDENTIALS; the old ones stay
   */
  reloadTls(): void;
  /** From now on this token counts and the former one does not. For a server that was started with one. */
  setToken(token: string): void;
  /** Ends open connections. */
  close(): Promise<void>;
}

/** @throws ServerError TM_API_UNPROTECTED, TM_API_CREDENTIALS, TM_LISTEN_FAILED */
export async function startApi(ports: ApiPorts, options: ApiListenOptions): Promise<RunningApi> {
  const { host, port, log, version, tls: files } = options;
  let { token } = options;
  const clientCertificates = files?.clientCa !== undefined;
  if (!isLoopback(host) && token === undefined && !clientCertificates)
    throw new ServerError("TM_API_UNPROTECTED", `the admin API would be open to all who reach ${host}`);
  const tls = files && pems(files);
  const apiOptions = {
    log,
    version,
    get token() {
      return token;
    },
    clientCertificates,
    tls,
  };
  const api = await createApi(ports, apiOptions).catch(unusable);
  api.server.maxConnections = MAX_CONNECTIONS;
  api.server.headersTimeout = HEADERS_TIMEOUT_MS;
  try {
    await api.listen({ host: host.replace(/^\[|\]$/g, ""), port });
  } catch (error) {
    await api.close();
    throw new ServerError("TM_LISTEN_FAILED", `cannot listen on ${host}:${port}: ${reason(error)}`);
  }
  const address = `${host}:${(api.server.address() as AddressInfo).port}`;
  return {
    address,
    url: `${tls === undefined ? "http" : "https"}://${address}`,
    reloadTls: () => {
      if (files === undefined) return;
      const texts = pems(files);
      try {
        setCertificates(api, texts);
      } catch (error) {
        unusable(error);
      }
    },
    setToken: (next) => {
      // Where nobody needed one, nobody is shut out by surprise.
      if (token !== undefined) token = next;
    },
    close: () => api.close(),
  };
}

/** @throws ServerError TM_API_CREDENTIALS */
function pems(files: NonNullable<ApiListenOptions["tls"]>) {
  const texts = { cert: readCredential(files.cert), key: readCredential(files.key) };
  if (files.clientCa === undefined) return texts;
  const clientCa = readCredential(files.clientCa);
  try {
    // A text without certificates would be an authority of nobody.
    new X509Certificate(clientCa);
  } catch (error) {
    throw new ServerError("TM_API_CREDENTIALS", `${files.clientCa} holds no certificate: ${reason(error)}`);
  }
  return { ...texts, clientCa };
}

function unusable(error: unknown): never {
  throw new ServerError("TM_API_CREDENTIALS", `certificate and key of the admin API: ${reason(error)}`);
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
