/**
 * NVIDIA Dynamo's KV router at temperature 0: prefill blocks still to compute, this prompt's uncached ones included, plus blocks that decoding holds; the least sum wins.
 *
 * Source: ai-dynamo/dynamo, docs/components/router/router-concepts.md and lib/kv-router/…/selector/default.rs.
 * Best case: the index is the engine's own cache at this instant, as if its events took no time, and decode blocks are those that the engine holds, shared ones once.
 * Differences: no host or disk tiers, no queue in the router (off by default).
 */
import type { PolicyFactory } from "../policy.ts";
import { BLOCK_TOKENS } from "../request.ts";
import { least } from "./choice.ts";
import { UncachedLoad } from "./uncached-load.ts";

export const kvRouter: PolicyFactory = ({ fleet, random }) => {
  const load = new UncachedLoad(fleet.size);
  let uncached = 0;
  return {
    pick: (request) => {
      const rest = (slot: number): number => request.promptTokens - fleet.cachedBlocks(slot, request) * BLOCK_TOKENS;
      const slot = least(
        fleet.live,
        (one) => (load.of(one) + rest(one)) / BLOCK_TOKENS + fleet.report(one).kvUsage * fleet.timing.kvBlocks,
        random,
      );
      uncached = rest(slot);
      return slot;
    },
    sent: (request, slot) => load.add(request, slot, uncached),
    firstToken: (request, slot) => load.remove(request, slot),
    joined: (slot) => load.clear(slot),
  };
};
