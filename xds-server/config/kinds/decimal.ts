import { fail } from "../cursor.ts";
import type { Reader } from "../reader.ts";
import { number } from "../scalars.ts";

export interface DecimalBounds {
  readonly min: number;
  readonly max: number;
  /** Digits behind the point, at most 9. */
  readonly decimals: number;
}

/** A number that is read exactly: one with more decimals is an error, it is never rounded. */
export function decimal({ min, max, decimals }: DecimalBounds): Reader<number> {
  const read = number({ above: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY });
  const scale = 10 ** decimals;
  return (cursor) => {
    const value = read(cursor);
    if (value === undefined) return undefined;
    // The double of a decimal is the quotient of its digits and the scale, and of no other.
    if (value >= min && value <= max && Math.round(value * scale) / scale === value) return value;
    const range = `${plain(min, decimals)} to ${plain(max, decimals)}`;
    const what = decimals === 0 ? "a whole number" : "a number";
    const precision = decimals === 0 ? "" : ` with at most ${decimals} decimals`;
    return fail(cursor, "TM_CONFIG_INVALID_VALUE", `${value} is not ${what} from ${range}${precision}`);
  };
}

/** Without an exponent. */
function plain(value: number, decimals: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(decimals);
}
