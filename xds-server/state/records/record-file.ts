/**
 * A record as a file: one line that says what it is, then the value as it is.
 *
 *   tokenmesh-record 1 VERSION SHA256\n   of key, version and value, so that a file under another name is none
 *   value                                 UTF-8, up to the end of the file
 */
import { createHash } from "node:crypto";
import { MAX_VALUE_BYTES } from "./limits.ts";
import { isKey, type StoredRecord } from "./store.ts";

const MARK = "tokenmesh-record 1";
const ENDING = ".record";
/** Its first line; versions are some twenty characters. */
const MAX_HEAD_BYTES = 256;
export const MAX_FILE_BYTES = MAX_VALUE_BYTES + MAX_HEAD_BYTES;

/** `/` is what a file name cannot have, and `+` what a key cannot have. */
export const fileNameOf = (key: string): string => `${key.replaceAll("/", "+")}${ENDING}`;

/** Undefined for a name that no record has. */
export function keyOf(fileName: string): string | undefined {
  if (!fileName.endsWith(ENDING)) return undefined;
  const key = fileName.slice(0, -ENDING.length).replaceAll("+", "/");
  return isKey(key) && fileNameOf(key) === fileName ? key : undefined;
}

export function encodeRecord(key: string, { value, version }: StoredRecord): Buffer {
  return Buffer.from(`${MARK} ${version} ${checksum(key, version, value)}\n${value}`);
}

/** Undefined when these are not the bytes that were written for this key. */
export function decodeRecord(key: string, bytes: Buffer): StoredRecord | undefined {
  const end = bytes.indexOf("\n");
  if (end < 0 || end > MAX_HEAD_BYTES) return undefined;
  const [, version, sum] =
    /^tokenmesh-record 1 ([0-9a-z-]+) ([0-9a-f]{64})$/.exec(bytes.toString("latin1", 0, end)) ?? [];
  const value = bytes.toString("utf8", end + 1);
  return version !== undefined && sum === checksum(key, version, value) ? { value, version } : undefined;
}

function checksum(key: string, version: string, value: string): string {
  return createHash("sha256").update(`${key}\n${version}\n`).update(value).digest("hex");
}
