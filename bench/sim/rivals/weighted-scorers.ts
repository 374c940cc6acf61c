/**
 * The endpoint picker of the Gateway API inference extension with its first default profile: prefix 3, queue 2, KV cache 2, highest sum wins.
 *
 * Source: llm-d/llm-d-inference-scheduler@520af47 (the scorers moved there from kubernetes-sigs/gateway-api-inference-extension).
 * What is kept: match counts that need not be contiguous per endpoint, blocks touched from the head on, at most 256 blocks, capacity from the engine, answers never indexed.
 * Differences: blocks of 64 tokens (the picker takes the engine's size; with 16 it would see 4,096 tokens only); no partial last block; reports are exact unless the
 * scenario scrapes.
 */
import type { PolicyFactory } from "../policy.ts";
import { least } from "./choice.ts";
import { PrefixIndex } from "./prefix-index.ts";

const WEIGHTS = { prefix: 3, queue: 2, cache: 2 };
const MAX_BLOCKS = 256;

export const weightedScorers: PolicyFactory = ({ fleet, random }) => {
  const index = new PrefixIndex(fleet.size, { capacity: fleet.timing.kvBlocks, touch: "head", contiguous: false });
  return {
    pick: ({ blocks, promptBlocks }) => {
      const length = Math.min(promptBlocks, MAX_BLOCKS);
      const matched = index.match(blocks, length);
      const queues = fleet.live.map((slot) => fleet.report(slot).waiting);
      const [most, fewest] = [Math.max(...queues), Math.min(...queues)];
      const score = (slot: number): number => {
        const { waiting, kvUsage } = fleet.report(slot);
        const queue = most === fewest ? 1 : (most - waiting) / (most - fewest);
        const prefix = length === 0 ? 0 : (matched[slot] ?? 0) / length;
        return WEIGHTS.prefix * prefix + WEIGHTS.queue * queue + WEIGHTS.cache * (1 - kvUsage);
      };
      return least(fleet.live, (slot) => -score(slot), random);
    },
    sent: ({ blocks, promptBlocks }, slot) => index.add(blocks, Math.min(promptBlocks, MAX_BLOCKS), slot),
    left: (slot) => index.forget(slot),
  };
};
