/** What the prompt cache has done, from Envoy's counters (filters/prompt-cache/cache-metrics.ts). Pure. */

export interface CacheSample {
  readonly rule: string;
  /** Requests since the start that could be answered from the cache, and those of them that were, from a stored answer or from the call of another request. */
  readonly asked: number;
  readonly served: number;
  /** Tokens of the answers that were given again, read and generated. */
  readonly savedTokens: number;
}

/** What to ask Envoy's admin interface for. */
export const CACHE_COUNTERS = "tokenmesh_cache_(requests|saved_tokens)";

type Counted = Omit<CacheSample, "rule">;

const SERVED: readonly (keyof Counted)[] = ["asked", "served"];
/** By the last label of a counter, what it counts. */
const COUNTERS: Readonly<Record<string, readonly (keyof Counted)[]>> = {
  "requests;outcome=hit": SERVED,
  "requests;outcome=shared": SERVED,
  "requests;outcome=coalesced": SERVED,
  "requests;outcome=stale": SERVED,
  "requests;outcome=transcoded": SERVED,
  "requests;outcome=miss": ["asked"],
  "requests;outcome=refused": ["asked"],
  "saved_tokens;kind=input": ["savedTokens"],
  "saved_tokens;kind=output": ["savedTokens"],
};
const COUNTER = /^wasmcustom\.tokenmesh_cache_(\w+);rule=([^;]+);(.+)$/;

/** Every rule that has counters, by name. A rule that was removed keeps them until Envoy ends. */
export function cacheSamples(stats: ReadonlyMap<string, number>): readonly CacheSample[] {
  const rules = new Map<string, CacheSample>();
  for (const [name, value] of stats) {
    const [, counter, rule = "", label] = COUNTER.exec(name) ?? [];
    const fields = COUNTERS[`${counter};${label}`] ?? [];
    const sample = rules.get(rule) ?? { rule, asked: 0, served: 0, savedTokens: 0 };
    const counted = Object.fromEntries(fields.map((field) => [field, sample[field] + value]));
    if (fields.length > 0) rules.set(rule, { ...sample, ...counted });
  }
  return [...rules.values()].sort((a, b) => (a.rule < b.rule ? -1 : 1));
}
