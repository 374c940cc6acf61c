/**
 * The xDS management server: a folder of YAML, documents of its API and discovered endpoints in, Envoy configuration over xDS out. `startServer` puts the parts
 * together; `main.ts` is the same as a command.
 */
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { startApi } from "./api/index.ts";
import { controlPort, documentPort, weightPort } from "./api-ports.ts";
import { SnapshotCache } from "./cache/index.ts";
import { fullName } from "./config/gateway-scope.ts";
import { type ConfigError, watchFolder } from "./config/index.ts";
import { ControlPlane } from "./control-plane/index.ts";
import { systemClock } from "./discovery/clock.ts";
import { createDiscovery } from "./discovery/index.ts";
import { Registry, registryHandlers, registrySource } from "./discovery/registry/index.ts";
import { splitAddress, type TlsOptions } from "./grpc/index.ts";
import { jsonLogger } from "./log.ts";
import { packageVersion } from "./package-version.ts";
import { defaultWasmDir, loadsPools, type ServerAddress } from "./resources/index.ts";
import { LoadReports } from "./server/load-reports.ts";
import { createMetrics } from "./server/metrics.ts";
import { spiffeAuthorization } from "./server/spiffe-authorization.ts";
import { earlierRejections, nodeStatuses, StreamRegistry } from "./server/stream-registry.ts";
import { startXdsServer } from "./server/xds-server.ts";
import type { ServerOptions } from "./server-options.ts";
import { createAnswerService } from "./state/answers/index.ts";
import { createLoadsFeed } from "./state/loads/index.ts";
import { DocumentStore } from "./state/records/documents.ts";
import { MeasuredStore } from "./state/records/metrics.ts";
import { WeightTable } from "./state/records/weights.ts";
import { openStateStore } from "./state-store.ts";
import { stateView } from "./state-view.ts";

export { type ConfigError, formatError } from "./config/index.ts";
export { jsonLogger, type Logger, type LogLevel, silentLogger } from "./log.ts";
export type { ServerOptions } from "./server-options.ts";

export interface RunningServer {
  /** `host:port` for Envoy's ADS cluster. */
  readonly xdsAddress: string;
  /** `host:port` of the admin API. */
  readonly apiAddress: string;
  /** The same with its scheme. */
  readonly apiUrl: string;
  /** Errors of the configuration as it is on disk; empty when it is what is served. */
  configErrors(): readonly ConfigError[];
  /** Resolves when a valid configuration is served: at once, or after the files were corrected. */
  ready(): Promise<void>;
  /** Reads the folder now instead of when the watcher notices. */
  reload(): void;
  /** Certificates for new connections of Envoys, after they were rotated. @throws ServerError TM_TLS_INVALID; the old ones stay */
  setTls(tls: TlsOptions): void;
  /** Reads the files of the admin API's certificates again, for its new connections. @throws ServerError TM_API_CREDENTIALS; the old ones stay */
  reloadApiTls(): void;
  /** A new token of the admin API in place of the one that it was started with, which is refused from then on. */
  setApiToken(token: string): void;
  /** Ends all streams and stops; bounded to a few seconds. Envoys keep what they have. */
  close(): Promise<void>;
}

/** How long the start waits for the state store; after that the server is there and not ready. */
const STORE_START_MS = 2_000;

