/**
 * The two ways a user runs llm-router without Istio, on real Envoy with real sockets: the static file of envoy/standalone, and the xDS server
 * with the configuration of envoy/stack. Tests run on both.
 *
 * The files are used as they are shipped; only addresses, ports and the path of the module are put in.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import {
  defaultVersion,
  EnvoyProcess,
  type JsonObject,
  projectRoot,
  versionsUnderTest,
} from "../../envoy/harness/index.ts";
import { type Replica, type ReplicaOptions, startReplica } from "../../envoy/replica/index.ts";
import { writeConfig } from "../../envoy/stack/templates.ts";
import { formatError } from "../../xds-server/config/index.ts";
import { startServer } from "../../xds-server/index.ts";
import { silentLogger } from "../../xds-server/log.ts";

export interface Gateway {
  /** `http://127.0.0.1:port` of Envoy's listener. */
  readonly url: string;
  readonly envoy: EnvoyProcess;
  /** Serve the models of the routes `gpt` and `claude`. */
  readonly gpt: readonly Replica[];
  readonly claude: readonly Replica[];
  /** Folder of the xDS server's YAML files; undefined for the static file. */
  readonly configDir: string | undefined;
  /** `host:port` of the xDS server's admin interface; undefined for the static file. */
  readonly apiAddress: string | undefined;
  /** The requests the replicas have seen since the start or the last `clear()`. */
  seen(): Replica["requests"][number][];
  clear(): void;
  close(): Promise<void>;
}

export interface GatewayOptions {
  /** Replaces the router's configuration (`spec` of LLMRouter). */
  readonly router?: JsonObject;
  readonly allowErrors?: readonly RegExp[];
  readonly replica?: Partial<ReplicaOptions>;
  /** Further fields of Envoy's bootstrap, such as stats_flush_interval. */
  readonly bootstrap?: JsonObject;
}

export interface Way {
  readonly name: string;
  start(options?: GatewayOptions): Promise<Gateway>;
}

export const WASM_DIR = join(projectRoot(), "build/filters");
export const ROUTER_WASM = join(WASM_DIR, "llm-router.wasm");
const GPT_MODELS = ["gpt-4o-mini", "gpt-4.1", "gpt-5-pro"];
const CLAUDE_MODELS = ["claude-sonnet-5-5", "claude-haiku-5-5"];

/** Collects what has been started, so that a failure half-way leaves nothing behind. */
class Started {
  private readonly stops: (() => Promise<unknown>)[] = [];

  add<T>(value: T, stop: (value: T) => Promise<unknown>): T {
    this.stops.push(() => stop(value));
    return value;
  }

  async stop(): Promise<void> {
    const errors: unknown[] = [];
    for (let stop = this.stops.pop(); stop !== undefined; stop = this.stops.pop()) {
      await stop().catch((error: unknown) => errors.push(error));
    }
    if (errors.length > 0) throw errors[0];
  }
}

interface Begun {
  readonly envoy: EnvoyProcess;
  readonly listener: string;
  readonly configDir?: string;
  readonly apiAddress?: string;
}

async function startGateway(
  options: GatewayOptions,
  begin: (started: Started, gpt: Replica[], claude: Replica[]) => Promise<Begun>,
): Promise<Gateway> {
  const started = new Started();
  try {
    const replica = async (name: string, models: string[]): Promise<Replica> =>
      started.add(await startReplica({ name, models, ...options.replica }), (r) => r.close());
    const gpt = [await replica("gpt-a", GPT_MODELS), await replica("gpt-b", GPT_MODELS)];
    const claude = [await replica("claude-a", CLAUDE_MODELS), await replica("claude-b", CLAUDE_MODELS)];
    const { envoy, listener, configDir, apiAddress } = await begin(started, gpt, claude);
    started.add(envoy, (e) => e.stop());
    const all = [...gpt, ...claude];
    return {
      url: `http://${await envoy.listenerAddress(listener)}`,
      envoy,
      gpt,
      claude,
      configDir,
      apiAddress,
      seen: () => all.flatMap(({ requests }) => [...requests]),
      clear: () => {
        for (const one of all) one.clearRequests();
      },
      close: () => started.stop(),
    };
  } catch (error) {
    await started.stop().catch(() => {});
    throw error;
  }
}

export const staticFile: Way = staticFileOn(defaultVersion());

/** The static file on one Envoy release. */
function staticFileOn(version: string): Way {
  return {
    name: `static file, Envoy ${version}`,
    start: (options = {}) =>
      startGateway(options, async (_, gpt, claude) => {
        const ports = { gpt: gpt.map(({ port }) => port), claude: claude.map(({ port }) => port) };
        const bootstrap = { ...(await standaloneConfig(ports, options.router)), ...options.bootstrap };
        const { allowErrors = [] } = options;
        return { envoy: await EnvoyProcess.start({ bootstrap, allowErrors, version }), listener: "llm" };
      }),
  };
}

export const xds: Way = {
  name: "xDS",
  start: (options = {}) =>
    startGateway(options, async (started, gpt, claude) => {
      const configDir = await mkdtemp(join(tmpdir(), "tokenmesh-gateway-"));
      started.add(configDir, (dir) => rm(dir, { recursive: true, force: true }));
      await writeStackConfig(configDir, gpt, claude, options.router);
      const server = await startServer({ configDir, wasmDir: WASM_DIR, log: silentLogger });
      started.add(server, (s) => s.close());
      if (server.configErrors().length > 0) throw new Error(server.configErrors().map(formatError).join("\n"));
      const text = await xdsConfig(server.xdsAddress);
      const bootstrap = options.bootstrap ? { ...(parse(text) as JsonObject), ...options.bootstrap } : text;
      const { allowErrors = [] } = options;
      return {
        envoy: await EnvoyProcess.start({ bootstrap, allowErrors }),
        listener: "default/llm/http",
        configDir,
        apiAddress: server.apiAddress,
      };
    }),
};

