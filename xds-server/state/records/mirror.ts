/**
 * The records below a prefix, here: what the store tells, and at once what this server has written itself.
 *
 * A store may still tell of the time before a write when that has been answered. Where what is told differs from what was written here, the store is asked: its
 * answer to a question from after the write cannot be from before it.
 */
import type { Logger } from "../../log.ts";
import { RECHECK_MS } from "./limits.ts";
import type { ChangesResult, ExpectedVersion, PutResult, RecordChange, RecordStore, StoredRecord } from "./store.ts";

export interface MirrorOptions {
  readonly prefix: string;
  /** Called when records are others, or gone, and once with all there are. */
  readonly changed: (keys: ReadonlySet<string>) => void;
  /**
   * Records are changed several at a time, and are never taken over in part: where one is in question, the store is asked for all of them. Without it, for that one:
   * there may be thousands.
   */
  readonly together?: boolean;
  /** Called when the store is away (`failure` is set), and when it is back, after what it had to tell. */
  readonly availability?: () => void;
  readonly log: Logger;
}

export class RecordMirror {
  /** Resolves with the first answer of the store. */
  readonly ready: Promise<void>;
  readonly #store: RecordStore;
  readonly #options: MirrorOptions;
  readonly #records = new Map<string, StoredRecord>();
  /** Written here, and not yet told by the store as it is here. */
  readonly #own = new Set<string>();
  /** How often the store has told something: an answer that was under way meanwhile may be older than that, or newer. */
  #tellings = 0;
  /** How often this server has changed records. */
  #writes = 0;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #endWatch: () => void;
  #markReady: () => void = () => {};
  #started = false;
  #failure: Error | undefined;
  #closed = false;

  constructor(store: RecordStore, options: MirrorOptions) {
    this.#store = store;
    this.#options = options;
    this.ready = new Promise((resolve) => {
      this.#markReady = resolve;
    });
    const { prefix, log } = options;
    this.#endWatch = store.watch(prefix, {
      records: (all) => this.#tell(all),
      failed: (error) => {
        this.#failure = error;
        options.availability?.();
        log("warn", "the state store cannot be read; what was read last counts", { prefix, error: error.message });
      },
    });
  }

  get records(): ReadonlyMap<string, StoredRecord> {
    return this.#records;
  }

  /** There was a first answer. */
  get started(): boolean {
    return this.#started;
  }

  /** Why the store cannot be read; undefined while it can. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** In `records` when it resolves. @throws like RecordStore.put */
  put(key: string, value: string, options?: ExpectedVersion): Promise<PutResult> {
    return this.#write(key, () => this.#store.put(key, value, options), value);
  }

  /** @throws like RecordStore.delete */
  delete(key: string, options?: ExpectedVersion): Promise<PutResult> {
    return this.#write(key, () => this.#store.delete(key, options), undefined);
  }

  /** All of the changes, or none, with one call of `changed`. @throws like RecordStore.changeAll */
  async changeAll(changes: readonly RecordChange[]): Promise<ChangesResult> {
    const before = this.#tellings;
    const result = await this.#store.changeAll(changes);
    if (this.#closed) return result;
    this.#writes++;
    const keys = result.ok ? changes.map(({ key }) => key) : [result.key];
    for (const key of keys) this.#own.add(key);
    if (this.#tellings !== before) {
      await this.#refreshAll().catch(() => this.#recheckLater(undefined));
      return result;
    }
    const news = new Map<string, StoredRecord | undefined>();
    if (!result.ok) news.set(result.key, result.current);
    else
      for (const [index, { key, value }] of changes.entries())
        news.set(key, value === undefined ? undefined : { value, version: result.versions[index] ?? "" });
    this.#set(news);
    return result;
  }

  /** Asks the store, and takes its answer over. @throws like RecordStore.get */
  async refresh(key: string): Promise<StoredRecord | undefined> {
    for (;;) {
      const before = this.#tellings;
      const record = await this.#store.get(key);
      if (this.#tellings !== before) continue;
      this.#set(new Map([[key, record]]));
      return record;
    }
  }

  /** Leaves the store open. */
  close(): void {
    this.#closed = true;
    this.#endWatch();
    for (const timer of this.#timers) clearTimeout(timer);
  }

  async #write(key: string, send: () => Promise<PutResult>, value: string | undefined): Promise<PutResult> {
    const before = this.#tellings;
    const result = await send();
    if (this.#closed) return result;
    this.#writes++;
    this.#own.add(key);
    if (this.#tellings !== before) {
      await this.refresh(key).catch(() => this.#recheckLater(key));
      return result;
    }
    const written = value === undefined ? undefined : { value, version: result.ok ? result.version : "" };
    this.#set(new Map([[key, result.ok ? written : result.current]]));
    return result;
  }

  #tell(all: ReadonlyMap<string, StoredRecord>): void {
    const wasAway = this.#failure !== undefined;
    this.#failure = undefined;
    this.#tellings++;
    const news = new Map<string, StoredRecord | undefined>();
    const doubtful: string[] = [];
    for (const key of new Set([...this.#records.keys(), ...all.keys(), ...this.#own])) {
      const record = all.get(key);
      if (record?.version === this.#records.get(key)?.version) this.#own.delete(key);
      else if (this.#own.has(key)) doubtful.push(key);
      else news.set(key, record);
    }
    const first = !this.#started;
    this.#started = true;
    const whole = this.#options.together === true && doubtful.length > 0;
    if (whole) this.#recheck(undefined);
    else for (const key of doubtful) this.#recheck(key);
    // What is told beside it may belong to it. Only a beginning waits for nothing.
    if (first || !whole) this.#set(news, first);
    if (first) this.#markReady();
    if (wasAway) this.#options.availability?.();
  }

  /** @param key undefined: all that there are */
  #recheck(key: string | undefined): void {
    const refreshed = key === undefined ? this.#refreshAll() : this.refresh(key);
    refreshed.catch(() => this.#recheckLater(key));
  }

  #recheckLater(key: string | undefined): void {
    if (this.#closed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#recheck(key);
    }, RECHECK_MS).unref();
    this.#timers.add(timer);
  }

  /** Asks the store for all records, and takes them over as they are at one time. @throws StoreError */
  async #refreshAll(): Promise<void> {
    for (;;) {
      const [tellings, writes] = [this.#tellings, this.#writes];
      const all = await this.#store.list(this.#options.prefix);
      if (this.#closed) return;
      if (this.#tellings !== tellings || this.#writes !== writes) continue;
      const news = new Map<string, StoredRecord | undefined>();
      for (const key of new Set([...this.#records.keys(), ...all.keys()])) {
        const record = all.get(key);
        if (record?.version === this.#records.get(key)?.version) continue;
        news.set(key, record);
        // A watch may still tell of the time before it.
        this.#own.add(key);
      }
      this.#set(news);
      return;
    }
  }

  #set(news: ReadonlyMap<string, StoredRecord | undefined>, always = false): void {
    if (this.#closed) return;
    const changed = new Set<string>();
    for (const [key, record] of news) {
      if (record?.version === this.#records.get(key)?.version) continue;
      changed.add(key);
      if (record === undefined) this.#records.delete(key);
      else this.#records.set(key, record);
    }
    if (always || changed.size > 0) this.#options.changed(changed);
  }
}
