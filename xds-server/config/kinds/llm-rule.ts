/** `rules` of an LLMRouter: which requests go to which targets. */
import { type Cursor, fail } from "../cursor.ts";
import type { LlmRule, WeightedTarget } from "../llm-model.ts";
import { distinct, list, object, optional, positionOf, type Reader, required, withDefault } from "../reader.ts";
import { integer, text } from "../scalars.ts";
import { fallback } from "./llm-fallback.ts";
import { match } from "./llm-match.ts";
import { type Declared, fromRequests, IDENTIFIER, IDENTIFIER_RULE, needsTenant, targetName } from "./llm-names.ts";

function weightedTargets(declared: Declared): Reader<readonly WeightedTarget[]> {
  const entry = object<WeightedTarget>({
    target: required(targetName(declared)),
    weight: withDefault(integer({ min: 0, max: 1_000_000 }), 1),
  });
  const read = distinct(list(entry, { min: 1, max: 16 }), "target", "target");
  return (cursor) => {
    const entries = read(cursor);
    if (entries === undefined || entries.some(({ weight }) => weight > 0)) return entries;
    return fail(cursor, "TM_CONFIG_INVALID_VALUE", "all weights are 0", "Give at least one target a weight above 0.");
  };
}

function stickyBy(declared: Declared): Reader<string> {
  const key = text({
    max: 71,
    pattern: /^(session|tenant|header:[a-z0-9-]{1,64})$/,
    what: "session, tenant or header:NAME (NAME in lower case)",
  });
  return needsTenant(declared, fromRequests(key), (value) => value === "tenant");
}

function rule(declared: Declared): Reader<LlmRule> {
  const fields = object<LlmRule>({
    name: required(text({ max: 64, pattern: IDENTIFIER, what: IDENTIFIER_RULE })),
    match: optional(match(declared)),
    targets: required(weightedTargets(declared)),
    stickyBy: optional(stickyBy(declared)),
    fallback: optional(fallback(declared)),
  });
  return (cursor) => {
    const read = fields(cursor);
    return read === undefined || isPoolable(read, declared, cursor) ? read : undefined;
  };
}

/** A rule with a fallback makes a pool of each target and the fallbacks: they must differ, and be of one kind. */
function isPoolable(rule: LlmRule, { targets: kinds }: Declared, cursor: Cursor): boolean {
  if (rule.fallback === undefined) return true;
  const at = { ...cursor, path: `${cursor.path}.fallback`, position: positionOf(rule.fallback, "targets") };
  const own = rule.targets.map(({ target }) => target);
  const repeated = rule.fallback.targets.find((name) => own.includes(name));
  if (repeated !== undefined) {
    const message = `${JSON.stringify(repeated)} is a target of the rule already`;
    fail(at, "TM_CONFIG_CONFLICT", message, "Fall back to a target that is not among the rule's own.");
    return false;
  }
  const members = [...own, ...rule.fallback.targets].map((name) => kinds?.get(name));
  if (!members.includes("route") || !members.includes("cluster")) return true;
  const message = "some targets of this rule have a route, others a cluster: they cannot be one pool";
  fail(at, "TM_CONFIG_CONFLICT", message, "Give all of them a route, or all of them a cluster.");
  return false;
}

export function rules(declared: Declared): Reader<readonly LlmRule[]> {
  return distinct(list(rule(declared), { min: 1, max: 256 }), "name", "rule");
}
