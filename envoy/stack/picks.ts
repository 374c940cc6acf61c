/** What the endpoint picker has done, from Envoy's counters (filters/hash-ring/picker-metrics.ts). Pure. */

export interface PickSample {
  readonly pool: string;
  /** Requests since the start that an endpoint was picked for, and those of them that went where their prompt's beginning was cached. */
  readonly picked: number;
  readonly affine: number;
  /** Prompt tokens of the answers, and those of them that the replicas had in their caches. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
}

/** What to ask Envoy's admin interface for. */
export const PICK_COUNTERS = "tokenmesh_endpoint_(picks|prompt_tokens)";

type Counted = Omit<PickSample, "pool">;

/** By the last label of a counter, what it counts. */
const COUNTERS: Readonly<Record<string, readonly (keyof Counted)[]>> = {
  "picks;outcome=affinity": ["picked", "affine"],
  "picks;outcome=key": ["picked"],
  "picks;outcome=load": ["picked"],
  "prompt_tokens;kind=all": ["promptTokens"],
  "prompt_tokens;kind=cached": ["cachedTokens"],
};
const COUNTER = /^wasmcustom\.tokenmesh_endpoint_(\w+);pool=([^;]+);(.+)$/;

/** Every pool that has counters, by name. A pool that was removed keeps them until Envoy ends. */
export function pickSamples(stats: ReadonlyMap<string, number>): readonly PickSample[] {
  const pools = new Map<string, PickSample>();
  for (const [name, value] of stats) {
    const [, counter, pool = "", label] = COUNTER.exec(name) ?? [];
    const fields = COUNTERS[`${counter};${label}`] ?? [];
    const sample = pools.get(pool) ?? { pool, picked: 0, affine: 0, promptTokens: 0, cachedTokens: 0 };
    const counted = Object.fromEntries(fields.map((field) => [field, sample[field] + value]));
    if (fields.length > 0) pools.set(pool, { ...sample, ...counted });
  }
  return [...pools.values()].sort((a, b) => (a.pool < b.pool ? -1 : 1));
}
