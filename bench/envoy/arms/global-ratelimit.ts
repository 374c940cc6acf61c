/** What Envoy has for budgets of tokens that several Envoys share: its ratelimit filter, metadata filters that read the usage, envoyproxy/ratelimit, Redis. */
import { cluster, type JsonObject } from "../../../envoy/harness/index.ts";
import { rateLimitService, redis } from "../helpers.ts";
import { type Arm, type } from "./arm.ts";
import { chargedInRedis } from "./charges.ts";

const domain = "bench";
const service = "ratelimit";
const rule = {
  selectors: [{ key: "usage" }, { key: "total_tokens" }],
  on_present: { metadata_namespace: "llm", key: "total", type: "NUMBER" },
};
const actions = [
  { request_headers: { header_name: "authorization", descriptor_key: "api_key", skip_if_absent: false } },
];

const filters: readonly JsonObject[] = [
  {
    name: "envoy.filters.http.ratelimit",
    typed_config: {
      "@type": type("extensions.filters.http.ratelimit.v3.RateLimit"),
      domain,
      // A call that fails must end the run.
      failure_mode_deny: true,
      timeout: "5s",
      rate_limit_service: { transport_api_version: "V3", grpc_service: { envoy_grpc: { cluster_name: service } } },
      // Only here, or per route by typed_per_filter_config: a route's own rate_limits would ignore hits_addend.
      rate_limits: [
        { actions, hits_addend: { number: 0 } },
        { actions, apply_on_stream_done: true, hits_addend: { format: "%DYNAMIC_METADATA(llm:total)%" } },
      ],
    },
  },
  {
    name: "envoy.filters.http.json_to_metadata",
    typed_config: {
      "@type": type("extensions.filters.http.json_to_metadata.v3.JsonToMetadata"),
      response_rules: { rules: [rule] },
    },
  },
  {
    name: "envoy.filters.http.sse_to_metadata",
    typed_config: {
      "@type": type("extensions.filters.http.sse_to_metadata.v3.SseToMetadata"),
      response_rules: {
        content_parser: {
          name: "json",
          typed_config: { "@type": type("extensions.content_parsers.json.v3.JsonContentParser"), rules: [{ rule }] },
        },
      },
    },
  },
];

export const globalRatelimit: Arm = {
  name: "global ratelimit",
  family: "limits",
  does: "Envoy's ratelimit filter (C++) with json_to_metadata and sse_to_metadata in front of envoyproxy/ratelimit (Go, statistics off) and Redis: asks before the request, charges the tokens at the end of the stream; one budget per API key; reserves nothing, so parallel requests overrun it",
  routes: false,
  usage: { kind: "none", reason: "charges the total" },
  httpFilters: () => [...filters],
  clusters: ({ addresses }) => [cluster({ name: service, targets: [addresses.ratelimit ?? ""], http2: true })],
  helpers: [
    redis,
    rateLimitService(`
domain: ${domain}
descriptors:
  - key: api_key
    rate_limit: {unit: minute, requests_per_unit: 4000000000}
`),
  ],
  charges: { exact: true, read: ({ addresses }) => chargedInRedis(addresses.redis ?? "", domain) },
};
