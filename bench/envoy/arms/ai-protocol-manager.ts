/**
 * Envoy's own filter for LLM traffic, alpha in 1.40. It publishes the model as filter state; set_filter_state behind it only drops the cached route, so
 * that routes which match on that state are looked at again. It writes no header: the route table does the mapping.
 */
import type { JsonObject } from "../../../envoy/harness/index.ts";
import { defaultRoute, models } from "../loads.ts";
import { type Arm, type } from "./arm.ts";

const manager = "envoy.filters.http.ai_protocol_manager";
const message = (name: string): string => type(`extensions.filters.http.ai_protocol_manager.v3.${name}`);

const declared: JsonObject = {
  [manager]: { "@type": message("AiProtocolManagerPerRoute"), request: { llm_protocol: "OPENAI_CHAT_COMPLETIONS" } },
};

export const aiProtocolManager: Arm = {
  name: "ai_protocol_manager",
  does: "Envoy's own ai_protocol_manager with request_info: parses and replays the request, publishes `model` as filter state on which routes match; usage into typed metadata",
  routes: true,
  usage: { kind: "metadata" },
  httpFilters: () => [
    {
      name: manager,
      typed_config: {
        "@type": message("AiProtocolManager"),
        // Bytes must go out as they came; the default writes the body anew with its keys sorted.
        request_handling: { reserialize_body: "DISABLE" },
        response_handling: { token_usage: {} },
        filters: [
          {
            name: "request_info",
            typed_config: { "@type": type("extensions.http.ai_filters.request_info.v3.RequestInfo") },
          },
        ],
      },
    },
    {
      name: "set_filter_state",
      typed_config: {
        "@type": type("extensions.filters.http.set_filter_state.v3.Config"),
        clear_route_cache: true,
        on_request_headers: [
          {
            object_key: "tokenmesh.bench.routed",
            factory_key: "envoy.string",
            format_string: { text_format_source: { inline_string: "1" } },
          },
        ],
      },
    },
  ],
  routeList: () => [
    ...models.map(({ model, route }) => ({
      match: { prefix: "/", filter_state: [{ key: "envoy.ai.model.request", string_match: { exact: model } }] },
      route: { cluster: route, timeout: "0s" },
      typed_per_filter_config: declared,
    })),
    { match: { prefix: "/" }, route: { cluster: defaultRoute, timeout: "0s" }, typed_per_filter_config: declared },
  ],
};
