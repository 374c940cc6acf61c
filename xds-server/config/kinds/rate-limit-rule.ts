/** `rules` of a TokenRateLimit: which requests have which budgets. */
import { fail } from "../cursor.ts";
import type { LimitUnit, MissingKey, RateLimitRule } from "../rate-limit-model.ts";
import { distinct, list, object, optional, positionOf, type Reader, required, withDefault } from "../reader.ts";
import { boolean, oneOf, text } from "../scalars.ts";
import { match } from "./llm-match.ts";
import { type Declared, IDENTIFIER, IDENTIFIER_RULE } from "./llm-names.ts";
import { key } from "./rate-limit-key.ts";
import { limits } from "./rate-limit-limit.ts";
import { prices, weights } from "./rate-limit-rates.ts";

const MISSING = ["shared", "skip", "reject"] as const satisfies readonly MissingKey[];

function rule(declared: Declared): Reader<RateLimitRule> {
  const fields = object<RateLimitRule>({
    name: required(text({ max: 64, pattern: IDENTIFIER, what: IDENTIFIER_RULE })),
    match: optional(match(declared)),
    key: withDefault(key(declared), []),
    missingKey: withDefault(oneOf(MISSING), "shared"),
    limits: required(limits),
    weights: optional(weights),
    prices: optional(prices),
    shadow: withDefault(boolean, false),
  });
  return (cursor) => {
    const value = fields(cursor);
    if (value === undefined) return undefined;
    const counts = (unit: LimitUnit) => value.limits.some((limit) => limit.unit === unit);
    const wrong = (field: "weights" | "prices", unit: LimitUnit) => {
      const at = { ...cursor, position: positionOf(value, field) };
      const remedy = `Remove ${field}, or add a limit of ${unit}.`;
      return fail(at, "TM_CONFIG_CONFLICT", `has ${field} and no limit of ${unit}`, remedy);
    };
    if (value.weights !== undefined && !counts("weightedTokens")) return wrong("weights", "weightedTokens");
    if (value.prices !== undefined && !counts("money")) return wrong("prices", "money");
    if (value.prices === undefined && counts("money"))
      return fail(cursor, "TM_CONFIG_MISSING_FIELD", "a limit of money needs prices", "Add prices.");
    return value;
  };
}

export function rateLimitRules(declared: Declared): Reader<readonly RateLimitRule[]> {
  return distinct(list(rule(declared), { min: 1, max: 64 }), "name", "rule");
}
