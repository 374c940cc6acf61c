/**
 * Envoy's Wasm filter with a module from a local file.
 * https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/wasm/v3/wasm.proto
 */
import { envoyType, type JsonObject } from "./json.ts";

export interface WasmFilterSpec {
  /** Name of the plugin, in logs and statistics. */
  readonly name: string;
  /** Which of the module's plugins runs; default `name`. */
  readonly rootId?: string;
  /** Path of the .wasm file. */
  readonly file: string;
  /** Plugin configuration: an object is sent as JSON text, a string as it is. */
  readonly configuration?: JsonObject | string;
  /**
   * Whether the filter may stop on headers and still get the body; default true. False leaves the field out, as a user who does not know of it does:
   * a filter that stops on headers then never sees the body.
   */
  readonly allowOnHeadersStopIteration?: boolean;
  /** What a trap means: a new VM (default), or every request fails or passes. */
  readonly failurePolicy?: "FAIL_RELOAD" | "FAIL_CLOSED" | "FAIL_OPEN";
  /** Plugins with the same vm_id, module and VM configuration share one VM per worker. */
  readonly vmId?: string;
  /** Configuration of the VM, for proxy_on_vm_start. */
  readonly vmConfiguration?: string;
  /** Names of environment variables of Envoy that the VM may read. */
  readonly environment?: readonly string[];
  /** Further fields of PluginConfig, such as capability_restriction_config or reload_config. */
  readonly plugin?: JsonObject;
}

const stringValue = (value: string): JsonObject => ({
  "@type": "type.googleapis.com/google.protobuf.StringValue",
  value,
});

/** An entry for `http_filters`. */
export function wasmFilter(spec: WasmFilterSpec): JsonObject {
  const {
    name,
    rootId = name,
    file,
    configuration,
    failurePolicy = "FAIL_RELOAD",
    vmId,
    vmConfiguration,
    environment,
  } = spec;
  const text = typeof configuration === "object" ? JSON.stringify(configuration) : configuration;
  return {
    name,
    typed_config: {
      "@type": envoyType("extensions.filters.http.wasm.v3.Wasm"),
      config: {
        name,
        root_id: rootId,
        vm_config: {
          runtime: "envoy.wasm.runtime.v8",
          code: { local: { filename: file } },
          ...(vmId === undefined ? {} : { vm_id: vmId }),
          ...(environment === undefined ? {} : { environment_variables: { host_env_keys: [...environment] } }),
          ...(vmConfiguration === undefined ? {} : { configuration: stringValue(vmConfiguration) }),
        },
        ...(text === undefined ? {} : { configuration: stringValue(text) }),
        failure_policy: failurePolicy,
        ...((spec.allowOnHeadersStopIteration ?? true) ? { allow_on_headers_stop_iteration: true } : {}),
        ...spec.plugin,
      },
    },
  };
}
