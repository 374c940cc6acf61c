/**
 * The xDS management server: a folder of YAML in, Envoy configuration over ADS out. `startServer` puts the parts together;
 * `main.ts` is the same as a command.
 */
import { hostname } from "node:os";
import { SnapshotCache } from "./cache/index.ts";
import { type ConfigError, type WatcherOptions, watchFolder } from "./config/index.ts";
import { jsonLogger, type Logger } from "./log.ts";
import { Publisher } from "./publisher.ts";
import { defaultWasmDir, loadsPools, type ServerAddress, type WasmDelivery } from "./resources/index.ts";
import { type AdminChanges, json, startAdminServer } from "./server/admin-server.ts";
import { splitAddress, startAdsServer } from "./server/ads-server.ts";
import { createMetrics } from "./server/metrics.ts";
import { nodeStatuses, openNacks, type StreamRegistry } from "./server/stream-registry.ts";
import { snapshotView } from "./snapshot-view.ts";
import { type AnswerServiceOptions, createAnswerService } from "./state/answers/index.ts";
import { createLoadsFeed } from "./state/loads/index.ts";

export { type ConfigError, formatError } from "./config/index.ts";
export { jsonLogger, type Logger, type LogLevel, silentLogger } from "./log.ts";

export interface ServerOptions {
  /** Folder of YAML files; watched. */
  readonly configDir: string;
  /** `host:port` of the ADS server; port 0 (the default) takes a free one on loopback. */
  readonly xds?: string;
  /**
   * `host:port` at which Envoys reach the ADS server, for what filters ask this server itself: the loads of endpoints. By default the address it listens on; with
   * one such as 0.0.0.0, which says nothing to others, filters do not ask.
   */
  readonly advertise?: string;
  /** `host:port` of the admin API; port 0 (the default) takes a free one on loopback. */
  readonly api?: string;
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

export interface RunningServer {
  /** `host:port` for Envoy's ADS cluster. */
  readonly xdsAddress: string;
  /** `host:port` of the admin API. */
  readonly apiAddress: string;
  /** Errors of the configuration as it is on disk; empty when it is what is served. */
  configErrors(): readonly ConfigError[];
  /** Resolves when a valid configuration is served: at once, or after the files were corrected. */
  ready(): Promise<void>;
  /** Reads the folder now instead of when the watcher notices. */
  reload(): void;
  /** Ends all streams and stops; bounded to a few seconds. Envoys keep what they have. */
  close(): Promise<void>;
}

/**
 * Starts the server. An invalid first configuration does not stop it: it is not ready, refuses streams with UNAVAILABLE (an Envoy keeps what it
 * has) and becomes ready when the files are corrected.
 * @throws ServerError TM_LISTEN_FAILED, TM_USAGE
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { configDir, xds = "127.0.0.1:0", api = "127.0.0.1:0", log = jsonLogger() } = options;
  const advertised = options.advertise === undefined ? undefined : reachedAt(options.advertise);
  const metrics = createMetrics();
  const cache = new SnapshotCache();
  const registry: StreamRegistry = new Set();
  const loads = createLoadsFeed(metrics.registry);
  const answers = createAnswerService(metrics.registry, { ...options.answers, log });
  const identifier = `tokenmesh@${hostname()}`;
  // Until something is published it refuses streams.
  const context = { cache, registry, metrics, log, identifier, now: Date.now };
  const ads = await startAdsServer(xds, context, [loads, answers]).catch(async (error: unknown) => {
    await answers.close();
    throw error;
  });
  const server = advertised ?? reachedAt(ads.address);
  const publisher = new Publisher({
    configDir,
    wasmDir: options.wasmDir ?? defaultWasmDir(),
    wasm: options.wasm ?? "inline",
    cache,
    metrics,
    log,
    now: Date.now,
    server,
    onModel: (model) => {
      const pools = loadsPools(model);
      loads.configure(pools);
      if (server === undefined && pools.size > 0)
        log("warn", "no Envoy can ask for the loads of endpoints: nothing says at which address", {
          remedy: "--advertise",
        });
    },
  });
  let becomeReady = () => {};
  const ready = new Promise<void>((resolve) => {
    becomeReady = resolve;
  });
  const load = () => {
    if (publisher.load() === "published") becomeReady();
  };
  load();

  const routes = {
    "/ready": () => {
      const served = publisher.loadedAt !== undefined;
      return json(served ? 200 : 503, { ready: served, configErrors: publisher.errors });
    },
    "/metrics": async () => {
      metrics.nacksOpen.set(openNacks(registry));
      return { status: 200, contentType: metrics.registry.contentType, body: await metrics.registry.metrics() };
    },
    "/loads": () => json(200, { pools: loads.view() }),
    "/cache": async () => json(200, await answers.view()),
    "/snapshot": () =>
      json(200, {
        snapshot: snapshotView(cache.get("default")),
        loadedAt: publisher.loadedAt === undefined ? null : new Date(publisher.loadedAt).toISOString(),
        configErrors: publisher.errors,
        configWarnings: publisher.warnings,
        nodes: nodeStatuses(registry),
      }),
  };
  const changes: AdminChanges = {
    "/cache/purge": async (request) => {
      const { status, value } = await answers.purge(request);
      return json(status, value);
    },
  };
  try {
    const admin = await startAdminServer(api, routes, log, changes);
    const watcher = await watchFolder(configDir, load, options.watch);
    return {
      xdsAddress: ads.address,
      apiAddress: admin.address,
      configErrors: () => publisher.errors,
      ready: () => ready,
      reload: load,
      close: async () => {
        await watcher.close();
        loads.close();
        await answers.close();
        await ads.close();
        await admin.close();
      },
    };
  } catch (error) {
    loads.close();
    await answers.close();
    await ads.close();
    throw error;
  }
}

/** Of `host:port`; undefined for an address that means every interface of this machine. */
function reachedAt(address: string): ServerAddress | undefined {
  const { host, port } = splitAddress(address);
  const name = host.replace(/^\[|\]$/g, "");
  return /^[0:.]+$/.test(name) ? undefined : { host: name, port };
}
