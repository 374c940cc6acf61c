/** Compiled filters on disk. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { contentHash } from "../cache/index.ts";
import type { WasmModule } from "./filters.ts";

/** How Envoy gets the code: inside the configuration, or as a path that it can read itself. */
export type WasmDelivery = "inline" | "file";

/** `build/filters` of the package that this file is part of, in the source tree and in the compiled one. */
export function defaultWasmDir(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, "package.json"))) {
    const parent = dirname(dir);
    if (parent === dir) break;
    dir = parent;
  }
  return join(dir, "build", "filters");
}

export function wasmPath(dir: string, filter: string): string {
  return resolve(dir, `${filter}.wasm`);
}

/** @throws Error when the file cannot be read */
export function loadWasmModule(path: string, delivery: WasmDelivery): WasmModule {
  const bytes = readFileSync(path);
  return { hash: contentHash(bytes), code: delivery === "inline" ? { inline: bytes } : { file: path } };
}

/** Changes when the file does, without reading it; empty when there is none. */
export function wasmStamp(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "" : `${stat.size}:${stat.mtimeMs}:${stat.ino}`;
}
