/** `rules` of an LLMRouter: which requests go to which targets. */
import { type Cursor, fail } from "../cursor.ts";
import type { LlmApi, LlmHeaderMatch, LlmMatch, LlmRule, WeightedTarget } from "../llm-model.ts";
import {
  distinct,
  exactlyOne,
  list,
  object,
  optional,
  positionOf,
  type Reader,
  required,
  withDefault,
} from "../reader.ts";
import { boolean, integer, oneOf, text } from "../scalars.ts";
import { fallback } from "./llm-fallback.ts";
import {
  type Declared,
  fromRequests,
  IDENTIFIER,
  IDENTIFIER_RULE,
  modelPattern,
  needsTenant,
  pathStart,
  requestHeader,
  targetName,
} from "./llm-names.ts";
import { patternFault } from "./pattern.ts";

const APIS = [
  "openai.chat",
  "openai.completions",
  "openai.responses",
  "openai.embeddings",
  "openai.other",
  "anthropic.messages",
  "gemini.generate",
] as const satisfies readonly LlmApi[];

const headerValue = text({ max: 256, pattern: /^[\x20-\x7e]+$/, what: "visible ASCII or spaces" });

const headerMatch: Reader<LlmHeaderMatch> = exactlyOne(
  object<LlmHeaderMatch>({
    name: required(requestHeader),
    exact: optional(headerValue),
    prefix: optional(headerValue),
    present: optional(boolean),
  }),
  "exact",
  "prefix",
  "present",
);

type PromptTokens = NonNullable<LlmMatch["promptTokens"]>;

const tokenBounds = object<PromptTokens>({
  atLeast: optional(integer({ min: 0, max: 100_000_000 })),
  below: optional(integer({ min: 1, max: 100_000_000 })),
});

const promptTokens: Reader<PromptTokens> = (cursor) => {
  const bounds = tokenBounds(cursor);
  if (bounds === undefined) return undefined;
  const { atLeast, below } = bounds;
  if (atLeast === undefined && below === undefined)
    return fail(cursor, "TM_CONFIG_MISSING_FIELD", "has neither atLeast nor below", "Add one of them.");
  if (atLeast === undefined || below === undefined || atLeast < below) return bounds;
  const message = `atLeast ${atLeast} is not less than below ${below}: nothing matches`;
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", message, "Give atLeast the smaller number.");
};

const lastUserMessage: Reader<string> = (cursor) => {
  const pattern = text({ max: 512 })(cursor);
  if (pattern === undefined) return undefined;
  const fault = patternFault(pattern);
  if (fault === undefined) return pattern;
  // What is wrong, where, and behind the colon what to do.
  const [, message = fault, remedy] = /^(.* at byte \d+): (.*)$/s.exec(fault) ?? [];
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", message, remedy);
};

function match(declared: Declared): Reader<LlmMatch> {
  return object<LlmMatch>({
    models: optional(list(modelPattern, { min: 1, max: 64 })),
    provider: optional(text({ max: 64, pattern: IDENTIFIER, what: IDENTIFIER_RULE })),
    apis: optional(list(oneOf(APIS), { min: 1, max: APIS.length })),
    paths: optional(list(pathStart, { min: 1, max: 32 })),
    headers: optional(list(headerMatch, { min: 1, max: 16 })),
    tenants: optional(needsTenant(declared, list(text({ max: 256 }), { min: 1, max: 64 }), () => true)),
    promptTokens: optional(promptTokens),
    stream: optional(boolean),
    tools: optional(boolean),
    images: optional(boolean),
    session: optional(boolean),
    lastUserMessage: optional(lastUserMessage),
  });
}

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
