/**
 * What must survive a restart and be the same for every replica: small texts under keys, changed by compare-and-set, watched by prefix. Implementations:
 * memory-store.ts (tests), file-store.ts (one machine), redis-store.ts, consul-store.ts and kubernetes-store.ts (several replicas). One suite holds for all of
 * them: test/state/record-store-suite.ts.
 *
 * Each record is atomic. Several are changed together by `changeAll`, and whoever watches is told of all of them or of none.
 */
import { ServerError } from "../../errors.ts";
import { MAX_CHANGE_BYTES, MAX_CHANGES, MAX_KEY_LENGTH, MAX_VALUE_BYTES } from "./limits.ts";

export interface StoredRecord {
  readonly value: string;
  /** Opaque. Another whenever the value is another; one that was given once never comes again under the same key, not even after a deletion or a restart of the store. */
  readonly version: string;
}

/** A conflict is a value: somebody else was faster, and `current` is what there is now (undefined: nothing). */
export type PutResult =
  /** `version` of the record; "" after a deletion. A put of the same value may keep the version. */
  { readonly ok: true; readonly version: string } | { readonly ok: false; readonly current: StoredRecord | undefined };

export interface ExpectedVersion {
  /** The version that there must be; null: none. Without it, whatever there is is replaced. */
  readonly expected?: string | null;
}

/** One of several changes that are made together. */
export interface RecordChange {
  readonly key: string;
  /** undefined: the record is to be removed. */
  readonly value: string | undefined;
  /** As in {@link ExpectedVersion}. */
  readonly expected?: string | null | undefined;
}

export type ChangesResult =
  /** `versions` in the order of the changes; "" of a deletion. */
  | { readonly ok: true; readonly versions: readonly string[] }
  /** Nothing was changed: the record under `key` is not the one that was expected. */
  | { readonly ok: false; readonly key: string; readonly current: StoredRecord | undefined };

export interface RecordObserver {
  /** Every record below the prefix. Called once with what there is, then when that has changed, and with the first good answer after a failure. Changes may come as one. */
  records(all: ReadonlyMap<string, StoredRecord>): void;
  /** The store cannot be read; what was told last still counts. Called once for each outage. */
  failed(error: Error): void;
}

export interface RecordStore {
  /** Records whose key begins with `prefix` ("" for all), in no order. @throws StoreError */
  list(prefix: string): Promise<ReadonlyMap<string, StoredRecord>>;
  /** @throws StoreError; ServerError TM_RECORD_INVALID for what is no key */
  get(key: string): Promise<StoredRecord | undefined>;
  /**
   * Durable when it resolves. When it fails with `unavailable`, it may have happened all the same.
   * @param value at most MAX_VALUE_BYTES
   * @throws StoreError; ServerError TM_RECORD_INVALID for a key or value that no store takes
   */
  put(key: string, value: string, options?: ExpectedVersion): Promise<PutResult>;
  /** Deleting what is not there succeeds, unless a version is expected. @throws like `put` */
  delete(key: string, options?: ExpectedVersion): Promise<PutResult>;
  /**
   * All of the changes, or none, whatever ends in between; a watch whose prefix they are below is told of them at once. Each key may stand once.
   * Like `put` when it fails: with `unavailable` all of it may have happened.
   * @throws StoreError; ServerError TM_RECORD_INVALID, and TM_STATE_TOO_LARGE for more than the store can do as one
   */
  changeAll(changes: readonly RecordChange[]): Promise<ChangesResult>;
  /** The observer is never called before this returns, nor after the returned function was called. */
  watch(prefix: string, observer: RecordObserver): () => void;
  /** Ends all watches and what is under way. */
  close(): Promise<void>;
}

export const isKey = (text: string): boolean => text.length <= MAX_KEY_LENGTH && /^[a-z0-9/._-]+$/.test(text);

/** @throws ServerError TM_RECORD_INVALID */
export function checkKey(key: string): void {
  if (isKey(key)) return;
  throw new ServerError("TM_RECORD_INVALID", `${JSON.stringify(key.slice(0, MAX_KEY_LENGTH))} is no key`);
}

/** @throws ServerError TM_RECORD_INVALID */
export function checkRecord(key: string, value: string): void {
  checkKey(key);
  const bytes = Buffer.byteLength(value);
  if (bytes > MAX_VALUE_BYTES) throw new ServerError("TM_RECORD_INVALID", `the value of ${key} has ${bytes} bytes`);
  // Half a surrogate pair would come back as another text.
  if (!value.isWellFormed()) throw new ServerError("TM_RECORD_INVALID", `the value of ${key} is no Unicode text`);
}

/** @throws ServerError TM_RECORD_INVALID, TM_STATE_TOO_LARGE */
export function checkChanges(changes: readonly RecordChange[]): void {
  const keys = new Set<string>();
  let bytes = 0;
  for (const { key, value } of changes) {
    if (value === undefined) checkKey(key);
    else checkRecord(key, value);
    if (keys.has(key)) throw new ServerError("TM_RECORD_INVALID", `${key} stands twice in one change`);
    keys.add(key);
    bytes += Buffer.byteLength(value ?? "");
  }
  if (changes.length > MAX_CHANGES)
    throw new ServerError("TM_STATE_TOO_LARGE", `${changes.length} records are more than ${MAX_CHANGES}`);
  if (bytes > MAX_CHANGE_BYTES)
    throw new ServerError("TM_STATE_TOO_LARGE", `the records have ${bytes} bytes, more than ${MAX_CHANGE_BYTES}`);
}
