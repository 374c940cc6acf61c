/** Leaves an endpoint alone that has failed several times in a row: for a while nothing is sent, then one call shows whether it is back. */
import { MAX_FAILURES, MAX_PAUSE_MS, MIN_PAUSE_MS } from "./limits.ts";

export class CircuitBreaker {
  readonly #now: () => number;
  #failures = 0;
  #pauseMs = MIN_PAUSE_MS;
  #closedAt = -Infinity;
  #trying = false;

  /** @param now ms, of a clock that never goes back */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Nothing may be sent. */
  get open(): boolean {
    return this.#failures >= MAX_FAILURES && (this.#trying || this.#now() < this.#closedAt);
  }

  /** It has not failed too often, or has answered since. */
  get healthy(): boolean {
    return this.#failures < MAX_FAILURES;
  }

  /** Before each call. After a pause only one call is let through until it has ended. */
  begin(): void {
    if (!this.healthy) this.#trying = true;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#pauseMs = MIN_PAUSE_MS;
    this.#trying = false;
  }

  failed(): void {
    // Calls that were under way when it opened say nothing new.
    if (!this.healthy && !this.#trying) return;
    this.#trying = false;
    this.#failures++;
    if (this.#failures < MAX_FAILURES) return;
    this.#closedAt = this.#now() + this.#pauseMs;
    this.#pauseMs = Math.min(MAX_PAUSE_MS, 2 * this.#pauseMs);
  }
}
