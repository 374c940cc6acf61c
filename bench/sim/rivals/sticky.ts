/**
 * llm-d's default since mid-2026, "sticky until saturated": endpoints with at least 80 % of the prompt are the candidates, unless the least loaded of them has more than
 * tau uncached tokens more in flight than the least loaded of the others; of the candidates the one with the least uncached tokens, this prompt's included.
 *
 * Source: llm-d.github.io, blog of 2026-08-04 on bottleneck-aware scheduling; llm-d/llm-d#1651.
 * tau is calibrated as its text says: peak prefill rate x 18 s, the rate from one prompt of 8,192 tokens on this model.
 * Differences: blocks of 64 tokens; index as of prompts sent, capacity from the engine, contiguous matches.
 */
import type { PolicyFactory } from "../policy.ts";
import { BLOCK_TOKENS } from "../request.ts";
import { least } from "./choice.ts";
import { PrefixIndex } from "./prefix-index.ts";
import { UncachedLoad } from "./uncached-load.ts";

const THRESHOLD = 0.8;
const PENALTY_MS = 18_000;
const PROBE_TOKENS = 8_192;

export const stickyUntilSaturated: PolicyFactory = ({ fleet, random }) => {
  const index = new PrefixIndex(fleet.size, { capacity: fleet.timing.kvBlocks, touch: "tail", contiguous: true });
  const load = new UncachedLoad(fleet.size);
  const { iterationMs, prefillMsPerToken } = fleet.timing;
  const tau = (PROBE_TOKENS / (iterationMs + prefillMsPerToken * PROBE_TOKENS)) * PENALTY_MS;
  let uncached = 0;
  return {
    pick: ({ blocks, promptBlocks, promptTokens }) => {
      const matched = index.match(blocks, promptBlocks);
      const rest = (slot: number): number => promptTokens - (matched[slot] ?? 0) * BLOCK_TOKENS;
      const lowest = (slots: readonly number[]): number => Math.min(...slots.map((slot) => load.of(slot)));
      const isWarm = (slot: number): boolean => promptTokens - rest(slot) >= THRESHOLD * promptTokens;
      const warm = fleet.live.filter(isWarm);
      const cold = fleet.live.filter((slot) => !isWarm(slot));
      const sticks = warm.length > 0 && (cold.length === 0 || lowest(warm) - lowest(cold) <= tau);
      const slot = least(sticks ? warm : fleet.live, (one) => load.of(one) + rest(one), random);
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
