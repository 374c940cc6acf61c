import { type Arm, type as envoyType } from "./arm.ts";

const always = (key: string) => ({
  runtime_key: key,
  default_value: { numerator: 100, denominator: "HUNDRED" },
});

/** What Envoy's own limiter costs that counts requests, not tokens, and looks at no body: the floor for any budget. */
export const localRatelimit: Arm = {
  name: "local_ratelimit",
  does: "Envoy's local_ratelimit (C++): one token bucket of requests for all clients; reads no body, routes nothing, counts no tokens",
  family: "both",
  routes: false,
  usage: { kind: "none", reason: "counts requests" },
  httpFilters: () => [
    {
      name: "envoy.filters.http.local_ratelimit",
      typed_config: {
        "@type": envoyType("extensions.filters.http.local_ratelimit.v3.LocalRateLimit"),
        stat_prefix: "bench",
        token_bucket: { max_tokens: 1_000_000_000, tokens_per_fill: 1_000_000_000, fill_interval: "60s" },
        filter_enabled: always("bench.enabled"),
        filter_enforced: always("bench.enforced"),
      },
    },
  ],
};
