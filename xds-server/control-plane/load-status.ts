/** What became of the configuration that was read last: kept for who asks, logged and counted. */
import { PUSH_ORDER, type Snapshot, TYPE_NAMES } from "../cache/index.ts";
import { type ConfigError, formatError } from "../config/index.ts";
import { ERRORS, type ErrorCode } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { ServerMetrics } from "../server/metrics.ts";

export interface LoadStatusOptions {
  readonly metrics: Pick<ServerMetrics, "configErrors" | "configReloads" | "configLoaded" | "resources">;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export class LoadStatus {
  readonly #options: LoadStatusOptions;
  #errors: readonly ConfigError[] = [];
  #warnings: readonly ConfigError[] = [];
  #loadedAt: number | undefined;

  constructor(options: LoadStatusOptions) {
    this.#options = options;
  }

  get errors(): readonly ConfigError[] {
    return this.#errors;
  }

  get warnings(): readonly ConfigError[] {
    return this.#warnings;
  }

  get loadedAt(): number | undefined {
    return this.#loadedAt;
  }

  /** @param changed whether it says anything else than what was served before */
  published(snapshots: ReadonlyMap<string, Snapshot>, changed: boolean, warnings: readonly ConfigError[]): void {
    const { metrics, log, now } = this.#options;
    this.#setErrors([]);
    this.#warnings = warnings;
    this.#loadedAt = now();
    metrics.configLoaded.set(this.#loadedAt / 1_000);
    metrics.configReloads.inc({ result: "published" });
    for (const warning of warnings) log("warn", formatError(warning), placeOf(warning));
    const counts = countByType(snapshots);
    for (const [type, count] of Object.entries(counts)) metrics.resources.set({ type }, count);
    const versions = [...snapshots].map(([group, { version }]) => [group, version] as const);
    const [[, version] = []] = versions;
    const served = versions.length === 1 ? { version } : { versions: Object.fromEntries(versions) };
    log("info", changed ? "configuration published" : "configuration is the same as before", { ...served, ...counts });
  }

  rejected(errors: readonly ConfigError[]): void {
    const { metrics, log } = this.#options;
    this.#setErrors(errors);
    metrics.configReloads.inc({ result: "rejected" });
    const kept = this.#loadedAt !== undefined;
    log("error", kept ? "configuration rejected; the last good one stays" : "configuration rejected", {
      errors: errors.length,
    });
    for (const error of errors) log("error", formatError(error), placeOf(error));
  }

  #setErrors(errors: readonly ConfigError[]): void {
    this.#errors = errors;
    this.#options.metrics.configErrors.set(errors.length);
  }
}

/** An error that stands in no line. */
export function generalError(code: ErrorCode, file: string, message: string): ConfigError {
  return { code, message, remedy: ERRORS[code].remedy, file, line: 1, column: 1 };
}

/** A mistake of a builder. */
export function buildError(file: string, error: unknown): ConfigError {
  return generalError("TM_BUILD_FAILED", file, error instanceof Error ? error.message : String(error));
}

function placeOf({ code, file, line, column }: ConfigError): Readonly<Record<string, string | number>> {
  return { code, file, line, column };
}

/** Resources by short type name over all groups; one that several groups have counts once. */
function countByType(snapshots: ReadonlyMap<string, Snapshot>): Readonly<Record<string, number>> {
  return Object.fromEntries(
    PUSH_ORDER.map((typeUrl) => {
      const lists = [...snapshots.values()].map(({ types }) => [...(types.get(typeUrl)?.resources.keys() ?? [])]);
      return [TYPE_NAMES[typeUrl], new Set(lists.flat()).size];
    }),
  );
}
