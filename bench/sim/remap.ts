/** How many keys go to another endpoint when one leaves or joins, with nothing in flight and nothing cached: what the hashing alone does. */
import { TIMING_PROFILES } from "../../envoy/replica/timing.ts";
import { EventQueue } from "./event-queue.ts";
import { Fleet } from "./fleet.ts";
import type { PolicyFactory } from "./policy.ts";
import { hash53, Random } from "./random.ts";
import type { Request } from "./request.ts";

export interface Remap {
  readonly replicas: number;
  /** Percent of all keys: what must move, and what did when one left, and when it came back. */
  readonly ideal: number;
  readonly leave: number;
  readonly join: number;
  /** Most keys of one endpoint over the mean, with all endpoints. */
  readonly balance: number;
}

export function remap(create: PolicyFactory, replicas: number, keys = 50_000): Remap {
  const fleet = new Fleet(replicas, TIMING_PROFILES.h100);
  const policy = create({ fleet, queue: new EventQueue(), random: new Random(1), workers: 1, gossipMs: undefined });
  const requests = Array.from({ length: keys }, (_, key) => promptOf(key));
  const picks = (): number[] => requests.map((request) => policy.pick(request));
  const before = picks();
  const gone = replicas >> 1;
  fleet.leave(gone);
  policy.left?.(gone);
  const without = picks();
  fleet.join(gone);
  policy.joined?.(gone);
  const after = picks();
  const moved = (from: readonly number[], to: readonly number[]): number =>
    (100 * to.filter((slot, index) => slot !== from[index]).length) / keys;
  const counts = new Array<number>(replicas).fill(0);
  for (const slot of before) counts[slot] = (counts[slot] ?? 0) + 1;
  return {
    replicas,
    ideal: (100 * (counts[gone] ?? 0)) / keys,
    leave: moved(before, without),
    join: moved(without, after),
    balance: (Math.max(...counts) * replicas) / keys,
  };
}

/** Four blocks, which are the whole key of every policy that has one. */
const promptOf = (key: number): Request => ({
  id: key,
  arrivedAt: 0,
  promptTokens: 256,
  outputTokens: 1,
  blocks: [0, 1, 2, 3].map((block) => hash53(key, block)),
  promptBlocks: 4,
  session: hash53(key, 4),
  firstMessage: hash53(key, 5),
  worker: 0,
});