/** The static file on every release under test, xDS on the newest. */
export const WAYS: readonly Way[] = [...versionsUnderTest().map(staticFileOn), xds];

/** envoy/standalone/envoy.yaml with free ports, these endpoints and the built module. */
async function standaloneConfig(
  ports: { readonly gpt: readonly number[]; readonly claude: readonly number[] },
  router?: JsonObject,
): Promise<JsonObject> {
  let text = await readFile(join(projectRoot(), "envoy/standalone/envoy.yaml"), "utf8");
  text = replaceOnce(text, "/etc/envoy/llm-router.wasm", ROUTER_WASM);
  text = replaceOnce(text, "port_value: 10000", "port_value: 0");
  text = replaceOnce(text, "port_value: 9901", "port_value: 0");
  const config = parse(text) as StandaloneConfig;
  for (const cluster of config.static_resources.clusters) {
    const targets = cluster.name === "gpt" ? ports.gpt : ports.claude;
    cluster.load_assignment.endpoints = [{ lb_endpoints: targets.map(endpoint) }];
  }
  if (router !== undefined) {
    const manager = config.static_resources.listeners[0]?.filter_chains[0]?.filters[0]?.typed_config;
    const plugin = manager?.http_filters[0]?.typed_config.config;
    if (plugin === undefined) throw new Error("envoy.yaml has another shape");
    plugin.configuration.value = JSON.stringify(router);
  }
  return config as unknown as JsonObject;
}

/** envoy/standalone/fallback.yaml with free ports, these endpoints and the built module, as text: what is in it comes to Envoy as it is written. */
export async function fallbackConfig(ports: Readonly<Record<"openai" | "azure" | "local", number>>): Promise<string> {
  let text = await readFile(join(projectRoot(), "envoy/standalone/fallback.yaml"), "utf8");
  text = replaceOnce(text, "/etc/envoy/llm-router.wasm", ROUTER_WASM);
  text = replaceOnce(text, "port_value: 10000", "port_value: 0");
  text = replaceOnce(text, "port_value: 9901", "port_value: 0");
  text = replaceOnce(text, "port_value: 8001", `port_value: ${ports.openai}`);
  text = replaceOnce(text, "port_value: 8002", `port_value: ${ports.azure}`);
  return replaceOnce(text, "port_value: 8003", `port_value: ${ports.local}`);
}

/** The filters of a configuration's listener, in front of Envoy's router and with it. */
export function httpFilters(config: string): JsonObject[] {
  const { static_resources } = parse(config) as StandaloneConfig;
  const filters = static_resources.listeners[0]?.filter_chains[0]?.filters[0]?.typed_config.http_filters;
  if (filters === undefined) throw new Error("the configuration has another shape");
  return filters as unknown as JsonObject[];
}

/** envoy/standalone/xds-bootstrap.yaml with this server. */
async function xdsConfig(xdsAddress: string): Promise<string> {
  const text = await readFile(join(projectRoot(), "envoy/standalone/xds-bootstrap.yaml"), "utf8");
  const port = xdsAddress.slice(xdsAddress.lastIndexOf(":") + 1);
  return replaceOnce(
    replaceOnce(text, "port_value: 18000", `port_value: ${port}`),
    "port_value: 9901",
    "port_value: 0",
  );
}

/** The stack's YAML files with these replicas; `router` replaces the spec of llm-router.yaml. */
async function writeStackConfig(
  dir: string,
  gpt: readonly Replica[],
  claude: readonly Replica[],
  router?: JsonObject,
): Promise<void> {
  const port = (replica: Replica | undefined): number => replica?.port ?? 0;
  await writeConfig(join(projectRoot(), "envoy/stack/config"), dir, {
    PROXY_PORT: 0,
    GPT_A_PORT: port(gpt[0]),
    GPT_B_PORT: port(gpt[1]),
    CLAUDE_A_PORT: port(claude[0]),
    CLAUDE_B_PORT: port(claude[1]),
  });
  // The limiter runs, but neither refuses bodies of megabytes nor asks streams for their usage: the replicas' answers depend on every byte of a request.
  const limits = join(dir, "token-rate-limit.yaml");
  const text = (await readFile(limits, "utf8")).replaceAll("amount: 1000000", "amount: 1000000000000");
  await writeFile(limits, replaceOnce(text, "spec:", "spec:\n  includeUsage: false"));
  // The cache runs, too, and keeps nothing: every request is to reach a replica.
  const cache = join(dir, "prompt-cache.yaml");
  const nobodys = "- name: all\n      match: { models: [nobodys] }";
  await writeFile(cache, replaceOnce(await readFile(cache, "utf8"), "- name: all", nobodys));
  if (router === undefined) return;
  const file = join(dir, "llm-router.yaml");
  const document = parse(await readFile(file, "utf8")) as JsonObject;
  await writeFile(file, JSON.stringify({ ...document, spec: router }));
}

function endpoint(port: number): JsonObject {
  return { endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } } };
}

/** A replacement that must hit, exactly once: else a test would run another file than it says. */
export function replaceOnce(text: string, from: string, to: string): string {
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`expected ${JSON.stringify(from)} once, found it ${parts.length - 1} times`);
  return parts.join(to);
}

interface StandaloneConfig {
  static_resources: {
    listeners: { filter_chains: { filters: { typed_config: { http_filters: HttpFilter[] } }[] }[] }[];
    clusters: { name: string; load_assignment: { endpoints: JsonObject[] } }[];
  };
}

interface HttpFilter {
  typed_config: { config: { configuration: { value: string } } };
}
