/** How fast the questions of one service may follow each other: a bucket of tokens, so that single changes are followed at once and a busy loop is not possible. */
export class QuestionPace {
  readonly #burst: number;
  readonly #perTokenMs: number;
  #tokens: number;
  #at: number;

  /** @param perTokenMs time in which one question is earned, ms, above 0 */
  constructor(burst: number, perTokenMs: number, now: number) {
    this.#burst = burst;
    this.#perTokenMs = perTokenMs;
    this.#tokens = burst;
    this.#at = now;
  }

  /** Takes the right to one question. @returns ms to wait before it is asked */
  next(now: number): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) / this.#perTokenMs) - 1;
    this.#at = now;
    return this.#tokens >= 0 ? 0 : -this.#tokens * this.#perTokenMs;
  }
}
