/** Filter configurations that go by ECDS: `envoy/extensions/filters/http/wasm/v3/wasm.proto` inside a TypedExtensionConfig. */
import type { ProtoObject } from "../../protos/index.ts";
import type { LlmRouter, LlmRouterSpec } from "../config/model.ts";
import { DEFAULT_BUFFER_BYTES } from "./listeners.ts";
import { any } from "./proto-values.ts";

/** A compiled filter and how Envoy gets it. Never as remote code: Envoy 1.40 drops a filter whose ECDS update has to be fetched. */
export interface WasmModule {
  /** Content hash; part of the VM's id, so that new code at an old path is a new VM. */
  readonly hash: string;
  readonly code: { readonly inline: Uint8Array } | { readonly file: string };
}

export const LLM_ROUTER = "llm-router";

/** Name of the ECDS resource and of the filter in the listener. */
export function llmRouterName({ metadata }: LlmRouter): string {
  return `tokenmesh.${LLM_ROUTER}/${metadata.namespace}/${metadata.name}`;
}

/** What a connection must be able to hold for the filter: a whole body, and a chunk that has just passed the limit. */
export function llmRouterBufferBytes({ spec }: LlmRouter): number {
  return spec.maxBodyBytes + DEFAULT_BUFFER_BYTES;
}

export function llmRouterConfig(router: LlmRouter, module: WasmModule): ProtoObject {
  const name = llmRouterName(router);
  return {
    name,
    typed_config: any("envoy.extensions.filters.http.wasm.v3.Wasm", {
      config: {
        name,
        root_id: LLM_ROUTER,
        vm_config: {
          vm_id: `${LLM_ROUTER}-${module.hash}`,
          runtime: "envoy.wasm.runtime.v8",
          code: {
            local: "inline" in module.code ? { inline_bytes: module.code.inline } : { filename: module.code.file },
          },
        },
        configuration: any("google.protobuf.StringValue", { value: JSON.stringify(pluginConfiguration(router.spec)) }),
        failure_policy: "FAIL_RELOAD",
        // Without it a filter that waits for the body hangs the request.
        allow_on_headers_stop_iteration: { value: true },
      },
    }),
  };
}

/** The filter's JSON: the spec with its defaults written out, so that the filter and this server cannot disagree about them. */
function pluginConfiguration(spec: LlmRouterSpec): LlmRouterSpec {
  const {
    paths,
    maxBodyBytes,
    routeHeader,
    duplicateModel,
    models,
    onMissingModel,
    onUnknownModel,
    onMalformedBody,
    onBodyTooLarge,
    onBodyUnreadable,
  } = spec;
  return {
    paths,
    maxBodyBytes,
    routeHeader,
    duplicateModel,
    models: models.map(({ model, route, upstreamModel }) => ({ model, route, upstreamModel })),
    onMissingModel,
    onUnknownModel,
    onMalformedBody,
    onBodyTooLarge,
    onBodyUnreadable,
  };
}
