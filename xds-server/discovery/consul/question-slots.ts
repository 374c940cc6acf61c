/** So many questions at once and no more; who waits longest is next. */
export class QuestionSlots {
  readonly #slots: number;
  #taken = 0;
  readonly #waiting = new Set<() => void>();

  constructor(slots: number) {
    this.#slots = slots;
  }

  /** Resolves to the function that gives the slot back; undefined when `signal` fired before there was one. */
  take(signal: AbortSignal): Promise<(() => void) | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    if (this.#taken < this.#slots) {
      this.#taken++;
      return Promise.resolve(this.#releaser());
    }
    return new Promise((resolve) => {
      const next = () => {
        signal.removeEventListener("abort", leave);
        resolve(this.#releaser());
      };
      const leave = () => {
        this.#waiting.delete(next);
        resolve(undefined);
      };
      this.#waiting.add(next);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  #releaser(): () => void {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const [next] = this.#waiting;
      if (next === undefined) this.#taken--;
      else {
        this.#waiting.delete(next); // it inherits the slot
        next();
      }
    };
  }
}