/**
 * Starts the server. An invalid first configuration does not stop it: it is not ready, refuses streams with UNAVAILABLE (an Envoy keeps what it
 * has) and becomes ready when the files are corrected. The same as long as the state store has not said what it holds.
 * @throws ServerError TM_LISTEN_FAILED, TM_USAGE, TM_STATE_LOCKED, TM_STATE_DAMAGED, TM_API_UNPROTECTED, TM_API_CREDENTIALS
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  // What was started, to be stopped in reverse order: at the end, or when a later part cannot start.
  const undo: (() => void | Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    return await start(options, undo, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function start(
  options: ServerOptions,
  undo: (() => void | Promise<void>)[],
  close: () => Promise<void>,
): Promise<RunningServer> {
  const { configDir, xds = "127.0.0.1:0", api = "127.0.0.1:0", log = jsonLogger(), state = "memory" } = options;
  const { host, port } = splitAddress(api);
  const advertised = options.advertise === undefined ? undefined : reachedAt(options.advertise);
  const metrics = createMetrics();
  const cache = new SnapshotCache();
  const registry = new StreamRegistry();

  const store = new MeasuredStore(await openStateStore(state, log), metrics.registry, systemClock.now);
  undo.push(() => store.close());
  const documents = new DocumentStore(store, { log });
  undo.push(() => documents.close());
  const weights = new WeightTable(store, { log });
  undo.push(() => weights.close());

  const instances = new Registry({ store, clock: systemClock, log, metrics: metrics.registry });
  undo.push(() => instances.close());
  const loadReports = new LoadReports();

  const loads = createLoadsFeed(metrics.registry);
  undo.push(() => loads.close());
  const answers = createAnswerService(metrics.registry, { ...options.answers, log });
  undo.push(() => answers.close());

  const identifier = `tokenmesh@${hostname()}`;
  // Until something is published it refuses streams.
  const context = {
    cache,
    registry,
    loads: loadReports,
    metrics,
    log,
    identifier,
    now: Date.now,
    options: {
      tls: options.tls,
      ...(options.allow === undefined ? {} : { authorize: spiffeAuthorization(options.allow) }),
    },
  };
  const ads = await startXdsServer(xds, context, [loads, answers]);
  undo.push(() => ads.close());
  // First of all those that wait for news are let go.
  undo.push(() => answers.close());
  const server = advertised ?? reachedAt(ads.address);

  const discovery = createDiscovery({
    log,
    registry: metrics.registry,
    store,
    inProgress: (address, port) => loadReports.inProgress(address, port),
    ownRegistry: registrySource(instances),
  });
  undo.push(() => discovery.close());
  const control = new ControlPlane({
    configDir,
    wasmDir: options.wasmDir ?? defaultWasmDir(),
    wasm: options.wasm ?? "inline",
    cache,
    metrics,
    log,
    now: Date.now,
    server,
    endpoints: discovery,
    weights,
    documents,
    onModel: (model) => {
      const pools = loadsPools(model);
      loads.configure(pools);
      if (server === undefined && pools.size > 0)
        log("warn", "no Envoy can ask for the loads of endpoints: nothing says at which address", {
          remedy: "--advertise",
        });
      if (server === undefined && model.promptCaches.length > 0)
        log("warn", "no Envoy can ask for answers or hear of purges: nothing says at which address", {
          remedy: "--advertise",
          promptCaches: model.promptCaches.map(({ metadata }) => fullName(metadata)),
        });
    },
  });
  undo.push(() => control.close());
  undo.push(registry.onSettled((group, snapshot) => control.accepted(group, snapshot)));

  // Files alone would take back from Envoys what programs have put through the API.
  let stateKnown = false;
  const load = () => {
    if (stateKnown) control.load();
  };
  const known = Promise.all([documents.ready, weights.ready]).then(() => {
    stateKnown = true;
    load();
  });
  await Promise.race([known, delay(STORE_START_MS, undefined, { ref: false })]);
  if (!stateKnown)
    log("warn", "the state store has not answered; the server is not ready until it does", { state: kindOf(state) });

  const running = await startApi(
    {
      control: controlPort({ control, cache, documents, load }),
      documents: documentPort(documents),
      weights: weightPort(weights),
      nodes: () => nodeStatuses(registry),
      earlierRejections: () => earlierRejections(registry),
      metrics: async () => {
        ads.collect();
        return { contentType: metrics.registry.contentType, body: await metrics.registry.metrics() };
      },
      registry: registryHandlers(instances),
      status: () => ({
        state: stateView(kindOf(state), stateKnown, store.outage, Date.now()),
        discovery: discovery.view(),
      }),
      loadReports: () => loadReports.view(),
      loads: () => loads.view(),
      cache: () => answers.view(),
      purgeCache: (request) => answers.purge(request),
      now: Date.now,
    },
    { host, port, log, version: packageVersion(), token: options.token, tls: options.apiTls },
  );
  undo.push(() => running.close());
  const watcher = await watchFolder(configDir, load, options.watch);
  undo.push(() => watcher.close());
  return {
    xdsAddress: ads.address,
    apiAddress: running.address,
    apiUrl: running.url,
    configErrors: () => control.errors,
    ready: () => control.ready(),
    reload: load,
    setTls: (tls) => ads.setTls(tls),
    reloadApiTls: () => running.reloadTls(),
    setApiToken: (token) => running.setToken(token),
    close,
  };
}

/** Of `redis://user:password@host`: redis. */
function kindOf(state: string): string {
  return state.split(":", 1)[0] ?? state;
}

/** Of `host:port`; undefined for an address that means every interface of this machine. */
function reachedAt(address: string): ServerAddress | undefined {
  const { host, port } = splitAddress(address);
  const name = host.replace(/^\[|\]$/g, "");
  return /^[0:.]+$/.test(name) ? undefined : { host: name, port };
}
