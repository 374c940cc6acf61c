/** A store in memory that can be away: calls fail, and watches are told so. */
import { MemoryRecords, MemoryStore } from "../../xds-server/state/records/memory-store.ts";
import type { RecordObserver, RecordStore } from "../../xds-server/state/records/store.ts";
import { StoreError } from "../../xds-server/state/store-error.ts";

export class AwayStore implements RecordStore {
  readonly #inner: MemoryStore;
  readonly #watches = new Map<RecordObserver, { readonly prefix: string; end: () => void }>();
  #away = false;
  /** Keys of all puts and deletions that were asked for. */
  readonly writes: string[] = [];

  constructor(records = new MemoryRecords()) {
    this.#inner = new MemoryStore(records);
  }

  leave(): void {
    this.#away = true;
    for (const [observer, watch] of this.#watches) {
      watch.end();
      observer.failed(new StoreError("unavailable", "away"));
    }
  }

  comeBack(): void {
    this.#away = false;
    for (const [observer, watch] of this.#watches) watch.end = this.#inner.watch(watch.prefix, observer);
  }

  readonly list: RecordStore["list"] = (prefix) => this.#call(() => this.#inner.list(prefix));
  readonly get: RecordStore["get"] = (key) => this.#call(() => this.#inner.get(key));
  readonly put: RecordStore["put"] = (...args) => {
    this.writes.push(args[0]);
    return this.#call(() => this.#inner.put(...args));
  };
  readonly delete: RecordStore["delete"] = (...args) => {
    this.writes.push(args[0]);
    return this.#call(() => this.#inner.delete(...args));
  };

  readonly changeAll: RecordStore["changeAll"] = (changes) => {
    this.writes.push(...changes.map(({ key }) => key));
    return this.#call(() => this.#inner.changeAll(changes));
  };

  /** As a store that was never connected: the watch hears nothing until it comes. */
  watch(prefix: string, observer: RecordObserver): () => void {
    const watch = { prefix, end: this.#away ? () => {} : this.#inner.watch(prefix, observer) };
    this.#watches.set(observer, watch);
    return () => {
      watch.end();
      this.#watches.delete(observer);
    };
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #call<T>(make: () => Promise<T>): Promise<T> {
    if (this.#away) throw new StoreError("unavailable", "away");
    return make();
  }
}
