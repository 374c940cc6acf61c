/** Time as a parameter. */

export interface Clock {
  /** Monotonic, milliseconds. */
  now(): number;
  /** Runs once after so many milliseconds, 0 for the next turn of the event loop, unless the function that is returned is called before. */
  after(ms: number, run: () => void): () => void;
}

/** The clock of this process; it keeps no process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, run) => {
    if (ms <= 0) {
      // A timer of 0 ms takes 1.
      const immediate = setImmediate(run);
      return () => clearImmediate(immediate);
    }
    const timer = setTimeout(run, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
