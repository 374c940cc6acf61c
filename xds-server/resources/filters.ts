/** Filter configurations that go by ECDS: `envoy/extensions/filters/http/wasm/v3/wasm.proto` inside a TypedExtensionConfig. */
import type { ProtoObject } from "../../protos/index.ts";
import { contentHash, type Reference } from "../cache/index.ts";
import { fullName } from "../config/gateway-scope.ts";
import { splitHostPort } from "../config/host-names.ts";
import type { LlmRouterSpec } from "../config/llm-model.ts";
import type { TokenRateLimit } from "../config/model.ts";
import { type CacheConfiguration, cacheJson } from "./cache-configuration.ts";
import type { EndpointWeights } from "./endpoint-weights.ts";
import { DEFAULT_BUFFER_BYTES } from "./listeners.ts";
import { clusterReferences, llmClusterReferences } from "./llm-clusters.ts";
import { codeOf, type FilterCode, type LlmFilter } from "./llm-filters.ts";
import { type PickerConfiguration, pickerJson } from "./picker-configuration.ts";
import { resolvedPools } from "./picker-pools.ts";
import { gatewayConfiguration, pluginConfiguration, rateLimits, stageConfiguration } from "./plugin-configuration.ts";
import { any } from "./proto-values.ts";
import { ANSWERS_CLUSTER, LOADS_CLUSTER } from "./server-clusters.ts";
import { clusterName, resolveDestination, type ServiceIndex } from "./service-index.ts";

/** A compiled filter and how Envoy gets it. Never as remote code: Envoy 1.40 drops a filter whose ECDS update has to be fetched. */
export interface WasmModule {
  /** Content hash; part of what a VM is told apart by, so that new code at an old path is a new VM. */
  readonly hash: string;
  readonly code: { readonly inline: Uint8Array } | { readonly file: string };
}

/** The compiled filters that configurations refer to. */
export type WasmModules = { readonly [K in FilterCode]?: WasmModule | undefined };

const LLM_ROUTER_ATTEMPT = "llm-router-attempt";

/** A filter with the code that runs it. */
export interface BuiltFilter {
  readonly filter: LlmFilter;
  readonly module: WasmModule;
  /** Cluster of the limiter's Rate Limit Service. */
  readonly serviceCluster: string | undefined;
  readonly cache: CacheConfiguration | undefined;
  readonly picker: PickerConfiguration | undefined;
}

/** What filters are built from besides their documents. */
export interface FilterContext {
  readonly modules: WasmModules;
  readonly index: ServiceIndex;
  /** Whether Envoys can ask this server for the loads of endpoints and for stored answers. */
  readonly asksServer: boolean;
  readonly weights: EndpointWeights;
}

/** @throws Error when there is no module for the filter */
export function builtFilter(filter: LlmFilter, context: FilterContext): BuiltFilter {
  const { modules, index, asksServer } = context;
  const code = codeOf(filter);
  const module = modules[code];
  if (module === undefined) throw new Error(`the module of ${code} is missing`);
  const serviceCluster = filter.limit && rateLimitCluster(filter.limit, index);
  const { cache: document } = filter;
  const cache = document && { document, answersCluster: asksServer ? ANSWERS_CLUSTER : undefined };
  return { filter, module, serviceCluster, cache, picker: pickerOf(filter, context) };
}

function pickerOf(
  { picker, router }: LlmFilter,
  { index, asksServer, weights }: FilterContext,
): PickerConfiguration | undefined {
  if (picker === undefined) return undefined;
  const pools = resolvedPools(picker, router, index, weights);
  const asks = asksServer && picker.spec.feed !== undefined && pools.some(({ endpoints }) => endpoints !== undefined);
  return { spec: picker.spec, pools, feedCluster: asks ? LOADS_CLUSTER : undefined };
}

/** The service is one of the configuration's, so its cluster is there already. */
function rateLimitCluster({ metadata, spec }: TokenRateLimit, index: ServiceIndex): string | undefined {
  if (spec.service === undefined) return undefined;
  const destination = { ...splitHostPort(spec.service.cluster), subset: undefined };
  return clusterName(resolveDestination(index, destination, metadata.namespace));
}

