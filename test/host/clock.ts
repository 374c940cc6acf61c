/** Virtual time: nothing in the test host reads the real clock, so a test owns every tick and timeout. */

interface Timer {
  due: number;
  order: number;
  fire: () => void;
}

export class VirtualClock {
  /** Milliseconds since the host was loaded; may have a fraction. */
  #elapsed = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();
  readonly #epochMs: number;

  constructor(epochMs: number) {
    this.#epochMs = epochMs;
  }

  get elapsedMs(): number {
    return this.#elapsed;
  }

  /** Nanoseconds since 1970, for proxy_get_current_time_nanoseconds. */
  get realtimeNs(): bigint {
    return BigInt(Math.round((this.#epochMs + this.#elapsed) * 1000)) * 1000n;
  }

  get monotonicNs(): bigint {
    return BigInt(Math.round(this.#elapsed * 1000)) * 1000n;
  }

  /** Runs `fire` once, `delayMs` from now. The result cancels it. */
  after(delayMs: number, fire: () => void): () => void {
    const timer = { due: this.#elapsed + delayMs, order: this.#order++, fire };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves time on; timers fire in order of their due time, each seeing its own moment as now. */
  advance(ms: number): void {
    const until = this.#elapsed + ms;
    for (;;) {
      let next: Timer | undefined;
      for (const timer of this.#timers) {
        if (
          timer.due <= until &&
          (!next || timer.due < next.due || (timer.due === next.due && timer.order < next.order))
        )
          next = timer;
      }
      if (!next) break;
      this.#timers.delete(next);
      this.#elapsed = Math.max(this.#elapsed, next.due);
      next.fire();
    }
    this.#elapsed = until;
  }
}

/** Seeded generator (mulberry32): the same seed gives the same bytes on every machine. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
