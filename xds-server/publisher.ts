/**
 * From the configuration folder to the cache: reads, parses, builds, publishes. Whatever goes wrong on the way leaves the published
 * snapshot, the last good configuration, as it is.
 */
import {
  contentHash,
  createSnapshot,
  PUSH_ORDER,
  type SnapshotCache,
  TYPE_NAMES,
  typeSnapshot,
} from "./cache/index.ts";
import { type ConfigError, formatError, type Model, parseConfig, readConfigFiles } from "./config/index.ts";
import { ERRORS, type ErrorCode } from "./errors.ts";
import type { Logger } from "./log.ts";
import {
  buildResources,
  codeOf,
  FILTER_CODES,
  type FilterCode,
  llmFilters,
  loadWasmModule,
  type ServerAddress,
  type WasmDelivery,
  type WasmModule,
  wasmPath,
  wasmStamp,
} from "./resources/index.ts";
import type { ServerMetrics } from "./server/metrics.ts";

export interface PublisherOptions {
  readonly configDir: string;
  readonly wasmDir: string;
  readonly wasm: WasmDelivery;
  readonly cache: SnapshotCache;
  readonly metrics: ServerMetrics;
  readonly log: Logger;
  readonly now: () => number;
  /** Where Envoys reach this server; undefined when it cannot tell. */
  readonly server?: ServerAddress | undefined;
  /** Told the model of every snapshot that is published. */
  readonly onModel?: (model: Model) => void;
}

/** The node group that everything is published for. */
const GROUP = "default";

export type LoadOutcome = "published" | "unchanged" | "rejected";

export class Publisher {
  readonly #options: PublisherOptions;
  #fingerprint = "";
  #errors: readonly ConfigError[] = [];
  #warnings: readonly ConfigError[] = [];
  #loadedAt: number | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Errors of the configuration as it is on disk; empty when it is what is served. */
  get errors(): readonly ConfigError[] {
    return this.#errors;
  }

  /** What is right in the served configuration and takes no effect. */
  get warnings(): readonly ConfigError[] {
    return this.#warnings;
  }

  /** When the served configuration was loaded, milliseconds since the epoch; undefined before the first good one. */
  get loadedAt(): number | undefined {
    return this.#loadedAt;
  }

  /** Loads the folder if anything in it, or a filter, changed since the last call. Never throws. */
  load(): LoadOutcome {
    const { configDir, wasmDir, log, metrics } = this.#options;
    const { files, errors } = readConfigFiles([configDir]);
    const stamps = FILTER_CODES.map((code) => wasmStamp(wasmPath(wasmDir, code)));
    const fingerprint = contentHash(JSON.stringify([stamps, errors, files]));
    if (fingerprint === this.#fingerprint) return "unchanged";
    this.#fingerprint = fingerprint;

    const result = errors.length > 0 ? { ok: false as const, errors } : parseConfig(files);
    const failed = result.ok ? this.#publish(result.model) : result.errors;
    this.#errors = failed;
    metrics.configErrors.set(failed.length);
    if (failed.length === 0) {
      this.#warnings = result.ok ? result.warnings : [];
      for (const warning of this.#warnings) log("warn", formatError(warning), placeOf(warning));
      metrics.configReloads.inc({ result: "published" });
      return "published";
    }
    metrics.configReloads.inc({ result: "rejected" });
    const kept = this.#loadedAt !== undefined;
    log("error", kept ? "configuration rejected; the last good one stays" : "configuration rejected", {
      errors: failed.length,
    });
    for (const error of failed) log("error", formatError(error), placeOf(error));
    return "rejected";
  }

  /** The errors that kept the model from being published; empty when it is. */
  #publish(model: Model): readonly ConfigError[] {
    const { configDir, cache, metrics, log, now, server, onModel } = this.#options;
    if (Object.values(model).every((list) => list.length === 0)) {
      return [generalError("TM_CONFIG_EMPTY", configDir, "there is no document in this folder")];
    }
    try {
      const { modules, missing } = this.#modules(model);
      if (missing.length > 0) return missing;
      const snapshot = createSnapshot(buildResources(model, modules, server), cache.get(GROUP));
      const changed = cache.set(GROUP, snapshot);
      onModel?.(model);
      this.#loadedAt = now();
      metrics.configLoaded.set(this.#loadedAt / 1_000);
      const counts: Record<string, number> = {};
      for (const typeUrl of PUSH_ORDER) {
        const type = TYPE_NAMES[typeUrl];
        counts[type] = typeSnapshot(snapshot, typeUrl).resources.size;
        metrics.resources.set({ type }, counts[type] ?? 0);
      }
      log("info", changed ? "configuration published" : "configuration is the same as before", {
        version: snapshot.version,
        ...counts,
      });
      return [];
    } catch (error) {
      return [generalError("TM_BUILD_FAILED", configDir, error instanceof Error ? error.message : String(error))];
    }
  }

  /** The modules of the filters that the model needs, and an error for each that cannot be read. */
  #modules(model: Model): { modules: Partial<Record<FilterCode, WasmModule>>; missing: readonly ConfigError[] } {
    const modules: Partial<Record<FilterCode, WasmModule>> = {};
    const missing: ConfigError[] = [];
    for (const code of new Set(llmFilters(model).map(codeOf))) {
      const path = wasmPath(this.#options.wasmDir, code);
      try {
        modules[code] = loadWasmModule(path, this.#options.wasm);
      } catch (error) {
        missing.push(generalError("TM_FILTER_MISSING", path, error instanceof Error ? error.message : String(error)));
      }
    }
    return { modules, missing };
  }
}

function placeOf({ code, file, line, column }: ConfigError): Readonly<Record<string, string | number>> {
  return { code, file, line, column };
}

function generalError(code: ErrorCode, file: string, message: string): ConfigError {
  return { code, message, remedy: ERRORS[code].remedy, file, line: 1, column: 1 };
}
