/**
 * Runs a ReplicaModel on a clock: begin, wait, complete, hand the tokens to their listeners.
 *
 * Clock and timer are injected: a replica passes the real ones, a unit test a virtual pair. Iterations are scheduled at absolute instants, so
 * that the one-millisecond granularity of timers does not add up over a long answer.
 */
import { ReplicaModel, type SequenceSpec, type TokenEvent } from "./model.ts";
import type { ReplicaTiming } from "./timing.ts";

export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Calls `action` once after `delayMs` (0: as soon as the caller has returned); the result cancels it. */
  after(delayMs: number, action: () => void): () => void;
}

export const realClock: Clock = {
  now: () => performance.now(),
  after: (delayMs, action) => {
    if (delayMs <= 0) {
      const immediate = setImmediate(action);
      return () => clearImmediate(immediate);
    }
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

type TokenListener = (token: TokenEvent) => void;

/** Iterations of zero length that run back to back before other work of the process gets its turn. */
const BURST_ITERATIONS = 64;

export class ReplicaEngine {
  readonly model: ReplicaModel;
  private readonly listeners = new Map<number, TokenListener>();
  private stopTimer: (() => void) | undefined;
  private busy = false;
  private dueAt = 0;

  constructor(
    timing: ReplicaTiming,
    readonly clock: Clock,
  ) {
    this.model = new ReplicaModel(timing);
  }

  /** Queues a sequence; `listener` is called once per token and never after `cancel` or `stop`. */
  submit(spec: SequenceSpec, listener: TokenListener): void {
    this.model.submit(spec);
    this.listeners.set(spec.id, listener);
    if (this.busy) return;
    this.busy = true;
    this.dueAt = this.clock.now();
    this.stopTimer = this.clock.after(0, () => this.run());
  }

  cancel(id: number): boolean {
    this.listeners.delete(id);
    return this.model.cancel(id);
  }

  stop(): void {
    this.stopTimer?.();
    this.stopTimer = undefined;
    this.listeners.clear();
  }

  private run(): void {
    for (let burst = 0; burst < BURST_ITERATIONS; burst++) {
      const iteration = this.model.begin();
      if (iteration === undefined) {
        this.busy = false;
        return;
      }
      this.dueAt += iteration.durationMs;
      const wait = this.dueAt - this.clock.now();
      if (wait > 0) {
        this.stopTimer = this.clock.after(wait, () => {
          this.deliver();
          this.run();
        });
        return;
      }
      this.deliver();
    }
    this.stopTimer = this.clock.after(0, () => this.run());
  }

  private deliver(): void {
    for (const token of this.model.complete()) {
      const listener = this.listeners.get(token.id);
      if (token.last) this.listeners.delete(token.id);
      listener?.(token);
    }
  }
}
