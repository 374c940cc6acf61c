/**
 * Streams that may have something to send. Each is in the queue at most once, however much happened to it; so requests that come in one burst are answered
 * together, in push order, and a change of the configuration is worked off in slices, between which the event loop reads what clients have to say.
 *
 * The first slice of a change is worked off in the turn that made it: before the event loop reads the answers to the change before, and before whoever asked for this one is
 * answered, which with ten streams takes longer than to send to all of them. Once in a turn: a flood of changes keeps nobody from being read.
 */

export interface Pushable {
  /** Sends what is due. @param clock what the clock shows now, ms */
  flush(clock: number): void;
}

export interface PushQueueOptions {
  /** Runs work in a later turn of the event loop. */
  readonly defer: (work: () => void) => void;
  /** Runs work when the code that runs now is done, in this turn. */
  readonly soon: (work: () => void) => void;
  /** Monotonic, ms. */
  readonly clock: () => number;
  /** How long one turn may send, ms; it finishes the stream it has begun. */
  readonly sliceMs: number;
}

export class PushQueue {
  readonly #options: PushQueueOptions;
  readonly #waiting = new Set<Pushable>();
  #deferred = false;
  /** There was a change in this turn. */
  #hurried = false;

  constructor(options: PushQueueOptions) {
    this.#options = options;
  }

  /** Streams that wait for their turn. */
  get size(): number {
    return this.#waiting.size;
  }

  add(stream: Pushable): void {
    this.#waiting.add(stream);
    this.#schedule();
  }

  /** For a change of the configuration. All that wait get their turn with it. */
  addChanged(stream: Pushable): void {
    this.add(stream);
    if (this.#hurried) return;
    this.#hurried = true;
    this.#options.soon(() => this.#drain());
  }

  /** For a stream that is over. */
  delete(stream: Pushable): void {
    this.#waiting.delete(stream);
  }

  #schedule(): void {
    if (this.#deferred || this.#waiting.size === 0) return;
    this.#deferred = true;
    this.#options.defer(() => {
      this.#deferred = false;
      this.#hurried = false;
      this.#drain();
    });
  }

  #drain(): void {
    const { clock, sliceMs } = this.#options;
    let now = clock();
    const end = now + sliceMs;
    for (const stream of this.#waiting) {
      this.#waiting.delete(stream);
      stream.flush(now);
      now = clock();
      if (now >= end) break;
    }
    this.#schedule();
  }
}