/**
 * Whether requests have to be changed after the endpoint is chosen, once per attempt: by the attempt filter, which is the same module in
 * Envoy's upstream filter chain. The router leaves it a plan in the memory of the VM, so both must run in one VM at all times.
 */
export function needsAttemptFilter({ router }: LlmFilter): boolean {
  if (router === undefined) return false;
  const { targets, rules } = router.spec;
  const changed = [...targets.values()].some(({ host, pathPrefix, credential }) => host ?? pathPrefix ?? credential);
  return changed || rules.some(({ fallback }) => fallback !== undefined);
}

/** The VM of a filter. Envoy takes a running one when id, configuration and code are equal. */
interface FilterVm {
  /** What shares Envoy's shared data. */
  readonly id: string;
  readonly configuration: string | undefined;
  /** Differs where the VM does. */
  readonly tag: string;
  /** Variables that it gets from Envoy's environment. Envoy does not tell VMs apart by them, so the rest of this must. */
  readonly variables: readonly string[];
}

/**
 * Budgets lie in shared data, so the id of a VM that keeps some is the name of their document and nothing else: new code goes on with them, a
 * Gateway with a router shares them with one that has none, and rules of two documents never meet in one budget. The code's hash is its configuration instead.
 * Likewise stored answers and the loads of a picker's endpoints; with a limiter they lie beside the budgets, and what two documents store there their scopes tell apart.
 */
function filterVm({ filter: { router, limit, cache, picker }, module: { hash } }: BuiltFilter): FilterVm {
  const variables = router === undefined ? [] : environmentNames(router.spec);
  const keeper = limit ?? cache ?? picker;
  if (keeper === undefined) {
    const tag = variables.length === 0 ? hash : `${hash}-${contentHash(variables.join())}`;
    return { id: `llm-router-${tag}`, configuration: undefined, tag, variables };
  }
  const kind = limit !== undefined ? "token-rate-limit" : cache !== undefined ? "prompt-cache" : "endpoint-picker";
  const id = `${kind}/${fullName(keeper.metadata)}`;
  const configuration = [hash, ...variables].join(" ");
  return { id, configuration, tag: `${hash}-${contentHash([id, ...variables].join())}`, variables };
}

function environmentNames({ targets }: LlmRouterSpec): readonly string[] {
  const names = [...targets.values()].flatMap(({ credential }) => credential?.env ?? []);
  return [...new Set(names)].sort();
}

/**
 * Name of the ECDS resource and of the filter in the listener. With an attempt filter the name says which VM: two ECDS resources do not change
 * at one moment, so another VM comes as another pair of names in a new version of the listener. Connections that are open then keep the old pair and
 * its rules until Envoy has drained them (--drain-time-s, 10 minutes by default), and every request ends with the code it began with.
 * Without it the name stays and new code reaches open connections.
 */
export function filterName(built: BuiltFilter): string {
  const name = pluginName(built.filter);
  return needsAttemptFilter(built.filter) ? `${name}@${filterVm(built).tag}` : name;
}

/** Name of the attempt filter: it has no configuration, so all routers in one VM share it. */
export function attemptFilterName(built: BuiltFilter): string {
  return `tokenmesh.${LLM_ROUTER_ATTEMPT}@${filterVm(built).tag}`;
}

/** In logs and statistics. A router with budgets at one Gateway and without them at another is two filters. */
function pluginName(filter: LlmFilter): string {
  return `tokenmesh.${codeOf(filter)}/${documentNames(filter)}`;
}

/**
 * Of the documents that the filter is made of. One that has not the place of its kind says its kind: documents of two kinds may have one name, and two
 * Gateways different ones of them.
 */
export function documentNames({ router, limit, cache, picker }: LlmFilter): string {
  const kinds = ["router", "limit", "cache", "picker"];
  const names = [router, limit, cache, picker].map((each) => each && fullName(each.metadata));
  const there = kinds.flatMap((kind, index) => (names[index] === undefined ? [] : { kind, name: names[index] }));
  if (there.length === 1) return there.map(({ name }) => name).join();
  return there.map(({ kind, name }, index) => (kinds[index] === kind ? name : `${kind}:${name}`)).join("+");
}

