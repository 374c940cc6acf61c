/**
 * The network filter that ends streams which a limiter stops, in front of the HTTP connection manager: `envoy/extensions/filters/network/wasm/v3/wasm.proto` inside a
 * TypedExtensionConfig. It is the same module in the same VM as the HTTP filter, without a configuration of its own.
 */
import { type ProtoObject, typeUrlOf } from "../../protos/index.ts";
import { type BuiltFilter, documentNames, vmConfig } from "./filters.ts";
import type { LlmFilter } from "./llm-filters.ts";
import { ADS, any } from "./proto-values.ts";

const LLM_STREAM_END = "llm-stream-end";
const NETWORK_WASM = "envoy.extensions.filters.network.wasm.v3.Wasm";

/** Whether some stream may be stopped: connections that carry none need not be looked at. */
export function needsStreamEnd({ limit }: LlmFilter): boolean {
  return limit?.spec.rules.some(({ overrun }) => overrun === "stop") ?? false;
}

/**
 * Name of the ECDS resource and of the filter in the listener. It does not say which VM: a connection keeps the filter that it began with, and where the HTTP filter has
 * come into another VM, streams that are stopped on it are dropped as they are without this filter.
 */
export function streamEndName({ filter }: BuiltFilter): string {
  return `tokenmesh.${LLM_STREAM_END}/${documentNames(filter)}`;
}

export function streamEndConfig(built: BuiltFilter): ProtoObject {
  const name = streamEndName(built);
  const config = { name, root_id: LLM_STREAM_END, vm_config: vmConfig(built), failure_policy: "FAIL_RELOAD" };
  return { name, typed_config: any(NETWORK_WASM, { config }) };
}

/** Its entry in a listener. */
export function streamEndFilter(name: string): ProtoObject {
  return { name, config_discovery: { config_source: ADS, type_urls: [typeUrlOf(NETWORK_WASM)] } };
}
