/** Time as a parameter: sources and the manager never read a clock or start a timer of their own, so tests run hours in milliseconds. */

export interface Clock {
  /** Monotonic, ms. */
  now(): number;
  /** Runs once after so many ms unless the function that is returned is called before. */
  after(ms: number, run: () => void): () => void;
}

/** The clock of this process; its timers keep no process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