/** What a connection must be able to hold for the filter: a whole body, and a chunk that has just passed the limit. */
export function filterBufferBytes({ router, traffic }: LlmFilter): number {
  // Envoy 1.36 and 1.37 count a held body twice: over half the limit they give up retries.
  const copies = router?.spec.rules.some(({ fallback }) => fallback !== undefined) ? 2 : 1;
  return copies * traffic.maxBodyBytes + DEFAULT_BUFFER_BYTES;
}

/** What {@link filterConfig} depends on; equal values where it is the same. */
export function filterInputs(built: BuiltFilter): readonly unknown[] {
  const { router, limit, cache, picker } = built.filter;
  return [built.module, router, limit, cache, picker, configurationOf(built)];
}

export function filterConfig(built: BuiltFilter): ProtoObject {
  return wasmConfig(filterName(built), {
    name: pluginName(built.filter),
    root_id: codeOf(built.filter),
    vm_config: vmConfig(built),
    configuration: any("google.protobuf.StringValue", { value: configurationOf(built) }),
  });
}

function configurationOf({ filter, serviceCluster, cache, picker }: BuiltFilter): string {
  const { router, limit, traffic } = filter;
  const rateLimit = limit && rateLimits({ spec: limit.spec, serviceCluster });
  const promptCache = cache && cacheJson(cache);
  const endpointPicker = picker && pickerJson(picker);
  if (codeOf(filter) === "llm-gateway")
    return gatewayConfiguration(traffic, { router, promptCache, rateLimit, endpointPicker });
  return router === undefined
    ? stageConfiguration(traffic, { ...promptCache, ...rateLimit, ...endpointPicker })
    : pluginConfiguration(router);
}

/** Every cluster that the filter may name. */
export function filterClusters({
  filter: { router },
  serviceCluster,
  cache,
  picker,
}: BuiltFilter): readonly Reference[] {
  const names = [serviceCluster, cache?.answersCluster, picker?.feedCluster];
  const services = clusterReferences(names.filter((each) => each !== undefined));
  return router === undefined ? services : [...llmClusterReferences(router), ...services];
}

export function attemptFilterConfig(built: BuiltFilter): ProtoObject {
  return wasmConfig(attemptFilterName(built), {
    name: `tokenmesh.${LLM_ROUTER_ATTEMPT}`,
    root_id: LLM_ROUTER_ATTEMPT,
    vm_config: vmConfig(built),
  });
}

/** Secrets that stand in the filter's configuration. */
export function filterSecrets({ router, cache }: LlmFilter): readonly string[] {
  const credentials = [...(router?.spec.targets.values() ?? [])].flatMap(({ credential }) => credential?.value ?? []);
  return [...credentials, ...(cache?.spec.secret === undefined ? [] : [cache.spec.secret])];
}

function wasmConfig(name: string, plugin: ProtoObject): ProtoObject {
  return {
    name,
    typed_config: any("envoy.extensions.filters.http.wasm.v3.Wasm", {
      config: {
        ...plugin,
        failure_policy: "FAIL_RELOAD",
        // Without it a filter that waits for the body hangs the request.
        allow_on_headers_stop_iteration: { value: true },
      },
    }),
  };
}

/** Equal for a filter and those that share its VM; the code goes with each of them, because a VM is found by its code. */
export function vmConfig(built: BuiltFilter): ProtoObject {
  const { id, configuration, variables } = filterVm(built);
  const { code } = built.module;
  return {
    vm_id: id,
    runtime: "envoy.wasm.runtime.v8",
    code: { local: "inline" in code ? { inline_bytes: code.inline } : { filename: code.file } },
    configuration:
      configuration === undefined ? undefined : any("google.protobuf.StringValue", { value: configuration }),
    environment_variables: variables.length === 0 ? undefined : { host_env_keys: variables },
  };
}
