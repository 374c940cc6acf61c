/**
 * The load balancing of clusters whose endpoints are picked by a filter: `envoy/extensions/load_balancing_policies/override_host/v3/override_host.proto`.
 *
 * The filter writes up to three addresses, best first; each attempt of a request takes the next. An address that the cluster does not have is passed over: it was
 * removed in the meantime, or belongs to another subset. When none is left, or the filter wrote none, requests with one prefix stay together by Envoy's own ring.
 * Envoy takes an address whatever its health is, so the filter looks after that.
 */
import type { ProtoObject } from "../../protos/index.ts";
import { any, wrapped } from "./proto-values.ts";

/** Chosen endpoints travel in this header inside Envoy; a client must not be able to choose one. */
export const ENDPOINT_HEADER = "x-gateway-destination-endpoint";
/** A hash of what requests have in common, by which the ring goes. */
export const PREFIX_HEADER = "x-llm-prefix";

/** Percent of the mean of requests that an endpoint of the ring gets at most. */
const HASH_BALANCE_FACTOR = 125;

const OVERRIDE_HOST = "envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost";
const RING_HASH = "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash";

export function overrideHostPolicy(): ProtoObject {
  return policy("envoy.load_balancing_policies.override_host", OVERRIDE_HOST, {
    override_host_sources: [{ header: ENDPOINT_HEADER }],
    fallback_policy: policy("envoy.load_balancing_policies.ring_hash", RING_HASH, {
      consistent_hashing_lb_config: {
        hash_balance_factor: wrapped(HASH_BALANCE_FACTOR),
        hash_policy: [{ header: { header_name: PREFIX_HEADER } }],
      },
    }),
  });
}

function policy(name: string, message: string, fields: ProtoObject): ProtoObject {
  return { policies: [{ typed_extension_config: { name, typed_config: any(message, fields) } }] };
}
