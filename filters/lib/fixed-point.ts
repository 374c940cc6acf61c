/**
 * Amounts as whole numbers of a small unit, and arithmetic on them that stops at the ends of an i64 instead of wrapping: a sum that wraps would turn
 * an overrun budget into an empty one.
 */

/** Doubles below this count every whole number. */
const EXACT: f64 = 9007199254740992;

/**
 * `value` in units of 1/`scale`, when it is written with no more decimals than `scale` has zeros: 0.1 at a scale of 10^9 is exactly 10^8. -1 for
 * what is negative, has more decimals, or is 2^53 units and more. `scale` is a power of ten up to 10^9.
 *
 * A decimal of at most 15 digits is the only one of its scale that its double stands for, so asking the double loses nothing.
 */
export function fixedPoint(value: f64, scale: i64): i64 {
  if (!(value >= 0) || value * <f64>scale >= EXACT) return -1;
  const units = nearest(value * <f64>scale);
  return units / <f64>scale == value ? <i64>units : -1;
}

/** Sum of two numbers that are not negative, at most 2^63 - 1. */
export function addSaturating(a: i64, b: i64): i64 {
  return a > i64.MAX_VALUE - b ? i64.MAX_VALUE : a + b;
}

/** Product of two numbers that are not negative, at most 2^63 - 1. */
export function multiplySaturating(a: i64, b: i64): i64 {
  if (a == 0 || b == 0) return 0;
  return a > i64.MAX_VALUE / b ? i64.MAX_VALUE : a * b;
}
