/** A store whose watch tells what a test wants when it wants, behind calls that take effect at once: as late and as old as a real one's may be. */
import { MemoryStore } from "../../xds-server/state/records/memory-store.ts";
import type { RecordObserver, RecordStore, StoredRecord } from "../../xds-server/state/records/store.ts";
import { StoreError } from "../../xds-server/state/store-error.ts";

export class ToldStore implements RecordStore {
  readonly inner = new MemoryStore();
  readonly #observers = new Map<RecordObserver, string>();
  /** Set: every call fails. */
  fault: StoreError | undefined;
  /** Called before the answer of a change reaches its caller. */
  beforeAnswer: () => void | Promise<void> = () => {};
  /** Called before what was read reaches its caller. */
  beforeGot: () => void | Promise<void> = () => {};
  gets = 0;
  lists = 0;

  readonly list: RecordStore["list"] = (prefix) => {
    this.lists++;
    return this.#call(async () => {
      const records = await this.inner.list(prefix);
      await this.beforeGot();
      return records;
    });
  };
  readonly get: RecordStore["get"] = (key) => {
    this.gets++;
    return this.#call(async () => {
      const record = await this.inner.get(key);
      await this.beforeGot();
      return record;
    });
  };
  readonly put: RecordStore["put"] = (...args) => this.#change(() => this.inner.put(...args));
  readonly delete: RecordStore["delete"] = (...args) => this.#change(() => this.inner.delete(...args));

  readonly changeAll: RecordStore["changeAll"] = (...args) => this.#change(() => this.inner.changeAll(...args));

  watch(prefix: string, observer: RecordObserver): () => void {
    this.#observers.set(observer, prefix);
    return () => this.#observers.delete(observer);
  }

  get watches(): number {
    return this.#observers.size;
  }

  /** @param all what the watches are told; without it, what there is now */
  async tell(all?: ReadonlyMap<string, StoredRecord>): Promise<void> {
    const records = all ?? (await this.inner.list(""));
    for (const [observer, prefix] of this.#observers)
      observer.records(new Map([...records].filter(([key]) => key.startsWith(prefix))));
  }

  fail(): void {
    for (const observer of this.#observers.keys()) observer.failed(new StoreError("unavailable", "away"));
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  async #call<T>(make: () => Promise<T>): Promise<T> {
    if (this.fault !== undefined) throw this.fault;
    return make();
  }

  async #change<T>(make: () => Promise<T>): Promise<T> {
    const result = await this.#call(make);
    await this.beforeAnswer();
    return result;
  }
}
