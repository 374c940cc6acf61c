/** Envoy's generic metadata filters: json_to_metadata for the request and JSON answers, sse_to_metadata for event streams. */
import type { JsonObject } from "../../../envoy/harness/index.ts";
import { defaultRoute, models } from "../loads.ts";
import { type Arm, type } from "./arm.ts";

const namespace = "llm";

const rule = (...keys: string[]): JsonObject => ({
  selectors: keys.map((key) => ({ key })),
  on_present: { metadata_namespace: namespace, key: keys.at(-1) ?? "" },
});

const usageRules = [rule("usage", "prompt_tokens"), rule("usage", "completion_tokens")];

export const jsonToMetadata: Arm = {
  name: "json_to_metadata",
  does: "Envoy's json_to_metadata and sse_to_metadata: parse the buffered request, `model` into dynamic metadata on which routes match; usage into dynamic metadata",
  routes: true,
  usage: { kind: "metadata" },
  httpFilters: () => [
    {
      name: "envoy.filters.http.json_to_metadata",
      typed_config: {
        "@type": type("extensions.filters.http.json_to_metadata.v3.JsonToMetadata"),
        request_rules: { rules: [rule("model")] },
        response_rules: { rules: usageRules },
      },
    },
    {
      name: "envoy.filters.http.sse_to_metadata",
      typed_config: {
        "@type": type("extensions.filters.http.sse_to_metadata.v3.SseToMetadata"),
        response_rules: {
          content_parser: {
            name: "json",
            typed_config: {
              "@type": type("extensions.content_parsers.json.v3.JsonContentParser"),
              rules: usageRules.map((usage) => ({ rule: usage })),
            },
          },
        },
      },
    },
  ],
  routeList: () => [
    ...models.map(({ model, route }) => ({
      match: {
        prefix: "/",
        dynamic_metadata: [{ filter: namespace, path: [{ key: "model" }], value: { string_match: { exact: model } } }],
      },
      route: { cluster: route, timeout: "0s" },
    })),
    { match: { prefix: "/" }, route: { cluster: defaultRoute, timeout: "0s" } },
  ],
};
