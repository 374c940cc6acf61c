/** What the rate limiter has done, from Envoy's counters (filters/token-rate-limit/limit-metrics.ts). Pure. */

export interface LimitSample {
  readonly rule: string;
  /** Requests since the start. */
  readonly admitted: number;
  readonly refused: number;
  /** Tokens that the admitted ones used; of a request that still runs nothing. */
  readonly tokens: number;
}

/** What to ask Envoy's admin interface for. */
export const LIMIT_COUNTERS = "tokenmesh_rate_limit_(requests|tokens)";

const COUNTER =
  /^wasmcustom\.tokenmesh_rate_limit_(?:requests|tokens);rule=([^;]+);(?:outcome|kind)=(admitted|refused|used)$/;

/** Every rule that has counters, by name. A rule that was removed keeps them until Envoy ends. */
export function limitSamples(stats: ReadonlyMap<string, number>): readonly LimitSample[] {
  const rules = new Map<string, LimitSample>();
  for (const [name, value] of stats) {
    const [, rule, what] = COUNTER.exec(name) ?? [];
    if (rule === undefined || what === undefined) continue;
    const sample = rules.get(rule) ?? { rule, admitted: 0, refused: 0, tokens: 0 };
    rules.set(rule, { ...sample, [what === "used" ? "tokens" : what]: value });
  }
  return [...rules.values()].sort((a, b) => (a.rule < b.rule ? -1 : 1));
}
