/**
 * Bounds and arithmetic of amounts. An amount is a whole number in whatever unit the rule counts (tokens, requests, thousandths of a token,
 * billionths of a dollar). JavaScript and Redis' Lua both count in doubles, so everything stays below 2^53, where they are exact.
 */

/** Largest amount of a limit, and the most that one call adds or takes; more is counted as this much. */
export const MAX_AMOUNT = 1e15;

/** Where what a window has used stops growing: 4e15 + 1e15 is still below 2^53. */
export const MAX_USED = 4e15;

/** A whole number from 0 to {@link MAX_AMOUNT}. */
export function bounded(value: number): number {
  return value > MAX_AMOUNT ? MAX_AMOUNT : value > 0 ? Math.floor(value) : 0;
}
