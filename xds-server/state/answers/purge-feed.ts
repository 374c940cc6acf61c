/**
 * Tells Envoys what was purged: each has a call that waits until there is something new, or for some seconds. A purge by this server is told in the same turn of the
 * event loop; one by another server with the same store is found out by looking, a few times a second, while anybody waits.
 */
import { LOOK_MS, MAX_ENVOYS, MAX_POLLERS, MAX_PURGES_PER_ANSWER } from "./limits.ts";
import type { PurgesAnswer, PurgesRequest } from "./protocol.ts";
import { type Purge, type PurgeState, type PurgeTarget, purgesSince } from "./purge.ts";
import type { AnswerStore } from "./store.ts";

interface Waiter {
  readonly request: PurgesRequest;
  readonly answer: (answer: PurgesAnswer) => void;
  readonly timer: NodeJS.Timeout;
}

export interface PurgeView {
  /** Of the newest purge; null while the store cannot say. */
  readonly sequence: number | null;
  readonly waiting: number;
  readonly envoys: readonly {
    readonly envoy: string;
    /** It has every purge. */
    readonly upToDate: boolean;
    readonly askedMsAgo: number;
  }[];
}

export class PurgeFeed {
  readonly #store: AnswerStore;
  readonly #now: () => number;
  readonly #waiters = new Set<Waiter>();
  /** In the order in which they asked. */
  readonly #envoys = new Map<string, { readonly epoch: string; readonly since: number; readonly at: number }>();
  /** What the store had when it was looked at last; undefined when that says nothing. */
  #state: PurgeState | undefined;
  #looking: Promise<void> | undefined;
  #nextLook: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param now ms since the epoch */
  constructor(store: AnswerStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** Calls that wait. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /**
   * Calls `answer` once: at once when there is news, else with the first, or without any when the time is over.
   * @returns ends the waiting without an answer; undefined when nobody more can wait
   */
  ask(request: PurgesRequest, answer: (answer: PurgesAnswer) => void): (() => void) | undefined {
    if (this.#closed || this.#waiters.size >= MAX_POLLERS) return undefined;
    this.#remember(request);
    const waiter: Waiter = {
      request,
      answer,
      timer: setTimeout(() => this.#end(waiter, this.#nothing(request)), request.waitMs),
    };
    this.#waiters.add(waiter);
    if (this.#state !== undefined) this.#tell(waiter, this.#state);
    if (this.#state === undefined || (this.#store.shared && this.#nextLook === undefined)) void this.#look();
    return () => {
      clearTimeout(waiter.timer);
      this.#waiters.delete(waiter);
    };
  }

  /** @throws StoreError: then it may have been done all the same */
  async purge(target: PurgeTarget): Promise<Purge> {
    const purge = await this.#store.purge(target, this.#now());
    // A look that is under way may have begun before.
    await this.#looking;
    await this.#look();
    return purge;
  }

  /** For people. */
  async view(): Promise<PurgeView> {
    const state = await this.#store.purges(this.#state, this.#now()).catch(() => this.#state);
    const envoys = [...this.#envoys].map(([envoy, { epoch, since, at }]) => ({
      envoy,
      upToDate: epoch === state?.epoch && since === state.sequence,
      askedMsAgo: Math.max(0, this.#now() - at),
    }));
    return { sequence: state?.sequence ?? null, waiting: this.waiting, envoys };
  }

  /** Answers all that wait. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#nextLook);
    for (const waiter of this.#waiters) this.#end(waiter, this.#nothing(waiter.request));
  }

  #look(): Promise<void> {
    this.#looking ??= this.#lookOnce();
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    clearTimeout(this.#nextLook);
    const state = await this.#store.purges(this.#state, this.#now()).catch(() => undefined);
    // From here on in one turn: whoever asks from now on has to see that nobody looks.
    this.#looking = undefined;
    this.#nextLook = undefined;
    if (state !== undefined) {
      this.#state = state;
      for (const waiter of this.#waiters) this.#tell(waiter, state);
    }
    if (this.#closed || !this.#store.shared) return;
    if (this.#waiters.size > 0) this.#nextLook = setTimeout(() => void this.#look(), LOOK_MS).unref();
    // What nobody keeps fresh would tell the next one old news.
    else this.#state = undefined;
  }

  #tell(waiter: Waiter, state: PurgeState): void {
    const { epoch, since } = waiter.request;
    if (epoch === state.epoch && since === state.sequence) return;
    const purges = purgesSince(state, epoch === state.epoch ? since : 0, MAX_PURGES_PER_ANSWER);
    const sequence = purges.at(-1)?.sequence ?? state.sequence;
    this.#end(waiter, { epoch: state.epoch, sequence, now: this.#now(), purges });
  }

  #nothing({ epoch, since }: PurgesRequest): PurgesAnswer {
    return { epoch, sequence: since, now: this.#now(), purges: [] };
  }

  #end(waiter: Waiter, answer: PurgesAnswer): void {
    clearTimeout(waiter.timer);
    if (this.#waiters.delete(waiter)) waiter.answer(answer);
  }

  #remember({ envoy, epoch, since }: PurgesRequest): void {
    if (envoy === "") return;
    this.#envoys.delete(envoy);
    this.#envoys.set(envoy, { epoch, since, at: this.#now() });
    const oldest = this.#envoys.keys().next();
    if (this.#envoys.size > MAX_ENVOYS && oldest.done !== true) this.#envoys.delete(oldest.value);
  }
}
