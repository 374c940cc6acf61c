/** What a control plane says about what it did, would do and has. */
import type { ConfigError, SourceDocument } from "../config/index.ts";
import type { SnapshotDiff } from "./snapshot-diff.ts";

/** `waiting`: it is right, and the first answers of discovery are not there yet. */
export type LoadOutcome = "published" | "unchanged" | "rejected" | "waiting";

export interface CheckResult {
  readonly ok: boolean;
  readonly errors: readonly ConfigError[];
  readonly warnings: readonly ConfigError[];
}

export interface DiffResult extends CheckResult {
  /** By node group; empty when there are errors. */
  readonly groups: Readonly<Record<string, SnapshotDiff>>;
}

export interface GroupStatus {
  readonly name: string;
  /** Of the snapshot that is served. */
  readonly version: string;
  /** The last that all connected Envoys accepted; undefined before the first. */
  readonly acceptedVersion: string | undefined;
  readonly rolledBack: boolean;
}

export interface ServedDocument extends SourceDocument {
  /** Of a document of the API. */
  readonly version: string | undefined;
}
