/** Many changes, one reaction: when nothing more came for a while, or when the first of them has waited long enough. */
import type { Clock } from "./clock.ts";

export interface DebounceTimes {
  /** Milliseconds without a change; 0 is the next turn of the event loop. */
  readonly quietMs: number;
  /** The longest that the first change waits. */
  readonly maxMs: number;
}

export class Debounce {
  readonly #run: () => void;
  readonly #times: DebounceTimes;
  readonly #clock: Clock;
  #first: number | undefined;
  #cancel: (() => void) | undefined;

  constructor(run: () => void, times: DebounceTimes, clock: Clock) {
    this.#run = run;
    this.#times = times;
    this.#clock = clock;
  }

  /** Something changed. */
  poke(): void {
    const { quietMs, maxMs } = this.#times;
    const now = this.#clock.now();
    const isFirst = this.#first === undefined;
    this.#first ??= now;
    // Without a quiet time nothing is gained by waiting anew.
    if (quietMs === 0 && !isFirst) return;
    this.#cancel?.();
    this.#cancel = this.#clock.after(Math.max(0, Math.min(quietMs, this.#first + maxMs - now)), () => this.flush());
  }

  /** Reacts now if something changed that nobody has reacted to. */
  flush(): void {
    if (this.#first === undefined) return;
    this.drop();
    this.#run();
  }

  /** Forgets what changed. */
  drop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#first = undefined;
  }
}
