/**
 * The files of a configuration folder. Names that begin with a dot are skipped: editors' and tools' own files, and the `..data`
 * folders through which Kubernetes swaps a mounted ConfigMap (the visible names are symlinks into them, and symlinks are followed).
 */
import { type Dirent, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type ConfigError, Diagnostics } from "./diagnostics.ts";
import { MAX_FILE_BYTES, MAX_FILES, MAX_FOLDER_DEPTH, MAX_TOTAL_BYTES } from "./limits.ts";
import type { SourceFile } from "./parse.ts";

export interface FolderContent {
  readonly files: readonly SourceFile[];
  readonly errors: readonly ConfigError[];
}

const CONFIG_FILE = /\.(ya?ml|json)$/;

/** Reads all `.yaml`, `.yml` and `.json` files under the paths (files or folders) in byte order of their names. Never throws. */
export function readConfigFiles(paths: readonly string[]): FolderContent {
  const diagnostics = new Diagnostics();
  const names: string[] = [];
  for (const path of paths) collect(path, 0, names, diagnostics, true);
  const files: SourceFile[] = [];
  let total = 0;
  for (const file of names.sort()) {
    const text = readBounded(file, diagnostics);
    if (text === undefined) continue;
    total += Buffer.byteLength(text);
    if (total > MAX_TOTAL_BYTES) {
      diagnostics.add("TM_CONFIG_TOO_LARGE", at(file), `the files together have more than ${MAX_TOTAL_BYTES} bytes`);
      break;
    }
    files.push({ file, text });
  }
  return { files, errors: diagnostics.sorted() };
}

function collect(path: string, depth: number, names: string[], diagnostics: Diagnostics, named = false): void {
  try {
    if (!statSync(path).isDirectory()) {
      if (named || CONFIG_FILE.test(path)) names.push(path);
      return;
    }
    if (depth > MAX_FOLDER_DEPTH) {
      diagnostics.add("TM_CONFIG_TOO_LARGE", at(path), `folders are nested more than ${MAX_FOLDER_DEPTH} deep`);
      return;
    }
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (!isCandidate(entry)) continue;
      if (names.length >= MAX_FILES) {
        diagnostics.add("TM_CONFIG_TOO_LARGE", at(path), `there are more than ${MAX_FILES} files`);
        return;
      }
      collect(join(path, entry.name), depth + 1, names, diagnostics);
    }
  } catch (error) {
    diagnostics.add("TM_CONFIG_UNREADABLE", at(path), reason(error));
  }
}

function isCandidate(entry: Dirent): boolean {
  if (entry.name.startsWith(".")) return false;
  return (
    entry.isDirectory() ||
    (CONFIG_FILE.test(entry.name) && (entry.isFile() || entry.isSymbolicLink())) ||
    entry.isSymbolicLink()
  );
}

function readBounded(file: string, diagnostics: Diagnostics): string | undefined {
  try {
    const stat = statSync(file);
    if (!stat.isFile()) throw new Error("not a regular file");
    if (stat.size > MAX_FILE_BYTES) {
      diagnostics.add("TM_CONFIG_TOO_LARGE", at(file), `the file has more than ${MAX_FILE_BYTES} bytes`);
      return undefined;
    }
    return readFileSync(file, "utf8");
  } catch (error) {
    diagnostics.add("TM_CONFIG_UNREADABLE", at(file), reason(error));
    return undefined;
  }
}

function at(file: string) {
  return { file, line: 1, column: 1 };
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
