/**
 * Changes of several records as one file of the folder, written before any of their own files: once it has its name they are made, and whoever opens the folder after
 * a crash finishes them. It goes when all of them are in their own files.
 *
 *   tokenmesh-changes 1 SHA256\n   of the rest
 *   [{"key", "version", "value"}]  a deletion has neither version nor value
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { ServerError } from "../../errors.ts";
import { replaceFile, synced, TEMPORARY } from "./durable-file.ts";
import { MAX_CHANGE_BYTES, MAX_CHANGES } from "./limits.ts";
import { encodeRecord, fileNameOf } from "./record-file.ts";
import { isKey, type StoredRecord } from "./store.ts";

/** No record has this name: those have another ending. */
export const CHANGE_FILE = "tokenmesh.changes";

const MARK = "tokenmesh-changes 1";
/** A control character has six bytes in JSON; keys and versions are some 300 characters. */
const MAX_FILE_BYTES = 6 * MAX_CHANGE_BYTES + 1_024 * MAX_CHANGES;

/** A record as it is to be; undefined: gone. */
export type FileChange = readonly [key: string, record: StoredRecord | undefined];

/** When it resolves, the changes are made, whatever happens after it. */
export async function writeChanges(folder: string, changes: readonly FileChange[]): Promise<void> {
  const path = join(folder, CHANGE_FILE);
  await replaceFile(path, encodeChanges(changes));
  try {
    await synced(folder, "r");
  } catch (error) {
    // It might still be there after a crash, and was told to have failed.
    await rm(path, { force: true });
    throw error;
  }
}

/** Makes records of the changes. To do it again does no harm. */
export async function finishChanges(folder: string, changes: readonly FileChange[]): Promise<void> {
  for (const [key, record] of changes) {
    const path = join(folder, fileNameOf(key));
    if (record === undefined) await rm(path, { force: true });
    else await replaceFile(path, encodeRecord(key, record));
  }
  // Were the file gone before the names are on the disk, a power cut could leave some of them.
  await synced(folder, "r");
  await rm(join(folder, CHANGE_FILE), { force: true });
  await synced(folder, "r");
}

/** What a process that has ended in between did not finish. @throws ServerError TM_STATE_DAMAGED */
export async function recoverChanges(folder: string): Promise<void> {
  const path = join(folder, CHANGE_FILE);
  rmSync(path + TEMPORARY, { force: true });
  if (!existsSync(path)) return;
  const changes = statSync(path).size <= MAX_FILE_BYTES ? decodeChanges(readFileSync(path)) : undefined;
  if (changes === undefined) throw new ServerError("TM_STATE_DAMAGED", `1 of the files in ${folder}: ${CHANGE_FILE}`);
  await finishChanges(folder, changes);
}

export function encodeChanges(changes: readonly FileChange[]): Buffer {
  const text = JSON.stringify(changes.map(([key, record]) => ({ key, ...record })));
  return Buffer.from(`${MARK} ${checksum(text)}\n${text}`);
}

/** Undefined when these are not the bytes that were written. */
export function decodeChanges(bytes: Buffer): readonly FileChange[] | undefined {
  const text = bytes.toString("utf8");
  const end = text.indexOf("\n");
  const body = text.slice(end + 1);
  if (end < 0 || text.slice(0, end) !== `${MARK} ${checksum(body)}`) return undefined;
  const entries = JSON.parse(body) as readonly ({ readonly key: string } & Partial<StoredRecord>)[];
  if (!entries.every(({ key }) => isKey(key))) return undefined;
  return entries.map(({ key, value, version }) => [
    key,
    value === undefined || version === undefined ? undefined : { value, version },
  ]);
}

const checksum = (text: string): string => createHash("sha256").update(text).digest("hex");
