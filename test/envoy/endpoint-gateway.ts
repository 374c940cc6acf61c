/**
 * An Envoy whose filter picks endpoints, and replicas that stand for model servers: override_host clusters as envoy/standalone/endpoints.yaml has them, with whatever a
 * test wants to be different.
 */
import { join } from "node:path";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  type ListenerSpec,
  type RouteSpec,
  staticBootstrap,
  type WasmFilterSpec,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { type Replica, type ReplicaOptions, startReplica } from "../../envoy/replica/index.ts";
import { WASM_DIR } from "./gateways.ts";

export const MODEL = "llama-3.3-70b";
export const DESTINATION = "x-gateway-destination-endpoint";
export const PREFIX = "x-llm-prefix";
/** Response header that the configurations here ask for. */
export const SERVED = "x-served-endpoint";
/** Where Envoy's extensions have their types. */
export const TYPE = "type.googleapis.com/envoy.extensions";
/** Request header by which the pools here are told who may be picked. */
export const SUBSET = "x-may-go-to";

export const addressOf = ({ url }: Replica): string => url.slice("http://".length);
export const addressesOf = (replicas: readonly Replica[]): string[] => replicas.map(addressOf);

/** `count` replicas named NAME0, NAME1, ... */
export function startReplicas(name: string, count: number, options: Partial<ReplicaOptions> = {}): Promise<Replica[]> {
  const start = (_: unknown, index: number) =>
    startReplica({ name: `${name}${index}`, models: [MODEL], keepRequests: 4096, ...options });
  return Promise.all(Array.from({ length: count }, start));
}

/** A pool of the configuration with these endpoints, steered by `SUBSET`. */
export function poolOf(name: string, targets: readonly string[], more: JsonObject = {}): JsonObject {
  return { name, subset: { header: SUBSET }, endpoints: targets.map((address) => ({ address })), ...more };
}

/** A cluster that goes where the filter says, else by the hash of the prefix. */
export function pickedCluster(name: string, targets: readonly string[], more: Picked = {}): JsonObject {
  return cluster({
    name,
    targets,
    ...(more.http2 === undefined ? {} : { http2: more.http2 }),
    ...(more.llmTarget === undefined ? {} : { llmTarget: more.llmTarget }),
    cluster: {
      common_lb_config: { healthy_panic_threshold: { value: 0 } },
      circuit_breakers: { thresholds: [{ max_connections: 4096, max_requests: 4096, max_retries: 1024 }] },
      load_balancing_policy: {
        policies: [
          policy("override_host", "OverrideHost", {
            override_host_sources: [{ header: DESTINATION }],
            fallback_policy: { policies: [policy("ring_hash", "RingHash", RING)] },
          }),
        ],
      },
      ...more.cluster,
    },
  });
}

interface Picked {
  readonly http2?: boolean;
  readonly llmTarget?: string;
  /** Further fields of the cluster. */
  readonly cluster?: JsonObject;
}

const RING: JsonObject = {
  consistent_hashing_lb_config: { hash_balance_factor: 125, hash_policy: [{ header: { header_name: PREFIX } }] },
};

function policy(name: string, type: string, fields: JsonObject): JsonObject {
  const config = { "@type": `${TYPE}.load_balancing_policies.${name}.v3.${type}`, ...fields };
  return { typed_extension_config: { name: `envoy.load_balancing_policies.${name}`, typed_config: config } };
}

/** hash-ring.wasm with this configuration. */
export function pickerFilter(configuration: JsonObject, more: Partial<WasmFilterSpec> = {}): JsonObject {
  return wasmFilter({
    name: "hash-ring",
    file: join(WASM_DIR, "hash-ring.wasm"),
    vmId: "picker",
    configuration: { servedHeader: SERVED, ...configuration },
    ...more,
  });
}

export interface PickedGateway {
  readonly envoy: EnvoyProcess;
  /** Of the first listener. */
  readonly url: string;
  /** `http://host:port` of a listener. */
  urlOf(listener: string): Promise<string>;
  /** Statistics `tokenmesh_endpoint_*` of a pool by what is behind the pool's name, such as "answers;outcome=served". */
  counted(pool?: string): Promise<Map<string, number>>;
}

export interface PickedOptions {
  readonly version?: string;
  readonly concurrency?: number;
  readonly listeners: readonly ListenerSpec[];
  readonly clusters: readonly JsonObject[];
  readonly allowErrors?: readonly RegExp[];
}

export async function startPicking({ listeners, clusters, ...options }: PickedOptions): Promise<PickedGateway> {
  const bootstrap = staticBootstrap({
    node: { id: "picker", cluster: "test" },
    listeners: listeners.map((one) => httpListener({ bufferLimitBytes: 11_534_336, ...one })),
    clusters,
  });
  const envoy = await EnvoyProcess.start({ bootstrap, ...options });
  const urlOf = async (name: string): Promise<string> => `http://${await envoy.listenerAddress(name)}`;
  return {
    envoy,
    url: await urlOf(listeners[0]?.name ?? ""),
    urlOf,
    counted: async (pool = "models") => countedOf(await envoy.admin.stats("tokenmesh_endpoint_"), pool),
  };
}

function countedOf(stats: ReadonlyMap<string, number>, pool: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const [name, value] of stats) {
    const label = `;pool=${pool}`;
    const short = name.slice(name.indexOf("tokenmesh_endpoint_") + "tokenmesh_endpoint_".length);
    const at = short.indexOf(label);
    if (at >= 0 && /^(;|$)/.test(short.slice(at + label.length))) found.set(short.replace(label, ""), value);
  }
  return found;
}

/** One listener `llm` with the filter in front of a cluster `models`. */
export function oneListener(configuration: JsonObject, more: OneListener = {}): ListenerSpec {
  const { before = [], filter, action, ...further } = more;
  const route: RouteSpec = { cluster: "models", ...(action === undefined ? {} : { action }) };
  return { name: "llm", httpFilters: [...before, pickerFilter(configuration, filter)], routes: [route], ...further };
}

interface OneListener extends Partial<ListenerSpec> {
  /** Filters in front of the picker. */
  readonly before?: readonly JsonObject[];
  readonly filter?: Partial<WasmFilterSpec>;
  /** Of the route, such as its retries. */
  readonly action?: JsonObject;
}

/** Retries down the list of endpoints. */
export const RETRIES: JsonObject = {
  retry_policy: { retry_on: "connect-failure,reset-before-request,5xx", num_retries: 2 },
};
