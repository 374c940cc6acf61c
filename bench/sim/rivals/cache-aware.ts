/**
 * SGLang's `cache_aware`, with what its gateway ships: threshold 0.3, imbalance 64 requests and 1.5 times.
 *
 * Source: sgl-project/sglang, sgl-model-gateway/src/policies/cache_aware.rs and tree.rs; defaults from docs.gpustack.ai.
 * Differences: blocks of 64 tokens in place of a radix tree of characters; the endpoint of the deepest node is the one that was sent it last; a tree of 65,536 blocks
 * per endpoint (the gateway evicts by characters, in the background).
 */
import type { PolicyFactory } from "../policy.ts";
import { least } from "./choice.ts";
import { PrefixIndex } from "./prefix-index.ts";

const THRESHOLD = 0.3;
const ABSOLUTE = 64;
const RELATIVE = 1.5;

export const cacheAware: PolicyFactory = ({ fleet, random }) => {
  const index = new PrefixIndex(fleet.size, { capacity: 65_536, touch: "tail", contiguous: false });
  const latest = new Map<number, number>();
  const load = (slot: number): number => fleet.inflight[slot] ?? 0;
  return {
    pick: ({ blocks, promptBlocks }) => {
      const loads = fleet.live.map(load);
      const [most, fewest] = [Math.max(...loads), Math.min(...loads)];
      const idlest = (): number => least(fleet.live, load, random);
      if (most - fewest > ABSOLUTE && most > RELATIVE * fewest) return idlest();
      let [matched, owner] = [0, -1];
      for (; matched < promptBlocks; matched++) {
        const slot = latest.get(blocks[matched] as number);
        if (slot === undefined || !index.has(slot, blocks[matched] as number)) break;
        owner = slot;
      }
      return matched > THRESHOLD * promptBlocks && fleet.live.includes(owner) ? owner : idlest();
    },
    sent: ({ blocks, promptBlocks }, slot) => {
      index.add(blocks, promptBlocks, slot);
      for (let i = 0; i < promptBlocks; i++) latest.set(blocks[i] as number, slot);
    },
    left: (slot) => index.forget(slot),
  };
};
