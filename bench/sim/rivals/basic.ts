/**
 * Policies without a key: random, round robin, power of two choices, and the shortest queue by the engines' own reports.
 *
 * Source of the first three: Envoy's load balancers (docs/root/intro/arch_overview/upstream/load_balancing/load_balancers.rst).
 * Differences: weights are equal here. Envoy counts in-flight requests over all workers, so P2C reads exact counts.
 */
import type { PolicyFactory } from "../policy.ts";
import { least } from "./choice.ts";

export const randomChoice: PolicyFactory = ({ fleet, random }) => ({
  pick: () => fleet.live[random.below(fleet.live.length)] ?? 0,
});

export const roundRobin: PolicyFactory = ({ fleet }) => {
  let next = 0;
  return { pick: () => fleet.live[next++ % fleet.live.length] ?? 0 };
};

/** Two draws, with repetition as in Envoy; the one with fewer requests in flight, the first of equals. */
export const leastRequest: PolicyFactory = ({ fleet, random }) => ({
  pick: () => {
    const draw = (): number => fleet.live[random.below(fleet.live.length)] ?? 0;
    const [first, second] = [draw(), draw()];
    return (fleet.inflight[second] ?? 0) < (fleet.inflight[first] ?? 0) ? second : first;
  },
});

/** Fewest waiting, then fewest running requests: what a router does that has nothing but scraped queue depths. */
export const queueDepth: PolicyFactory = ({ fleet, random }) => ({
  pick: () =>
    least(
      fleet.live,
      (slot) => {
        const { waiting, running } = fleet.report(slot);
        return waiting * 1_000 + running;
      },
      random,
    ),
});
