/** `limits` of a rule of a TokenRateLimit: how much of what in which time. */
import { isMap, isScalar } from "yaml";
import { type Cursor, childCursor, fail } from "../cursor.ts";
import type { AmountFrom, LimitPeriod, LimitUnit, RateLimit } from "../rate-limit-model.ts";
import { exactlyOne, list, object, optional, positionOf, type Reader, required, withDefault } from "../reader.ts";
import { boolean, number, oneOf } from "../scalars.ts";
import { type DecimalBounds, decimal } from "./decimal.ts";
import { requestHeader } from "./llm-names.ts";
import { metadataPath } from "./rate-limit-key.ts";
import { timeZone } from "./time-zone.ts";

const TOKENS: DecimalBounds = { min: 1, max: 1_000_000_000_000, decimals: 0 };
const AMOUNTS: Readonly<Record<LimitUnit, DecimalBounds>> = {
  tokens: TOKENS,
  promptTokens: TOKENS,
  completionTokens: TOKENS,
  weightedTokens: { min: 0.001, max: TOKENS.max, decimals: 3 },
  requests: TOKENS,
  money: { min: 0.000_000_001, max: 1_000_000, decimals: 9 },
};
const UNITS = Object.keys(AMOUNTS) as readonly LimitUnit[];
const PERIODS = ["second", "minute", "hour", "day", "month"] as const satisfies readonly LimitPeriod[];

const amountFrom = exactlyOne(
  object<AmountFrom>({ header: optional(requestHeader), metadata: optional(metadataPath) }),
  "header",
  "metadata",
);

function fields(unit: LimitUnit | undefined): Reader<RateLimit> {
  return object<RateLimit>({
    unit: required(oneOf(UNITS)),
    amount: required(unit === undefined ? number({ above: 0, max: TOKENS.max }) : decimal(AMOUNTS[unit])),
    amountFrom: optional(amountFrom),
    per: required(oneOf(PERIODS)),
    rolling: withDefault(boolean, false),
    timeZone: optional(timeZone),
  });
}

/** What an amount may be depends on its unit, wherever that stands. */
function unitOf(cursor: Cursor): LimitUnit | undefined {
  const { node } = cursor;
  if (!isMap(node)) return undefined;
  const unit = childCursor(cursor, node.get("unit", true), "unit").node;
  return UNITS.find((each) => isScalar(unit) && unit.value === each);
}

const limit: Reader<RateLimit> = (cursor) => {
  const value = fields(unitOf(cursor))(cursor);
  if (value === undefined) return undefined;
  const wrong = (field: keyof RateLimit, message: string, remedy: string) =>
    fail({ ...cursor, position: positionOf(value, field) }, "TM_CONFIG_CONFLICT", message, remedy);
  if (value.rolling && value.per === "month")
    return wrong("rolling", "a month cannot be rolling: months differ in length", "Remove rolling, or use per day.");
  if (value.timeZone === undefined) return value;
  if (value.per !== "day" && value.per !== "month")
    return wrong("timeZone", `timeZone has no effect per ${value.per}`, "Remove it, or use per day or month.");
  if (value.rolling) return wrong("timeZone", "timeZone has no effect with rolling", "Remove one of them.");
  return value;
};

export const limits = list(limit, { min: 1, max: 4 });
