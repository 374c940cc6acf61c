/** Records in memory, for tests and for a server whose state need not outlive it. Several stores may share one set of records, as replicas do. */
import { StoreError } from "../store-error.ts";
import { MAX_RECORDS } from "./limits.ts";
import { below, Observers } from "./observers.ts";
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

/** What several memory stores share. */
export class MemoryRecords {
  readonly records = new Map<string, StoredRecord>();
  readonly observers = new Observers(this.records);
  versions = 0;
}

export class MemoryStore implements RecordStore {
  readonly #shared: MemoryRecords;
  readonly #watches = new Set<() => void>();
  #closed = false;

  constructor(shared: MemoryRecords = new MemoryRecords()) {
    this.#shared = shared;
  }

  async list(prefix: string): Promise<ReadonlyMap<string, StoredRecord>> {
    this.#check();
    return below(this.#shared.records, prefix);
  }

  async get(key: string): Promise<StoredRecord | undefined> {
    this.#check();
    checkKey(key);
    return this.#shared.records.get(key);
  }

  async put(key: string, value: string, { expected }: ExpectedVersion = {}): Promise<PutResult> {
    this.#check();
    checkRecord(key, value);
    const { records, observers } = this.#shared;
    const current = records.get(key);
    if (!matches(current, expected)) return { ok: false, current };
    if (current === undefined && records.size >= MAX_RECORDS) throw new StoreError("busy", `${MAX_RECORDS} records`);
    const version = String(++this.#shared.versions);
    records.set(key, { value, version });
    observers.changed(key);
    return { ok: true, version };
  }

  async delete(key: string, { expected }: ExpectedVersion = {}): Promise<PutResult> {
    this.#check();
    checkKey(key);
    const { records, observers } = this.#shared;
    const current = records.get(key);
    if (!matches(current, expected)) return { ok: false, current };
    if (records.delete(key)) observers.changed(key);
    return { ok: true, version: "" };
  }

  async changeAll(changes: readonly RecordChange[]): Promise<ChangesResult> {
    this.#check();
    checkChanges(changes);
    const { records, observers } = this.#shared;
    const conflict = firstConflict(records, changes);
    if (conflict !== undefined) return conflict;
    if (sizeAfter(records, changes) > MAX_RECORDS) throw new StoreError("busy", `${MAX_RECORDS} records`);
    const versions = changes.map(({ key, value }) => {
      const version = value === undefined ? "" : String(++this.#shared.versions);
      if (value !== undefined) records.set(key, { value, version });
      else if (!records.delete(key)) return "";
      observers.changed(key);
      return version;
    });
    return { ok: true, versions };
  }

  watch(prefix: string, observer: RecordObserver): () => void {
    this.#check();
    const end = this.#shared.observers.add(prefix, observer);
    this.#watches.add(end);
    return () => {
      this.#watches.delete(end);
      end();
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const end of this.#watches) end();
  }

  #check(): void {
    if (this.#closed) throw new StoreError("unavailable", "the store is closed");
  }
}

/** Whether what there is is what the caller knows. */
export function matches(current: StoredRecord | undefined, expected: string | null | undefined): boolean {
  return expected === undefined || (current?.version ?? null) === expected;
}

/** Of changes that are made together: what the first is told that is not as expected. */
export function firstConflict(
  records: ReadonlyMap<string, StoredRecord>,
  changes: readonly RecordChange[],
): (ChangesResult & { readonly ok: false }) | undefined {
  for (const { key, expected } of changes) {
    const current = records.get(key);
    if (!matches(current, expected)) return { ok: false, key, current };
  }
  return undefined;
}

/** How many records there are after the changes. */
export function sizeAfter(records: ReadonlyMap<string, StoredRecord>, changes: readonly RecordChange[]): number {
  let size = records.size;
  for (const { key, value } of changes) size += Number(value !== undefined) - Number(records.has(key));
  return size;
}
