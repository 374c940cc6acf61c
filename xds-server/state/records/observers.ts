/** The watches of a store that has all of its records in memory. An observer is called in a turn of its own, once for all changes before it. */
import { StoreError } from "../store-error.ts";
import { MAX_WATCHES } from "./limits.ts";
import type { RecordObserver, StoredRecord } from "./store.ts";

interface Watch {
  readonly prefix: string;
  readonly observer: RecordObserver;
  due: NodeJS.Immediate | undefined;
}

export class Observers {
  readonly #watches = new Set<Watch>();
  readonly #records: ReadonlyMap<string, StoredRecord>;

  /** @param records the live map of the store */
  constructor(records: ReadonlyMap<string, StoredRecord>) {
    this.#records = records;
  }

  /** @throws StoreError `busy` beyond MAX_WATCHES */
  add(prefix: string, observer: RecordObserver): () => void {
    if (this.#watches.size >= MAX_WATCHES) throw new StoreError("busy", `${MAX_WATCHES} watches are open`);
    const watch: Watch = { prefix, observer, due: undefined };
    this.#watches.add(watch);
    this.#schedule(watch);
    return () => this.#end(watch);
  }

  /** The record of this key is another, or gone. */
  changed(key: string): void {
    for (const watch of this.#watches) if (key.startsWith(watch.prefix)) this.#schedule(watch);
  }

  close(): void {
    for (const watch of this.#watches) this.#end(watch);
  }

  #schedule(watch: Watch): void {
    watch.due ??= setImmediate(() => {
      watch.due = undefined;
      watch.observer.records(below(this.#records, watch.prefix));
    });
  }

  #end(watch: Watch): void {
    if (watch.due !== undefined) clearImmediate(watch.due);
    watch.due = undefined;
    this.#watches.delete(watch);
  }
}

/** Those whose key begins with `prefix`. */
export function below(records: ReadonlyMap<string, StoredRecord>, prefix: string): ReadonlyMap<string, StoredRecord> {
  return new Map([...records].filter(([key]) => key.startsWith(prefix)));
}
