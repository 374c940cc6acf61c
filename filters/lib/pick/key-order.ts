/**
 * The order in which a key prefers endpoints (rendezvous, highest score first), the same in every worker and every Envoy, whatever the slots are. Weighted: an
 * endpoint comes first for its share of the keys.
 *
 * Source: Schindelhauer, Schomaker, Weighted Distributed Hash Tables (2005): score = weight / -ln(u).
 */
import { Endpoints } from "./endpoints";
import { fraction, mixed } from "./random-bits";

/** Score of the endpoint for the key; only comparisons with scores of the same key mean something. */
@inline
export function keyScore(key: u64, endpoints: Endpoints, slot: i32): f64 {
  const bits = mixed(key) ^ endpoints.addressHash(slot);
  return <f64>endpoints.weight(slot) / -Math.log(fraction(bits));
}
