/** Smallest and largest, ties broken at random: a router that always takes the first of equals would be judged for that and not for its rule. */
import type { Random } from "../random.ts";

/** The slot with the least cost. One pass; equals have equal chances. */
export function least(slots: readonly number[], cost: (slot: number) => number, random: Random): number {
  let [best, bestCost, equals] = [slots[0] ?? 0, Number.POSITIVE_INFINITY, 0];
  for (const slot of slots) {
    const own = cost(slot);
    if (own > bestCost) continue;
    equals = own === bestCost ? equals + 1 : 1;
    if (own < bestCost || random.below(equals) === 0) [best, bestCost] = [slot, own];
  }
  return best;
}
