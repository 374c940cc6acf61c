/**
 * An Envoy with providers behind pools, as envoy/standalone/fallback.yaml has it, with whatever a test wants to be different: the router picks a
 * target, the attempt filter makes each attempt fit for its provider, and replicas that fail as they are told stand for the providers.
 */
import {
  cluster,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  nextMemberOnRetry,
  pool,
  staticBootstrap,
  supportedVersions,
  type Target,
  versionsUnderTest,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { type Replica, type ReplicaOptions, startReplica } from "../../envoy/replica/index.ts";
import { ROUTER_WASM } from "./gateways.ts";

export type PoolKind = "composite" | "aggregate";

/**
 * Which kind of pool runs on which release. Composite clusters came with 1.37, but before 1.40 a request dies at a member without a healthy endpoint instead of
 * going on to the next.
 */
export const POOLS: readonly { readonly version: string; readonly kind: PoolKind }[] = versionsUnderTest().map(
  (version) => ({ version, kind: isBefore(version, "1.40.") ? "aggregate" : "composite" }),
);

/** True for a supported release older than those that begin so. */
export function isBefore(version: string, first: string): boolean {
  return supportedVersions().indexOf(version) < supportedVersions().findIndex((one) => one.startsWith(first));
}

export interface ProviderSpec {
  /** The target's configuration without `cluster`, which is the provider's name. */
  readonly target?: JsonObject;
  /** Models of its replica. */
  readonly models: readonly string[];
  readonly replica?: Partial<ReplicaOptions>;
  /** Endpoints in place of the replica. */
  readonly endpoints?: readonly Target[];
  /** The target that its endpoints say they are; false leaves that out. Default: the provider's name. */
  readonly metadata?: string | false;
  /** Further fields of the cluster. */
  readonly cluster?: JsonObject;
  readonly http2?: boolean;
}

export interface FallbackOptions {
  readonly version?: string;
  readonly kind: PoolKind;
  /** By name, in the order in which pools are named. */
  readonly providers: Readonly<Record<string, ProviderSpec>>;
  /** Members of each pool. */
  readonly pools: readonly (readonly string[])[];
  /** The router's configuration but for `targets`, which come from the providers. */
  readonly router: JsonObject;
  /** Filters before the router. */
  readonly filtersBefore?: readonly JsonObject[];
  /** vm_id of the attempt filter; undefined leaves the filter out. Default: the router's. */
  readonly attemptVm?: string | undefined;
  /** Further fields of the pools. */
  readonly pool?: JsonObject;
  readonly hcm?: JsonObject;
  readonly stats?: JsonObject;
  readonly environment?: readonly string[];
  /** Further arguments for Envoy. */
  readonly args?: readonly string[];
  readonly allowErrors?: readonly RegExp[];
  readonly bufferLimitBytes?: number;
}

export interface FallbackGateway {
  readonly url: string;
  readonly envoy: EnvoyProcess;
  /** The replica of a provider. */
  replica(name: string): Replica;
  /** Forgets recorded requests and scripted failures. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

const ROUTER_VM = "llm-router";
/** Room for twice the largest body that the router holds: before 1.38 Envoy counts a held body twice and gives up on retries. */
export const BUFFER_BYTES = 21 * 1024 * 1024;

export async function startFallback(options: FallbackOptions): Promise<FallbackGateway> {
  const replicas = new Map<string, Replica>();
  const close = async (): Promise<void> => {
    await Promise.all([...replicas.values()].map((one) => one.close()));
  };
  try {
    for (const [name, { models, replica }] of Object.entries(options.providers)) {
      replicas.set(name, await startReplica({ name, models, prefixCache: false, keepRequests: 512, ...replica }));
    }
    const bootstrap = bootstrapOf(options, (name) => replicas.get(name)?.port ?? 0);
    const { version, allowErrors = [], args = [] } = options;
    const which = version === undefined ? {} : { version };
    const envoy = await EnvoyProcess.start({ bootstrap, allowErrors, args, ...which });
    return {
      url: `http://${await envoy.listenerAddress("llm")}`,
      envoy,
      replica: (name) => {
        const found = replicas.get(name);
        if (found === undefined) throw new Error(`no provider ${name}`);
        return found;
      },
      reset: async () => {
        for (const replica of replicas.values()) {
          await replica.recover();
          replica.clearRequests();
        }
      },
      close: async () => {
        await envoy.stop().finally(close);
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function bootstrapOf(options: FallbackOptions, portOf: (name: string) => number): JsonObject {
  const { kind, providers, pools, environment, attemptVm = ROUTER_VM } = options;
  const entries = Object.entries(providers);
  const targets = Object.fromEntries(entries.map(([name, { target = {} }]) => [name, { cluster: name, ...target }]));
  const vm = { file: ROUTER_WASM, ...(environment === undefined ? {} : { environment }) };
  const router = wasmFilter({
    ...vm,
    name: "llm-router",
    vmId: ROUTER_VM,
    configuration: { targets, ...options.router },
  });
  const attempt = wasmFilter({ ...vm, name: "llm-router-attempt", vmId: attemptVm });
  const withoutAttempt = "attemptVm" in options && options.attemptVm === undefined;
  const listener = httpListener({
    name: "llm",
    httpFilters: [...(options.filtersBefore ?? []), router],
    upstreamFilters: withoutAttempt ? [] : [attempt],
    routes: [
      { cluster: { header: "x-llm-cluster" }, action: kind === "aggregate" ? nextMemberOnRetry : {} },
      { cluster: entries[0]?.[0] ?? "" }, // what is no LLM call
    ],
    bufferLimitBytes: options.bufferLimitBytes ?? BUFFER_BYTES,
    hcm: { http2_protocol_options: { initial_stream_window_size: BUFFER_BYTES }, ...options.hcm },
  });
  const clusters = entries.map(
    ([name, { endpoints = [portOf(name)], metadata = name, cluster: further = {}, http2 }]) =>
      cluster({
        name,
        targets: endpoints,
        cluster: further,
        ...(http2 === undefined ? {} : { http2 }),
        ...(metadata === false ? {} : { llmTarget: metadata }),
      }),
  );
  const named = pools.map((members) => pool({ members, kind, ...(options.pool ? { cluster: options.pool } : {}) }));
  return staticBootstrap({
    listeners: [listener],
    clusters: [...clusters, ...named],
    ...(options.stats === undefined ? {} : { stats: options.stats }),
  });
}
