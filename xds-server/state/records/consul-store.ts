/**
 * Records in the KV store of Consul, for any number of servers. Who watches has a question open that Consul answers when something below the prefix has changed.
 *
 * Consul may lose everything (a new cluster under the old address), or its last part (a backup). What is watched is known to every server, so whoever finds that the
 * index went back puts back what is missing: of several that do, the first counts. To remove records, delete them.
 */
import { ServerError } from "../../errors.ts";
import { StoreError } from "../store-error.ts";
import { ConsulRecords } from "./consul-records.ts";
import { CONSUL_BACKOFF_MAX_MS, CONSUL_BACKOFF_MIN_MS, CONSUL_PAUSE_MS, MAX_WATCHES } from "./limits.ts";
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

export interface ConsulStoreOptions {
  /** http://host:port, or https. */
  readonly address: string;
  /** Before every key; default "tokenmesh/". */
  readonly prefix?: string;
  /** Of an ACL with key:write for the prefix; asked for before every call. */
  readonly token?: () => string;
}

export class ConsulStore implements RecordStore {
  readonly #records: ConsulRecords;
  readonly #ends = new Set<() => void>();
  #closed = false;

  /** @throws ServerError TM_USAGE for what is no address or prefix */
  constructor({ address, prefix = "tokenmesh/", token = () => "" }: ConsulStoreOptions) {
    const url = URL.canParse(address) ? new URL(address) : undefined;
    if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.pathname !== "/")
      throw new ServerError("TM_USAGE", "not an address of Consul, http://host:port or https://host:port");
    if (!/^([A-Za-z0-9_-][A-Za-z0-9._-]*\/)*$/.test(prefix))
      throw new ServerError("TM_USAGE", `${JSON.stringify(prefix)} is no prefix in Consul, such as tokenmesh/`);
    this.#records = new ConsulRecords({ address: url.origin, prefix, token });
  }

  async list(prefix: string): Promise<ReadonlyMap<string, StoredRecord>> {
    this.#check();
    return this.#records.list(prefix);
  }

  async get(key: string): Promise<StoredRecord | undefined> {
    this.#check();
    checkKey(key);
    return this.#records.get(key);
  }

  async put(key: string, value: string, { expected }: ExpectedVersion = {}): Promise<PutResult> {
    this.#check();
    checkRecord(key, value);
    return this.#records.put(key, value, expected);
  }

  async delete(key: string, { expected }: ExpectedVersion = {}): Promise<PutResult> {
    this.#check();
    checkKey(key);
    return this.#records.delete(key, expected);
  }

  async changeAll(changes: readonly RecordChange[]): Promise<ChangesResult> {
    this.#check();
    checkChanges(changes);
    return this.#records.changeAll(changes);
  }

  watch(prefix: string, observer: RecordObserver): () => void {
    this.#check();
    if (this.#ends.size >= MAX_WATCHES) throw new StoreError("busy", `${MAX_WATCHES} watches are open`);
    const telling = new Telling(prefix, observer);
    const ended = new AbortController();
    const end = () => {
      telling.end();
      ended.abort();
      this.#ends.delete(end);
    };
    this.#ends.add(end);
    void this.#follow(telling, ended.signal);
    return end;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const end of this.#ends) end();
    this.#records.close();
  }

  async #follow(telling: Telling, signal: AbortSignal): Promise<void> {
    let index = 0;
    let seen = 0;
    let backoff = CONSUL_BACKOFF_MIN_MS;
    while (!signal.aborted) {
      let pause = CONSUL_PAUSE_MS;
      try {
        const listing = await this.#records.watch(telling.prefix, telling.failing ? 0 : index, signal);
        const backwards = listing.index < seen;
        const missing = backwards ? [...(telling.known ?? [])].filter(([key]) => !listing.records.has(key)) : [];
        for (const [key, { value }] of missing) await this.#records.put(key, value, null);
        if (missing.length === 0) telling.records(listing.records);
        seen = listing.index;
        // An index that went back says nothing about what to wait for.
        index = backwards ? 0 : listing.index;
        backoff = CONSUL_BACKOFF_MIN_MS;
      } catch (error) {
        telling.failed(error instanceof Error ? error : new Error(String(error)));
        pause = backoff;
        backoff = Math.min(CONSUL_BACKOFF_MAX_MS, 2 * backoff);
      }
      await passed(pause, signal);
    }
  }

  #check(): void {
    if (this.#closed) throw new StoreError("unavailable", "the store is closed");
  }
}

/** Sooner when the signal says so. Keeps no process alive. */
function passed(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms).unref();
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
