/**
 * Records in a folder, for one server on one machine: a file for each, and all of them in memory. A change is a new file that takes the old one's name once it
 * is on the disk, so a process that is killed at any moment, or a machine that loses power, leaves the old record or the new one. Several at once are written to one
 * file first (change-file.ts).
 *
 * What is not what was written (a damaged disk, an edit by hand) stops the server from starting: going on without a document or with half of the weights would
 * change traffic, and nobody would know.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { ServerError } from "../../errors.ts";
import { StoreError } from "../store-error.ts";
import { type FileChange, finishChanges, recoverChanges, writeChanges } from "./change-file.ts";
import { replaceFile, synced, TEMPORARY } from "./durable-file.ts";
import { FileLock } from "./file-lock.ts";
import { MAX_RECORDS, MAX_STORE_BYTES } from "./limits.ts";
import { firstConflict, matches, sizeAfter } from "./memory-store.ts";
import { below, Observers } from "./observers.ts";
import { decodeRecord, encodeRecord, fileNameOf, keyOf, MAX_FILE_BYTES } from "./record-file.ts";
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

export class FileStore implements RecordStore {
  readonly #folder: string;
  readonly #lock: FileLock;
  readonly #records: Map<string, StoredRecord>;
  readonly #observers: Observers;
  /** Versions begin with it: those of an earlier run never come again. */
  readonly #run = randomBytes(6).toString("hex");
  #changes = 0;
  #bytes = 0;
  #closed = false;
  /** Changes that are made and could not be written to their own files: nothing else is written before they are, or a start would bring them back. */
  #unfinished: readonly FileChange[] | undefined;
  /** Changes are made one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(folder: string, lock: FileLock, records: Map<string, StoredRecord>) {
    this.#folder = folder;
    this.#lock = lock;
    this.#records = records;
    this.#observers = new Observers(records);
    for (const { value } of records.values()) this.#bytes += Buffer.byteLength(value);
  }

  /**
   * Makes the folder when there is none.
   * @throws ServerError TM_STATE_LOCKED, TM_STATE_DAMAGED; TM_USAGE for what cannot be a folder of state
   */
  static async open(folder: string): Promise<FileStore> {
    const lock = await takeFolder(folder);
    try {
      await recoverChanges(folder);
      return new FileStore(folder, lock, readRecords(folder));
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  async list(prefix: string): Promise<ReadonlyMap<string, StoredRecord>> {
    this.#check();
    return below(this.#records, prefix);
  }

  async get(key: string): Promise<StoredRecord | undefined> {
    this.#check();
    checkKey(key);
    return this.#records.get(key);
  }

  async put(key: string, value: string, { expected }: ExpectedVersion = {}): Promise<PutResult> {
    checkRecord(key, value);
    return this.#change(key, expected, async (current) => {
      const bytes = this.#bytes + Buffer.byteLength(value) - Buffer.byteLength(current?.value ?? "");
      this.#checkRoom(this.#records.size + Number(current === undefined), bytes);
      const record = { value, version: this.#next() };
      await replaceFile(this.#path(key), encodeRecord(key, record));
      this.#bytes = bytes;
      this.#records.set(key, record);
      return record.version;
    });
  }

  async delete(key: string, { expected }: ExpectedVersion = {}): Promise<PutResult> {
    checkKey(key);
    return this.#change(key, expected, async (current) => {
      if (current === undefined) return "";
      await rm(this.#path(key));
      this.#bytes -= Buffer.byteLength(current.value);
      this.#records.delete(key);
      return "";
    });
  }

  async changeAll(changes: readonly RecordChange[]): Promise<ChangesResult> {
    checkChanges(changes);
    return this.#turn(`${changes.length} records`, async (): Promise<ChangesResult> => {
      const conflict = firstConflict(this.#records, changes);
      if (conflict !== undefined) return conflict;
      await this.#ready();
      const made = changes
        .filter(({ key, value }) => value !== undefined || this.#records.has(key))
        .map(({ key, value }): FileChange => [key, value === undefined ? undefined : { value, version: this.#next() }]);
      if (made.length === 0) return { ok: true, versions: changes.map(() => "") };
      let bytes = this.#bytes;
      for (const [key, record] of made)
        bytes += Buffer.byteLength(record?.value ?? "") - Buffer.byteLength(this.#records.get(key)?.value ?? "");
      this.#checkRoom(sizeAfter(this.#records, changes), bytes);
      await writeChanges(this.#folder, made);
      this.#bytes = bytes;
      this.#unfinished = made;
      for (const [key, record] of made) {
        if (record === undefined) this.#records.delete(key);
        else this.#records.set(key, record);
        this.#observers.changed(key);
      }
      // They are made. What fails now is tried again before the next change, and at the next start.
      await this.#ready().catch(() => {});
      const versions = new Map(made.map(([key, record]) => [key, record?.version ?? ""]));
      return { ok: true, versions: changes.map(({ key }) => versions.get(key) ?? "") };
    });
  }

  watch(prefix: string, observer: RecordObserver): () => void {
    this.#check();
    return this.#observers.add(prefix, observer);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#observers.close();
    await this.#last;
    await this.#lock.release();
  }

  /** @param make changes file and map, and gives the version */
  #change(
    key: string,
    expected: string | null | undefined,
    make: (current: StoredRecord | undefined) => Promise<string>,
  ): Promise<PutResult> {
    return this.#turn(key, async (): Promise<PutResult> => {
      const current = this.#records.get(key);
      if (!matches(current, expected)) return { ok: false, current };
      await this.#ready();
      const version = await make(current);
      if (this.#records.get(key) !== current) this.#observers.changed(key);
      // Names are in the folder's own data: without this a power cut could bring the old one back.
      await synced(this.#folder, "r");
      return { ok: true, version };
    });
  }

  #turn<T>(what: string, run: () => Promise<T>): Promise<T> {
    const result = this.#last.then(async () => {
      this.#check();
      try {
        return await run();
      } catch (error) {
        if (error instanceof StoreError) throw error;
        throw new StoreError("failed", `${what} cannot be written: ${messageOf(error)}`, { cause: error });
      }
    });
    this.#last = result.catch(() => {});
    return result;
  }

  /** For a change of files. */
  async #ready(): Promise<void> {
    if (!this.#lock.held) throw new StoreError("unavailable", `the lock of ${this.#folder} is another process's`);
    if (this.#unfinished === undefined) return;
    await finishChanges(this.#folder, this.#unfinished);
    this.#unfinished = undefined;
  }

  /** Of a change that would make the folder hold so much. */
  #checkRoom(records: number, bytes: number): void {
    if (bytes <= MAX_STORE_BYTES && records <= MAX_RECORDS) return;
    throw new StoreError("busy", `the folder is full: ${this.#records.size} records, ${this.#bytes} bytes`);
  }

  #next(): string {
    return `${this.#run}-${++this.#changes}`;
  }

  #path(key: string): string {
    return join(this.#folder, fileNameOf(key));
  }

  #check(): void {
    if (this.#closed) throw new StoreError("unavailable", "the store is closed");
  }
}

/** Nobody else may read it: documents hold private keys. */
async function takeFolder(folder: string): Promise<FileLock> {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return await FileLock.take(folder);
  } catch (error) {
    if (error instanceof ServerError) throw error;
    throw new ServerError("TM_USAGE", `${folder} cannot hold the state: ${messageOf(error)}`);
  }
}

/** Also removes what a killed process has left half written. @throws ServerError TM_STATE_DAMAGED */
function readRecords(folder: string): Map<string, StoredRecord> {
  const records = new Map<string, StoredRecord>();
  const damaged: string[] = [];
  for (const name of readdirSync(folder)) {
    if (name.endsWith(TEMPORARY) && keyOf(name.slice(0, -TEMPORARY.length)) !== undefined) rmSync(join(folder, name));
    const key = keyOf(name);
    if (key === undefined) continue;
    const path = join(folder, name);
    const record = statSync(path).size <= MAX_FILE_BYTES ? decodeRecord(key, readFileSync(path)) : undefined;
    if (record === undefined) damaged.push(name);
    else records.set(key, record);
  }
  if (damaged.length > 0) {
    const shown = damaged.slice(0, 5).join(", ");
    throw new ServerError("TM_STATE_DAMAGED", `${damaged.length} of the files in ${folder}: ${shown}`);
  }
  return records;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
