/**
 * Admission of new streams: a bucket of permits that fills with time. A stream that finds none waits for one, a bounded time, in the order of arrival; what
 * would have to wait longer is refused at once. A first response costs far more than a push, and without this the streams that are there would wait for
 * thousands that are new (https://github.com/istio/istio/issues/35263).
 */

export interface AdmissionOptions {
  readonly perSecond: number;
  readonly burst: number;
  readonly waitMs: number;
  /** Monotonic, ms. */
  readonly clock: () => number;
}

export class Admission {
  readonly #options: AdmissionOptions;
  /** Below zero: permits that are promised to streams which wait. */
  #permits: number;
  #at: number;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#permits = options.burst;
    this.#at = options.clock();
  }

  /** How long a new stream has to wait, ms; undefined when that would be too long. */
  ask(): number | undefined {
    const { perSecond, burst, waitMs, clock } = this.#options;
    const now = clock();
    this.#permits = Math.min(burst, this.#permits + ((now - this.#at) * perSecond) / 1_000);
    this.#at = now;
    const wait = this.#permits >= 1 ? 0 : ((1 - this.#permits) * 1_000) / perSecond;
    if (wait > waitMs) return undefined;
    this.#permits--;
    return wait;
  }
}
