/**
 * Where router, limiter, cache and picker of a Gateway see traffic differently. They are one filter there, which reads a request once, so there is one
 * value of each field: that of the first of them that is there. A document that does not write a field takes it over; one that writes another value is refused.
 */
import type { Position } from "./diagnostics.ts";
import type { LlmMetrics } from "./llm-model.ts";
import type { LlmTraffic } from "./rate-limit-model.ts";
import { isWritten, positionOf } from "./reader.ts";

/** Not `tenantHeader`: each of them has its own. */
const FIELDS = ["paths", "maxBodyBytes", "tokensPerByte", "duplicateModel", "accessLog"] as const;
const METRICS = ["enabled", "models"] as const;

type Value = string | number | boolean | readonly string[] | undefined;

export interface TrafficConflict {
  /** Path of the field below `spec`. */
  readonly field: string;
  readonly position: Position;
  readonly own: string;
  readonly other: string;
}

/** Fields that `own` writes with another value than `other` has, written or by default. Both must have been read from files. */
export function trafficConflicts(own: LlmTraffic, other: LlmTraffic): readonly TrafficConflict[] {
  const metrics = isWritten(own, "metrics") ? written<LlmMetrics>(own.metrics, other.metrics, METRICS, "metrics.") : [];
  return [...written<LlmTraffic>(own, other, FIELDS, ""), ...metrics];
}

function written<T extends object>(
  own: T,
  other: T,
  fields: readonly (keyof T & string)[],
  path: string,
): readonly TrafficConflict[] {
  return fields
    .filter((field) => isWritten(own, field) && !isSame(own[field] as Value, other[field] as Value))
    .map((field) => ({
      field: path + field,
      position: positionOf(own, field),
      own: shown(own[field] as Value),
      other: shown(other[field] as Value),
    }));
}

/** Lists are sets here. */
function isSame(a: Value, b: Value): boolean {
  return typeof a === "object" && typeof b === "object" ? sorted(a) === sorted(b) : a === b;
}

function sorted(list: readonly string[]): string {
  return JSON.stringify([...new Set(list)].sort());
}

function shown(value: Value): string {
  if (value === undefined) return "left out";
  const text = typeof value === "object" ? `[${value.join(", ")}]` : String(value);
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}
