/**
 * Records in a folder, for one server on one machine: a file for each, and all of them in memory. A change is a new file that takes the old one's name once it
 * is on the disk, so a process that is killed at any moment, or a machine that loses power, leaves the old record or the new one.
 *
 * What is not what was written (a damaged disk, an edit by hand) stops the server from starting: going on without a document or with half of the weights would
 * change traffic, and nobody would know.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { ServerError } from "../../errors.ts";
import { StoreError } from "../store-error.ts";
import { FileLock } from "./file-lock.ts";
import { MAX_RECORDS, MAX_STORE_BYTES } from "./limits.ts";
import { matches } from "./memory-store.ts";
import { below, Observers } from "./observers.ts";
import { decodeRecord, encodeRecord, fileNameOf, keyOf, MAX_FILE_BYTES } from "./record-file.ts";
import {
  checkKey,
  checkRecord,
  type ExpectedVersion,
  type PutResult,
  type RecordObserver,
  type RecordStore,
  type StoredRecord,
} from "./store.ts";

const TEMPORARY = ".new";

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
      if (bytes > MAX_STORE_BYTES || (current === undefined && this.#records.size >= MAX_RECORDS))
        throw new StoreError("busy", `the folder is full: ${this.#records.size} records, ${this.#bytes} bytes`);
      const record = { value, version: `${this.#run}-${++this.#changes}` };
      await this.#write(key, record);
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
    const result = this.#last.then(async (): Promise<PutResult> => {
      this.#check();
      const current = this.#records.get(key);
      if (!matches(current, expected)) return { ok: false, current };
      if (!this.#lock.held) throw new StoreError("unavailable", `the lock of ${this.#folder} is another process's`);
      try {
        const version = await make(current);
        if (this.#records.get(key) !== current) this.#observers.changed(key);
        // Names are in the folder's own data: without this a power cut could bring the old one back.
        await synced(this.#folder, "r");
        return { ok: true, version };
      } catch (error) {
        if (error instanceof StoreError) throw error;
        throw new StoreError("failed", `${key} cannot be written: ${messageOf(error)}`, { cause: error });
      }
    });
    this.#last = result.catch(() => {});
    return result;
  }

  async #write(key: string, record: StoredRecord): Promise<void> {
    const temporary = this.#path(key) + TEMPORARY;
    try {
      await synced(temporary, "w", encodeRecord(key, record));
      await rename(temporary, this.#path(key));
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
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

/** Writes `bytes`, if any, and waits for the disk. */
async function synced(path: string, flags: "r" | "w", bytes?: Buffer): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, flags, 0o600);
    if (bytes !== undefined) await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle?.close();
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
