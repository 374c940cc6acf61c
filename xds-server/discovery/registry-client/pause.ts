/** Waiting on a {@link Clock} that can be cut short. */
import type { Clock } from "../clock.ts";

/** Resolves after so many ms, at once when there are none, or as soon as `signal` fires. Never rejects. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted || ms <= 0) return resolve();
    const end = () => {
      stop();
      signal.removeEventListener("abort", end);
      resolve();
    };
    const stop = clock.after(ms, end);
    signal.addEventListener("abort", end, { once: true });
  });
}
