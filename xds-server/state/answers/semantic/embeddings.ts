/**
 * Embeds texts by an endpoint: what is asked for in one turn of the event loop, or while all calls are under way, goes out together. Texts that a request waits for
 * come first. An endpoint that fails is left alone for a while.
 */
import { CircuitBreaker } from "./circuit-breaker.ts";
import { callEmbeddings, EmbeddingError, type EmbeddingFailure, type EmbeddingsEndpoint } from "./embeddings-call.ts";
import { DEFAULT_BATCH, LATER_TIMEOUT_MS, MAX_CALLS, MAX_LATER, MAX_URGENT } from "./limits.ts";

export interface EmbeddingsOptions extends EmbeddingsEndpoint {
  /** Longest time for a text that a request waits for, with its waiting, ms. */
  readonly timeoutMs: number;
  /** Texts of one call. */
  readonly batch?: number | undefined;
  /** Told of each call. @param seconds that it took */
  readonly onCall?: (result: "ok" | EmbeddingFailure, seconds: number, message: string) => void;
  /** ms, of a clock that never goes back. */
  readonly now?: () => number;
}

interface Waiting {
  readonly text: string;
  readonly endsAt: number;
  readonly resolve: (vector: Float32Array) => void;
  readonly reject: (error: EmbeddingError) => void;
}

export class Embeddings {
  readonly #options: EmbeddingsOptions;
  readonly #breaker: CircuitBreaker;
  readonly #now: () => number;
  readonly #urgent: Waiting[] = [];
  readonly #later: Waiting[] = [];
  readonly #closing = new AbortController();
  #calls = 0;
  #gathering = false;

  constructor(options: EmbeddingsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#breaker = new CircuitBreaker(this.#now);
  }

  /** False while the endpoint is left alone because it failed. */
  get up(): boolean {
    return this.#breaker.healthy;
  }

  /** Texts that wait for a call. */
  get waiting(): number {
    return this.#urgent.length + this.#later.length;
  }

  /** A vector of unit length. @param urgent a request waits for it @throws EmbeddingError */
  embed(text: string, urgent: boolean): Promise<Float32Array> {
    if (this.#breaker.open) return Promise.reject(leftAlone());
    const [queue, most] = urgent ? [this.#urgent, MAX_URGENT] : [this.#later, MAX_LATER];
    if (queue.length >= most) return Promise.reject(new EmbeddingError("busy", `${most} texts wait`));
    return new Promise((resolve, reject) => {
      const { timeoutMs } = this.#options;
      const timer = urgent ? setTimeout(() => reject(tooLate(timeoutMs)), timeoutMs) : undefined;
      const settled =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          settle(value);
        };
      const endsAt = urgent ? this.#now() + timeoutMs : Number.POSITIVE_INFINITY;
      queue.push({ text, endsAt, resolve: settled(resolve), reject: settled(reject) });
      if (this.#gathering) return;
      this.#gathering = true;
      setImmediate(() => {
        this.#gathering = false;
        this.#send();
      });
    });
  }

  /** Fails what waits and what is under way. */
  close(): void {
    this.#closing.abort();
    this.#drop(new EmbeddingError("failed", "the server stops"));
  }

  #send(): void {
    while (this.waiting > 0 && this.#calls < MAX_CALLS) {
      if (this.#breaker.open) {
        this.#drop(leftAlone());
        return;
      }
      const urgent = this.#urgent.length > 0;
      const taken = (urgent ? this.#urgent : this.#later).splice(0, this.#options.batch ?? DEFAULT_BATCH);
      // Nobody waits any more for those that have waited too long here.
      const batch = taken.filter(({ endsAt }) => endsAt > this.#now());
      if (batch.length === 0) continue;
      this.#breaker.begin();
      this.#calls++;
      void this.#settle(batch, urgent ? this.#options.timeoutMs : LATER_TIMEOUT_MS).then(() => {
        this.#calls--;
        this.#send();
      });
    }
  }

  /** Never rejects. One text that the endpoint does not want must not fail the others: then each goes by itself. */
  async #settle(batch: readonly Waiting[], timeoutMs: number): Promise<void> {
    const refused = await this.#call(batch, timeoutMs);
    if (refused === undefined) return;
    for (const each of batch) {
      const error =
        batch.length === 1 ? refused : this.#breaker.open ? leftAlone() : await this.#call([each], timeoutMs);
      if (error !== undefined) each.reject(error);
    }
  }

  /** Settles all of them, but when they are refused. */
  async #call(batch: readonly Waiting[], timeoutMs: number): Promise<EmbeddingError | undefined> {
    const { onCall = () => {} } = this.#options;
    const began = this.#now();
    const seconds = () => (this.#now() - began) / 1_000;
    try {
      const vectors = await callEmbeddings(
        this.#options,
        batch.map(({ text }) => text),
        timeoutMs,
        this.#closing.signal,
      );
      this.#breaker.succeeded();
      onCall("ok", seconds(), "");
      for (const [index, vector] of vectors.entries()) batch[index]?.resolve(vector);
    } catch (error) {
      const failure = error instanceof EmbeddingError ? error : new EmbeddingError("failed", String(error));
      onCall(failure.reason, seconds(), failure.message);
      if (failure.reason === "refused") {
        this.#breaker.succeeded();
        return failure;
      }
      this.#breaker.failed();
      for (const { reject } of batch) reject(failure);
    }
    return undefined;
  }

  #drop(error: EmbeddingError): void {
    for (const queue of [this.#urgent, this.#later]) for (const { reject } of queue.splice(0)) reject(error);
  }
}

const leftAlone = (): EmbeddingError =>
  new EmbeddingError("open", "the endpoint has failed, and is left alone for a while");

const tooLate = (timeoutMs: number): EmbeddingError => new EmbeddingError("timeout", `no embedding in ${timeoutMs} ms`);
