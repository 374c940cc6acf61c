/** Waiting for a condition with a deadline, in place of fixed sleeps. */
import { setTimeout as delay } from "node:timers/promises";

export interface WaitOptions {
  /** Deadline in ms; default 10,000. */
  readonly timeoutMs?: number;
  /** Pause between two looks in ms; default 20. */
  readonly intervalMs?: number;
  /** What is waited for; stands in the error message. */
  readonly what: string;
}

type Falsy = false | 0 | "" | null | undefined;

/**
 * Calls `condition` until it returns something truthy and returns that. A condition that throws counts as "not yet"; the last error becomes the
 * `cause` of the timeout error.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 10_000, intervalMs = 20, what }: WaitOptions,
): Promise<Exclude<T, Falsy>> {
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value as Exclude<T, Falsy>;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= deadline) {
      const reason =
        lastError === undefined ? "" : `: ${lastError instanceof Error ? lastError.message : String(lastError)}`;
      throw new Error(`waited ${timeoutMs} ms for ${what}${reason}`, { cause: lastError });
    }
    await delay(intervalMs);
  }
}
