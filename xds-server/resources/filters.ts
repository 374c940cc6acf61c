/** Filter configurations that go by ECDS: `envoy/extensions/filters/http/wasm/v3/wasm.proto` inside a TypedExtensionConfig. */
import type { ProtoObject } from "../../protos/index.ts";
import { contentHash } from "../cache/index.ts";
import type { LlmRouterSpec } from "../config/llm-model.ts";
import type { LlmRouter } from "../config/model.ts";
import { DEFAULT_BUFFER_BYTES } from "./listeners.ts";
import { pluginConfiguration } from "./plugin-configuration.ts";
import { any } from "./proto-values.ts";

/** A compiled filter and how Envoy gets it. Never as remote code: Envoy 1.40 drops a filter whose ECDS update has to be fetched. */
export interface WasmModule {
  /** Content hash; part of the VM's id, so that new code at an old path is a new VM. */
  readonly hash: string;
  readonly code: { readonly inline: Uint8Array } | { readonly file: string };
}

export const LLM_ROUTER = "llm-router";
const LLM_ROUTER_ATTEMPT = "llm-router-attempt";

/**
 * Whether requests have to be changed after the endpoint is chosen, once per attempt: by the attempt filter, which is the same module in
 * Envoy's upstream filter chain. The router leaves it a plan in the memory of the VM, so both must run in one VM at all times.
 */
export function needsAttemptFilter({ targets, rules }: LlmRouterSpec): boolean {
  const changed = [...targets.values()].some(({ host, pathPrefix, credential }) => host ?? pathPrefix ?? credential);
  return changed || rules.some(({ fallback }) => fallback !== undefined);
}

/**
 * What a VM is told apart by. Envoy takes a running VM for a new one when id, configuration and code are equal, whatever environment
 * variables the new one would have, so their names are part of the id.
 */
function vmId({ spec }: LlmRouter, { hash }: WasmModule): string {
  const variables = environmentNames(spec);
  return variables.length === 0 ? hash : `${hash}-${contentHash(variables.join())}`;
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
export function llmRouterName(router: LlmRouter, module: WasmModule): string {
  const name = pluginName(router);
  return needsAttemptFilter(router.spec) ? `${name}@${vmId(router, module)}` : name;
}

/** Name of the attempt filter: it has no configuration, so all routers in one VM share it. */
export function attemptFilterName(router: LlmRouter, module: WasmModule): string {
  return `tokenmesh.${LLM_ROUTER_ATTEMPT}@${vmId(router, module)}`;
}

/** In logs and statistics. */
function pluginName({ metadata }: LlmRouter): string {
  return `tokenmesh.${LLM_ROUTER}/${metadata.namespace}/${metadata.name}`;
}

/** What a connection must be able to hold for the filter: a whole body, and a chunk that has just passed the limit. */
export function llmRouterBufferBytes({ spec }: LlmRouter): number {
  // Envoy 1.36 and 1.37 count a held body twice: over half the limit they give up retries.
  const copies = spec.rules.some(({ fallback }) => fallback !== undefined) ? 2 : 1;
  return copies * spec.maxBodyBytes + DEFAULT_BUFFER_BYTES;
}

export function llmRouterConfig(router: LlmRouter, module: WasmModule): ProtoObject {
  return wasmConfig(llmRouterName(router, module), {
    name: pluginName(router),
    root_id: LLM_ROUTER,
    vm_config: vmConfig(router, module),
    configuration: any("google.protobuf.StringValue", { value: pluginConfiguration(router) }),
  });
}

export function attemptFilterConfig(router: LlmRouter, module: WasmModule): ProtoObject {
  return wasmConfig(attemptFilterName(router, module), {
    name: `tokenmesh.${LLM_ROUTER_ATTEMPT}`,
    root_id: LLM_ROUTER_ATTEMPT,
    vm_config: vmConfig(router, module),
  });
}

/** Secrets that stand in the router's configuration. */
export function llmRouterSecrets({ spec }: LlmRouter): readonly string[] {
  return [...spec.targets.values()].flatMap(({ credential }) => credential?.value ?? []);
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

/** Equal for the router and its attempt filter; the code goes twice, because a VM is found by its code. */
function vmConfig(router: LlmRouter, module: WasmModule): ProtoObject {
  const variables = environmentNames(router.spec);
  return {
    vm_id: `${LLM_ROUTER}-${vmId(router, module)}`,
    runtime: "envoy.wasm.runtime.v8",
    code: { local: "inline" in module.code ? { inline_bytes: module.code.inline } : { filename: module.code.file } },
    environment_variables: variables.length === 0 ? undefined : { host_env_keys: variables },
  };
}
