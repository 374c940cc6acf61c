/** Those who watch one service of a registry: they share its questions, and whoever comes late hears at once what the others know. */
import type { DiscoveryError } from "../errors.ts";
import type { DiscoveredEndpoint, ServiceObserver } from "../source.ts";

type Answer = { readonly all: readonly DiscoveredEndpoint[] } | { readonly error: DiscoveryError };

export class ServiceObservers {
  /** An entry per watch: one observer may watch twice. */
  readonly #watches = new Set<{ readonly observer: ServiceObserver; told: boolean }>();
  #last: Answer | undefined;

  get size(): number {
    return this.#watches.size;
  }

  /** What was said last goes to the observer too, soon, and not from within this call. */
  add(observer: ServiceObserver): () => void {
    const watch = { observer, told: false };
    this.#watches.add(watch);
    queueMicrotask(() => {
      if (this.#last !== undefined && !watch.told && this.#watches.has(watch)) this.#tell(watch, this.#last);
    });
    return () => {
      this.#watches.delete(watch);
    };
  }

  endpoints(all: readonly DiscoveredEndpoint[]): void {
    this.#tellAll({ all });
  }

  failed(error: DiscoveryError): void {
    this.#tellAll({ error });
  }

  /** Nobody hears anything from now on. */
  clear(): void {
    this.#watches.clear();
  }

  #tellAll(answer: Answer): void {
    this.#last = answer;
    // A copy: an observer may end its watch, or begin another, while it is told.
    for (const watch of [...this.#watches]) if (this.#watches.has(watch)) this.#tell(watch, answer);
  }

  #tell(watch: { readonly observer: ServiceObserver; told: boolean }, answer: Answer): void {
    watch.told = true;
    if ("all" in answer) watch.observer.endpoints(answer.all);
    else watch.observer.failed(answer.error);
  }
}
