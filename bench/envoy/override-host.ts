/** The load balancing policy that obeys a filter's choice of an endpoint. */
import type { JsonObject } from "../../envoy/harness/index.ts";
import { type } from "./arms/arm.ts";

const policy = (name: string, message: string, fields: JsonObject): JsonObject => ({
  typed_extension_config: {
    name: `envoy.load_balancing_policies.${name}`,
    typed_config: { "@type": type(`extensions.load_balancing_policies.${name}.v3.${message}`), ...fields },
  },
});

/** Fields of a cluster. Without the header its endpoints get requests in turn, so that an arm that does not pick cannot pass for one that does. */
export const overrideHost: JsonObject = {
  load_balancing_policy: {
    policies: [
      policy("override_host", "OverrideHost", {
        override_host_sources: [{ header: "x-gateway-destination-endpoint" }],
        fallback_policy: { policies: [policy("round_robin", "RoundRobin", {})] },
      }),
    ],
  },
};
