/** What an LLMRouter does when something does not work out: `fallback` of a rule, and the `on...` fields. */
import { isScalar } from "yaml";
import { type Cursor, fail } from "../cursor.ts";
import type { LlmDefault, LlmFallback } from "../llm-model.ts";
import { exactlyOne, list, object, optional, type Reader, required, withDefault } from "../reader.ts";
import { integer, text } from "../scalars.ts";
import { type Declared, modelName, routeName, targetName } from "./llm-names.ts";

const DEFAULT_STATUSES = [429, 500, 502, 503, 504, 529];
const MIN_TIMEOUT_MS = 10;
const MAX_TIMEOUT_MS = 600_000;

/** As the filter reads it: digits and one unit. */
const firstByteTimeout: Reader<number> = (cursor) => {
  const value = text({ max: 64, pattern: /^\d{1,9}(ms|s)$/, what: "a duration such as 10s or 500ms" })(cursor);
  if (value === undefined) return undefined;
  const ms = Number.parseInt(value, 10) * (value.endsWith("ms") ? 1 : 1_000);
  if (ms >= MIN_TIMEOUT_MS && ms <= MAX_TIMEOUT_MS) return ms;
  return fail(
    cursor,
    "TM_CONFIG_INVALID_VALUE",
    `${value} is out of range, expected ${MIN_TIMEOUT_MS}ms to ${MAX_TIMEOUT_MS / 1_000}s`,
  );
};

/** Names of targets, in the order in which they are asked. */
function chain(declared: Declared): Reader<readonly string[]> {
  const read = list(targetName(declared), { min: 1, max: 4 });
  return (cursor) => {
    const names = read(cursor);
    const repeated = names?.find((name, index) => names.indexOf(name) < index);
    if (repeated === undefined) return names;
    return fail(cursor, "TM_CONFIG_DUPLICATE", `target ${JSON.stringify(repeated)} is listed twice`);
  };
}

/** `fallback` of a rule. */
export function fallback(declared: Declared): Reader<LlmFallback> {
  return object<LlmFallback>({
    targets: required(chain(declared)),
    statuses: withDefault(list(integer({ min: 400, max: 599 }), { min: 1, max: 16 }), DEFAULT_STATUSES),
    firstByteTimeout: optional(firstByteTimeout),
  });
}

/** One of the `on...` fields. */
export function defaultDecision(declared: Declared): Reader<LlmDefault> {
  const decision = exactlyOne(
    object<Exclude<LlmDefault, "reject">>({
      route: optional(routeName),
      upstreamModel: optional(modelName),
      target: optional(targetName(declared)),
    }),
    "route",
    "target",
  );
  return (cursor) => (isScalar(cursor.node) ? word(cursor) : withoutOwnModel(cursor, decision(cursor)));
}

function word(cursor: Cursor): LlmDefault | undefined {
  if (isScalar(cursor.node) && cursor.node.value === "reject") return "reject";
  return fail(
    cursor,
    "TM_CONFIG_INVALID_VALUE",
    "expected reject or a mapping with route or target",
    "Write reject, {route: NAME} or {target: NAME}.",
  );
}

function withoutOwnModel(cursor: Cursor, decision: LlmDefault | undefined): LlmDefault | undefined {
  if (typeof decision !== "object" || decision.target === undefined || decision.upstreamModel === undefined)
    return decision;
  return fail(
    cursor,
    "TM_CONFIG_CONFLICT",
    "has target and upstreamModel",
    "Write upstreamModel into the target, or use another target.",
  );
}
