/** Readers of single values: texts, numbers, booleans, durations, enumerations. */
import { isScalar } from "yaml";
import { type Cursor, fail, visit } from "./cursor.ts";
import { kindOf, type Reader } from "./reader.ts";
import { closest } from "./spelling.ts";

export interface TextBounds {
  /** UTF-8 bytes. */
  readonly min?: number;
  readonly max?: number;
  readonly pattern?: RegExp;
  /** What the pattern means, for the message: `<value> is not <what>`. */
  readonly what?: string;
  /** The value, or what somebody may write here by mistake, must not be shown: errors do not repeat it. */
  readonly secret?: boolean;
  /** It may have several lines. */
  readonly multiline?: boolean;
}

/** A text; by default 1 to 1,024 bytes without control characters. */
export function text({
  min = 1,
  max = 1_024,
  pattern,
  what = "a valid text",
  secret = false,
  multiline = false,
}: TextBounds = {}): Reader<string> {
  return (cursor) => {
    const value = scalar(cursor, "a text");
    if (value === undefined) return undefined;
    if (typeof value !== "string") {
      return fail(
        cursor,
        "TM_CONFIG_WRONG_TYPE",
        `expected a text, not a ${typeof value}`,
        secret ? "Put it in quotes." : `Put it in quotes: "${String(value)}".`,
      );
    }
    const bytes = Buffer.byteLength(value);
    if (bytes < min || bytes > max)
      return fail(cursor, "TM_CONFIG_INVALID_VALUE", `has ${bytes} bytes, expected ${min} to ${max}`);
    if (hasControlCharacter(multiline ? value.replace(/[\t\r\n]/g, "") : value))
      return fail(cursor, "TM_CONFIG_INVALID_VALUE", "has control characters");
    if (pattern !== undefined && !pattern.test(value)) {
      return fail(cursor, "TM_CONFIG_INVALID_VALUE", `${secret ? "this" : quoted(value)} is not ${what}`);
    }
    return value;
  };
}

/** A number above `above` and at most `max`, whole or not. */
export function number({ above, max }: { readonly above: number; readonly max: number }): Reader<number> {
  return (cursor) => {
    const value = scalar(cursor, "a number");
    if (value === undefined) return undefined;
    if (typeof value !== "number")
      return fail(cursor, "TM_CONFIG_WRONG_TYPE", `expected a number, not ${kindOf(cursor)}`);
    if (value > above && value <= max) return value;
    return fail(cursor, "TM_CONFIG_INVALID_VALUE", `${value} is not a number above ${above} and at most ${max}`);
  };
}

export function integer({ min, max }: { readonly min: number; readonly max: number }): Reader<number> {
  return (cursor) => {
    const value = scalar(cursor, "a number");
    if (value === undefined) return undefined;
    if (typeof value !== "number")
      return fail(cursor, "TM_CONFIG_WRONG_TYPE", `expected a number, not ${kindOf(cursor)}`);
    if (!Number.isInteger(value) || value < min || value > max) {
      return fail(cursor, "TM_CONFIG_INVALID_VALUE", `${value} is not a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

export const boolean: Reader<boolean> = (cursor) => {
  const value = scalar(cursor, "true or false");
  if (value === undefined || typeof value === "boolean") return value;
  return fail(cursor, "TM_CONFIG_WRONG_TYPE", `expected true or false, not ${kindOf(cursor)}`);
};

export function oneOf<const T extends string>(values: readonly T[]): Reader<T> {
  return (cursor) => {
    const value = scalar(cursor, `one of ${values.join(", ")}`);
    if (value === undefined) return undefined;
    const found = values.find((each) => each === value);
    if (found !== undefined) return found;
    const guess = closest(String(value), values);
    const remedy = guess === undefined ? undefined : `Did you mean ${guess}?`;
    return fail(
      cursor,
      "TM_CONFIG_INVALID_VALUE",
      `${quoted(String(value))} is not one of ${values.join(", ")}`,
      remedy,
    );
  };
}

const UNIT_MS: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
  us: 0.001,
  ns: 0.000_001,
};
const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|us|ns|h|m|s))+$/;

/** A duration as Istio writes it (`1h`, `1m30s`, `0.5s`, `100ms`), in milliseconds. */
export function duration({
  minMs = 1,
  maxMs = 315_360_000_000,
}: {
  readonly minMs?: number;
  readonly maxMs?: number;
} = {}): Reader<number> {
  return (cursor) => {
    const value = scalar(cursor, "a duration");
    if (value === undefined) return undefined;
    if (typeof value !== "string" || value.length > 64 || !(DURATION.test(value) || value === "0")) {
      return fail(
        cursor,
        "TM_CONFIG_INVALID_VALUE",
        `${quoted(String(value))} is not a duration`,
        "Write it with a unit: 1h, 1m30s, 0.5s, 100ms.",
      );
    }
    let ms = 0;
    for (const [, amount, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|us|ns|h|m|s)/g)) {
      ms += Number(amount) * (UNIT_MS[unit ?? ""] ?? 0);
    }
    if (ms < minMs || ms > maxMs) {
      return fail(cursor, "TM_CONFIG_INVALID_VALUE", `${value} is out of range, expected ${minMs}ms to ${maxMs}ms`);
    }
    return ms;
  };
}

/** The value of a scalar that is not empty. */
function scalar(cursor: Cursor, expected: string): string | number | boolean | undefined {
  if (!visit(cursor)) return undefined;
  const { node } = cursor;
  if (isScalar(node)) {
    const { value } = node;
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  }
  return fail(cursor, "TM_CONFIG_WRONG_TYPE", `expected ${expected}, not ${kindOf(cursor)}`);
}

function hasControlCharacter(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i);
    if (unit < 0x20 || unit === 0x7f) return true;
  }
  return false;
}

/** The value for a message, cut where it is long. */
function quoted(value: string): string {
  return JSON.stringify(value.length <= 80 ? value : `${value.slice(0, 80)}...`);
}
