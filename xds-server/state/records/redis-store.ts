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
import { LOOK_MS, MAX_REDIS_CALLS, MAX_WATCHES, REDIS_TIMEOUT_MS } from "./limits.ts";
import { RedisRecords } from "./redis-records.ts";
import { restoration } from "./restoration.ts";
import {
  checkKey,
  checkRecord,
  type ExpectedVersion,
  type PutResult,
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
    const { versions = new Map<string, string>() } = await this.#records.index("");
    return this.#records.values([...versions.keys()].filter((key) => key.startsWith(prefix)));
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
      const { epoch, last, versions } = await this.#records.index(this.#last);
      const isLost = this.#epoch !== "" && epoch !== this.#epoch;
      if (isLost && (await this.#restore(watches, versions ?? new Map()))) {
        this.#epoch = "";
        this.#last = "";
        this.#lookAgain = true;
        return;
      }
      this.#epoch = epoch;
      if (versions !== undefined) for (const watch of watches) watch.records(await this.#below(watch, versions));
      else for (const watch of watches) if (watch.failing && watch.known !== undefined) watch.records(watch.known);
      this.#knownTo = last;
      // A watch that has come meanwhile was told of nothing.
      this.#last = [...this.#watches].every((watch) => watches.includes(watch)) ? last : "";
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      if (!this.#closed) for (const watch of watches) watch.failed(failure);
    }
  }

  async #below({ prefix, known }: Telling, versions: ReadonlyMap<string, string>) {
    const keys = [...versions.keys()].filter((key) => key.startsWith(prefix));
    const all = new Map<string, StoredRecord>();
    for (const key of keys) {
      const record = known?.get(key);
      if (record !== undefined && record.version === versions.get(key)) all.set(key, record);
    }
    const missing = await this.#records.values(keys.filter((key) => !all.has(key)));
    for (const [key, record] of missing) all.set(key, record);
    return all;
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
