/**
 * Loading and linking of a module, with Envoy's rules: the ABI marker must be exported, every import must be one that
 * Envoy registers and of exactly its type, and a start section is refused (in Envoy it crashes the process).
 */
import { readFileSync } from "node:fs";
import {
  hostFunctions,
  inspect,
  type ModuleReport,
  moduleCallbacks,
  wasiFunctions,
  wasiModules,
} from "../../scripts/lib/wasm-gate.mjs";

export interface LoadedModule {
  module: WebAssembly.Module;
  report: ModuleReport;
}

/** The module cannot be loaded; Envoy would reject the configuration with the same words. */
export class LoadError extends Error {}

const letters: Record<string, string> = { i32: "i", i64: "I", f32: "f", f64: "F" };
const signatureOf = ({ params = [], results = [] }: { params?: string[]; results?: string[] }): string =>
  `${params.map((type) => letters[type] ?? "?").join("")}>${results.map((type) => letters[type] ?? "?").join("")}`;

const compiled = new Map<string, LoadedModule>();

/** Checks and compiles a module. Files are compiled once per process. */
export function loadModule(source: string | Uint8Array): LoadedModule {
  const known = typeof source === "string" ? compiled.get(source) : undefined;
  if (known) return known;
  const code = typeof source === "string" ? readFileSync(source) : source;
  const report = inspectOrRefuse(code);
  checkModule(report);
  const loaded = { module: new WebAssembly.Module(code), report };
  if (typeof source === "string") compiled.set(source, loaded);
  return loaded;
}

function inspectOrRefuse(code: Uint8Array): ModuleReport {
  try {
    return inspect(code);
  } catch (error) {
    throw new LoadError(`Failed to parse corrupted Wasm module (${error instanceof Error ? error.message : error})`);
  }
}

function checkModule(report: ModuleReport): void {
  const markers = report.exports.filter(({ name }) => /^proxy_abi_version_0_(1_0|2_0|2_1)$/.test(name));
  if (markers.length === 0) throw new LoadError("Missing or unknown Proxy-Wasm ABI version");
  if (report.hasStart) throw new LoadError("The module has a start section: Envoy would crash while instantiating it");
  for (const entry of report.imports) {
    const wanted =
      entry.module === "env"
        ? hostFunctions.get(entry.name)
        : wasiModules.includes(entry.module)
          ? wasiFunctions.get(entry.name)
          : undefined;
    const name = `${entry.module}.${entry.name}`;
    if (wanted === undefined || entry.kind !== "func")
      throw new LoadError(`Failed to load Wasm module due to a missing import: ${name}`);
    if (wanted !== signatureOf(entry)) {
      throw new LoadError(
        `Failed to load Wasm module due to an import type mismatch: ${name}, want: ${signatureOf(entry)}, but host exports: ${wanted}`,
      );
    }
  }
  for (const entry of report.exports) {
    const wanted = moduleCallbacks.get(entry.name);
    if (wanted !== undefined && entry.kind === "func" && wanted !== signatureOf(entry)) {
      throw new LoadError(`Bad function signature for: ${entry.name}`);
    }
  }
  if (!report.exports.some(({ name }) => name === "malloc" || name === "proxy_on_memory_allocate")) {
    throw new LoadError("Wasm module is missing malloc function.");
  }
}
