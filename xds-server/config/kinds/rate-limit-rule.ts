/** `rules` of a TokenRateLimit: which requests have which budgets. */
import { fail } from "../cursor.ts";
import type { LimitUnit, MissingKey, OnFailure, Overrun, RateLimitRule, RuleMode } from "../rate-limit-model.ts";
import {
  distinct,
  extended,
  list,
  object,
  optional,
  positionOf,
  type Reader,
  required,
  withDefault,
} from "../reader.ts";
import { boolean, integer, oneOf, text } from "../scalars.ts";
import { match } from "./llm-match.ts";
import { type Declared, IDENTIFIER, IDENTIFIER_RULE } from "./llm-names.ts";
import { key } from "./rate-limit-key.ts";
import { limits } from "./rate-limit-limit.ts";
import { prices, weights } from "./rate-limit-rates.ts";

const MISSING = ["shared", "skip", "reject"] as const satisfies readonly MissingKey[];
const MODES = ["local", "strict", "leased"] as const satisfies readonly RuleMode[];
const ON_FAILURE = ["local", "open", "closed"] as const satisfies readonly OnFailure[];
const OVERRUN = ["allow", "stop", "pace"] as const satisfies readonly Overrun[];
const DEFAULT_LEASE_PERCENT = 5;

/** What is wrong with a rule whose fields are right; undefined when nothing is. */
interface RuleFault {
  /** Where; the rule itself when it has no such field. */
  readonly field: keyof RateLimitRule;
  readonly code: "TM_CONFIG_CONFLICT" | "TM_CONFIG_MISSING_FIELD";
  readonly message: string;
  readonly remedy: string;
}

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
    mode: withDefault(oneOf(MODES), "local"),
    onFailure: optional(oneOf(ON_FAILURE)),
    leasePercent: optional(integer({ min: 1, max: 50 })),
    queueMs: optional(integer({ min: 1, max: 60_000 })),
    overrun: withDefault(oneOf(OVERRUN), "allow"),
  });
  return (cursor) => {
    const value = fields(cursor);
    if (value === undefined) return undefined;
    const faults = [...rateFaults(value), ...modeFaults(value), ...overrunFaults(value)];
    for (const { field, code, message, remedy } of faults) {
      fail({ ...cursor, position: positionOf(value, field) }, code, message, remedy);
    }
    if (faults.length > 0) return undefined;
    const { mode, onFailure, leasePercent } = value;
    return extended(value, {
      onFailure: mode === "local" ? undefined : (onFailure ?? "local"),
      leasePercent: mode === "leased" ? (leasePercent ?? DEFAULT_LEASE_PERCENT) : undefined,
    });
  };
}

function* rateFaults(rule: RateLimitRule): Generator<RuleFault> {
  const counts = (unit: LimitUnit) => rule.limits.some((limit) => limit.unit === unit);
  const excess = (field: "weights" | "prices", unit: LimitUnit) =>
    conflict(field, `has ${field} and no limit of ${unit}`, `Remove ${field}, or add a limit of ${unit}.`);
  if (rule.weights !== undefined && !counts("weightedTokens")) yield excess("weights", "weightedTokens");
  if (rule.prices !== undefined && !counts("money")) yield excess("prices", "money");
  if (rule.prices === undefined && counts("money")) {
    const message = "a limit of money needs prices";
    yield { field: "prices", code: "TM_CONFIG_MISSING_FIELD", message, remedy: "Add prices." };
  }
}

/** What stands only with some modes. */
function* modeFaults({ mode, onFailure, leasePercent, queueMs }: RateLimitRule): Generator<RuleFault> {
  if (onFailure !== undefined && mode === "local")
    yield conflict("onFailure", "onFailure has no effect with mode local", "Remove it, or use mode strict or leased.");
  if (leasePercent !== undefined && mode !== "leased")
    yield conflict("leasePercent", `leasePercent has no effect with mode ${mode}`, "Remove it, or use mode leased.");
  if (queueMs !== undefined && mode !== "local")
    yield conflict("queueMs", `requests cannot wait with mode ${mode}`, "Remove queueMs, or use mode local.");
}

/** Requests are counted before there is a stream that could take more. */
function* overrunFaults({ mode, limits: all, overrun }: RateLimitRule): Generator<RuleFault> {
  if (overrun === "allow") return;
  const ofTokens = all.filter(({ unit }) => unit !== "requests");
  if (ofTokens.length === 0)
    yield conflict("overrun", `overrun: ${overrun} has no effect on requests`, "Remove it, or limit tokens or money.");
  if (overrun !== "pace") return;
  if (mode !== "local")
    yield conflict("overrun", `streams cannot be paced with mode ${mode}`, "Use stop or allow, or mode local.");
  const long = ofTokens.find(({ per }) => per !== "second" && per !== "minute");
  if (long === undefined) return;
  const remedy = "Use stop or allow, or limits per second or minute; only requests may have others.";
  yield conflict("overrun", `a stream would be held for a ${long.per}`, remedy);
}

function conflict(field: keyof RateLimitRule, message: string, remedy: string): RuleFault {
  return { field, code: "TM_CONFIG_CONFLICT", message, remedy };
}

export function rateLimitRules(declared: Declared): Reader<readonly RateLimitRule[]> {
  return distinct(list(rule(declared), { min: 1, max: 64 }), "name", "rule");
}
