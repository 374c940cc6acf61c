/**
 * LMetric: (uncached tokens in flight + those of this prompt) x (requests in flight + 1), the least product wins. No constants.
 *
 * Source: Zhang et al., arXiv 2603.15202 (abstract), and its port in sgl-project/sglang, sgl-model-gateway/src/policies/lmetric.rs.
 * Differences: the prefix match comes from the router's own index, as in that port; both counts are the router's and exact.
 */
import type { PolicyFactory } from "../policy.ts";
import { BLOCK_TOKENS } from "../request.ts";
import { least } from "./choice.ts";
import { PrefixIndex } from "./prefix-index.ts";
import { UncachedLoad } from "./uncached-load.ts";

export const lmetric: PolicyFactory = ({ fleet, random }) => {
  const index = new PrefixIndex(fleet.size, { capacity: fleet.timing.kvBlocks, touch: "tail", contiguous: true });
  const load = new UncachedLoad(fleet.size);
  let uncached = 0;
  return {
    pick: ({ blocks, promptBlocks, promptTokens }) => {
      const matched = index.match(blocks, promptBlocks);
      const rest = (slot: number): number => promptTokens - (matched[slot] ?? 0) * BLOCK_TOKENS;
      const slot = least(fleet.live, (one) => (load.of(one) + rest(one)) * ((fleet.inflight[one] ?? 0) + 1), random);
      uncached = rest(slot);
      return slot;
    },
    sent: (request, slot) => {
      load.add(request, slot, uncached);
      index.add(request.blocks, request.promptBlocks, slot);
    },
    firstToken: (request, slot) => load.remove(request, slot),
    left: (slot) => index.forget(slot),
    joined: (slot) => load.clear(slot),
  };
};
