/** Files that are on the disk when a call returns. A file gets its name when all of its bytes are there, so whoever reads it finds the old one or the new one. */
import { type FileHandle, open, rename, rm } from "node:fs/promises";

/** Ending of a file that has not got its name yet; what a killed process has left under it is worth nothing. */
export const TEMPORARY = ".new";

/** The bytes are on the disk; the name is when the folder is ({@link synced}). */
export async function replaceFile(path: string, bytes: Buffer): Promise<void> {
  const temporary = path + TEMPORARY;
  try {
    await synced(temporary, "w", bytes);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Writes `bytes`, if any, and waits for the disk. */
export async function synced(path: string, flags: "r" | "w", bytes?: Buffer): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, flags, 0o600);
    if (bytes !== undefined) await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle?.close();
  }
}
