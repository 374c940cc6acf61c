/** What one watch was told: nothing twice, a failure once, and after it the records again. For stores that find out by asking whether something has changed. */
import type { RecordObserver, StoredRecord } from "./store.ts";

export class Telling {
  readonly prefix: string;
  readonly #observer: RecordObserver;
  #known: ReadonlyMap<string, StoredRecord> | undefined;
  #failed = false;
  #ended = false;

  constructor(prefix: string, observer: RecordObserver) {
    this.prefix = prefix;
    this.#observer = observer;
  }

  /** What was told last; undefined before the first time. */
  get known(): ReadonlyMap<string, StoredRecord> | undefined {
    return this.#known;
  }

  get failing(): boolean {
    return this.#failed;
  }

  get ended(): boolean {
    return this.#ended;
  }

  records(all: ReadonlyMap<string, StoredRecord>): void {
    if (this.#ended || (!this.#failed && this.#known !== undefined && same(this.#known, all))) return;
    this.#failed = false;
    this.#known = all;
    this.#observer.records(all);
  }

  failed(error: Error): void {
    if (this.#ended || this.#failed) return;
    this.#failed = true;
    this.#observer.failed(error);
  }

  end(): void {
    this.#ended = true;
  }
}

function same(one: ReadonlyMap<string, StoredRecord>, other: ReadonlyMap<string, StoredRecord>): boolean {
  if (one.size !== other.size) return false;
  for (const [key, { version }] of one) if (other.get(key)?.version !== version) return false;
  return true;
}
