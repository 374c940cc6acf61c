/**
 * Records in Redis (7) or Valkey, for any number of servers. A change is one Lua script and one round trip, and is published; who watches looks then, and once a
 * second, and fetches the values that are new to it.
 *
 * Redis may lose everything (FLUSHALL, a crash without persistence). What is watched is known to every server, so whoever finds it gone puts it back, and what the one
 * that has heard most has heard counts: see restoration.ts. To remove records, delete them.
 */
import type { RedisOptions } from "../redis/connection.ts";
import { RedisSubscriber } from "../redis/subscriber.ts";
import { StoreError } from "../store-error.ts";
import { LOOK_MS, MAX_READS, MAX_REDIS_CALLS, MAX_WATCHES, REDIS_TIMEOUT_MS } from "./limits.ts";
import { type Index, RedisRecords } from "./redis-records.ts";
import { restoration } from "./restoration.ts";
import {
  type ChangesResult,
  checkChanges,
  checkKey,
  checkRecord,
  type ExpectedVersion,
  type PutResult,
  type RecordChange,
  type RecordObserver,
  type RecordStore,
  type StoredRecord,
} from "./store.ts";
import { Telling } from "./telling.ts";

export interface RedisRecordStoreOptions extends RedisOptions {
  /** Before every key; default "tokenmesh:". */
  readonly prefix?: string;
}

export class RedisRecordStore implements RecordStore {
  readonly #records: RedisRecords;
  readonly #subscriber: RedisSubscriber;
  readonly #watches = new Set<Telling>();
  readonly #timer: NodeJS.Timeout;
  /** The last change that every watch was told of; "" when one of them was not. */
  #last = "";
  #epoch = "";
  /** The last change that is in what the watches were told. */
  #knownTo = "";
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  #closed = false;

  /** Connects by itself; until then calls fail. @throws ServerError TM_USAGE for what is no URL of Redis */
  constructor(options: RedisRecordStoreOptions) {
    const { prefix = "tokenmesh:", timeoutMs = REDIS_TIMEOUT_MS, maxInFlight = MAX_REDIS_CALLS } = options;
    const onState = (up: boolean, reason: string) => {
      options.onState?.(up, reason);
      if (up) this.#look();
    };
    this.#records = new RedisRecords({ ...options, timeoutMs, maxInFlight, onState }, prefix);
    this.#subscriber = new RedisSubscriber(options, this.#records.channel, () => this.#look());
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  get up(): boolean {
    return this.#records.up;
  }

  async list(prefix: string): Promise<ReadonlyMap<string, StoredRecord>> {
    this.#check();
    for (let attempt = 0; attempt < MAX_READS; attempt++) {
      const records = await this.#read(prefix, await this.#records.index(""), undefined);
      if (records !== undefined) return records;
    }
    throw new StoreError("unavailable", "Redis loses its records again and again");
  }

  async get(key: string): Promise<StoredRecord | undefined> {
    this.#check();
    checkKey(key);
    return this.#records.get(key);
  }

  async put(key: string, value: string, { expected }: ExpectedVersion = {}): Promise<PutResult> {
    this.#check();
    checkRecord(key, value);
    return this.#records.change(key, value, expected);
  }

  async delete(key: string, { expected }: ExpectedVersion = {}): Promise<PutResult> {
    this.#check();
    checkKey(key);
    return this.#records.change(key, undefined, expected);
  }

  async changeAll(changes: readonly RecordChange[]): Promise<ChangesResult> {
    this.#check();
    checkChanges(changes);
    return this.#records.changeAll(changes);
  }

  watch(prefix: string, observer: RecordObserver): () => void {
    this.#check();
    if (this.#watches.size >= MAX_WATCHES) throw new StoreError("busy", `${MAX_WATCHES} watches are open`);
    const telling = new Telling(prefix, observer);
    this.#watches.add(telling);
    this.#last = "";
    // The first connection may take a moment, and is no failure until the next look.
    if (this.up) setImmediate(() => this.#look());
    return () => {
      telling.end();
      this.#watches.delete(telling);
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    for (const telling of this.#watches) telling.end();
    this.#watches.clear();
    this.#subscriber.close();
    this.#records.close();
    await this.#looking;
  }

  /** What is asked for while a look is under way begins when that has ended: it may have looked before the change. */
  #look(): void {
    if (this.#closed || this.#watches.size === 0) return;
    if (this.#looking !== undefined) {
      this.#lookAgain = true;
      return;
    }
    this.#looking = this.#lookOnce().then(() => {
      this.#looking = undefined;
      if (!this.#lookAgain) return;
      this.#lookAgain = false;
      this.#look();
    });
  }

  async #lookOnce(): Promise<void> {
    const watches = [...this.#watches];
    try {
      const index = await this.#records.index(this.#last);
      const { epoch, last, versions } = index;
      const isLost = this.#epoch !== "" && epoch !== this.#epoch;
      if (isLost && (await this.#restore(watches, versions ?? new Map()))) {
        this.#epoch = "";
        this.#last = "";
        this.#lookAgain = true;
        return;
      }
      this.#epoch = epoch;
      for (const watch of watches) {
        const changed = versions !== undefined;
        const records = changed ? await this.#read(watch.prefix, index, watch.known) : watch.failing && watch.known;
        if (records) watch.records(records);
        else if (changed) {
          this.#lookAgain = true;
          return;
        }
      }
      this.#knownTo = last;
      // A watch that has come meanwhile was told of nothing.
      this.#last = [...this.#watches].every((watch) => watches.includes(watch)) ? last : "";
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      if (!this.#closed) for (const watch of watches) watch.failed(failure);
    }
  }

  /**
   * What there is below a prefix, as it was at one time: a value that was changed after the index was read is read again with a newer one. Where others change records
   * faster than they can be read, what was read last counts.
   * @returns undefined when Redis has lost its records meanwhile
   */
  async #read(prefix: string, index: Index, known: ReadonlyMap<string, StoredRecord> | undefined) {
    let { versions = new Map<string, string>() } = index;
    let held = known;
    for (let attempt = 1; ; attempt++) {
      const all = new Map<string, StoredRecord>();
      const keys = [...versions.keys()].filter((key) => key.startsWith(prefix));
      for (const key of keys) {
        const record = held?.get(key);
        if (record !== undefined && record.version === versions.get(key)) all.set(key, record);
      }
      const missing = await this.#records.values(keys.filter((key) => !all.has(key)));
      for (const [key, record] of missing) all.set(key, record);
      if (attempt === MAX_READS || keys.every((key) => all.get(key)?.version === versions.get(key))) return all;
      const next = await this.#records.index("");
      if (next.epoch !== index.epoch) return undefined;
      versions = next.versions ?? versions;
      held = all;
    }
  }

  /** Whether anything is known that could be put back. */
  async #restore(watches: readonly Telling[], versions: ReadonlyMap<string, string>): Promise<boolean> {
    const known = watches.flatMap(({ prefix, known: records }) => (records === undefined ? [] : [{ prefix, records }]));
    for (const step of restoration(known, this.#knownTo, versions)) await this.#records.restore(step);
    for (const { prefix } of known) await this.#records.restored(prefix, this.#knownTo);
    return known.length > 0;
  }

  #check(): void {
    if (this.#closed) throw new StoreError("unavailable", "the store is closed");
  }
}
