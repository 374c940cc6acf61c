/**
 * Waiting times between attempts: exponential with full jitter, so that many servers whose registry comes back do not ask it in step.
 * See https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
 */
import { BACKOFF_BASE_MS, BACKOFF_CAP_MS, BACKOFF_FLOOR_MS } from "./limits.ts";

export class Backoff {
  readonly #random: () => number;
  #failures = 0;

  /** @param random 0 to 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Attempts that failed since the last {@link reset}. */
  get failures(): number {
    return this.#failures;
  }

  /** After a failed attempt: ms until the next. */
  next(): number {
    const ceiling = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** this.#failures);
    this.#failures++;
    return Math.max(BACKOFF_FLOOR_MS, this.#random() * ceiling);
  }

  /** After a good attempt. */
  reset(): void {
    this.#failures = 0;
  }
}
