/** What a server is started with. */
import type { WatcherOptions } from "./config/index.ts";
import type { TlsOptions } from "./grpc/index.ts";
import type { Logger } from "./log.ts";
import type { WasmDelivery } from "./resources/index.ts";
import type { SpiffeRule } from "./server/spiffe-authorization.ts";
import type { AnswerServiceOptions } from "./state/answers/index.ts";

/** Forms of `state`, for messages. */
export const STATE_FORMS =
  "file:FOLDER, redis://HOST:PORT (rediss:), consul://HOST:PORT/PREFIX (consuls:), kubernetes:NAMESPACE, memory";

export interface ServerOptions {
  /** Folder of YAML files; watched. */
  readonly configDir: string;
  /** `host:port` of the xDS server; port 0 (the default) takes a free one on loopback. */
  readonly xds?: string;
  /**
   * `host:port` at which Envoys reach the xDS server, for what filters ask this server itself: the loads of endpoints. By default the address it listens on; with
   * one such as 0.0.0.0, which says nothing to others, filters do not ask.
   */
  readonly advertise?: string;
  /** Certificate and key of the xDS server, PEM texts; with `clientCa` only Envoys with a certificate of it are served. Plain text by default. */
  readonly tls?: TlsOptions | undefined;
  /** Which node groups an Envoy may be served, by the SPIFFE id of its certificate (needs `tls.clientCa`); all by default. */
  readonly allow?: readonly SpiffeRule[];
  /** `host:port` of the admin API; port 0 (the default) takes a free one on loopback. */
  readonly api?: string;
  /** Bearer token of the admin API; without one only this machine may use it. */
  readonly token?: string | undefined;
  /** PEM files of the admin API; a client certificate of `clientCa` is as good as the token. Plain HTTP by default. */
  readonly apiTls?: { readonly cert: string; readonly key: string; readonly clientCa?: string | undefined } | undefined;
  /**
   * Where documents of the API, weights and registered instances are kept: `file:FOLDER`, `redis://...`, `consul://...`, `kubernetes:NAMESPACE`, or `memory` (the
   * default), which forgets them at the end.
   */
  readonly state?: string;
  /** Folder of the compiled filters; `build/filters` of the package by default. */
  readonly wasmDir?: string;
  /** How Envoy gets a filter's code; inline by default. */
  readonly wasm?: WasmDelivery;
  /** Where answers of the prompt cache are kept, and who may purge them; in memory by default. */
  readonly answers?: Omit<AnswerServiceOptions, "log" | "now">;
  readonly log?: Logger;
  /** Timing of the folder watcher, in milliseconds. */
  readonly watch?: WatcherOptions;
}
