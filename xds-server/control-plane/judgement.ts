/** Whether a model that reads well can be served: what serving, `POST /api/v1/validate` and `tokenmesh validate` have in common. */
import { type Snapshot, SnapshotCache } from "../cache/index.ts";
import type { ConfigError, Model } from "../config/index.ts";
import { FILTER_CODES, NO_WEIGHTS, ResourceMemo, type WasmModules } from "../resources/index.ts";
import { Assembly, type AssemblyOptions } from "./assembly.ts";
import { DiscoveredEndpoints } from "./discovered-endpoints.ts";
import { buildError } from "./load-status.ts";
import { Publication } from "./publication.ts";
import { resourceFaults } from "./resource-faults.ts";

export type Built =
  | { readonly ok: true; readonly assembly: Assembly; readonly snapshots: ReadonlyMap<string, Snapshot> }
  | { readonly ok: false; readonly errors: readonly ConfigError[] };

export interface JudgementOptions extends AssemblyOptions {
  /** What is served. */
  readonly served: Assembly | undefined;
  readonly publication: Publication;
  /** Where errors stand that are about no single place. */
  readonly place: string;
}

/** What would be served of a model, or what is wrong with it. Never throws. */
export function judged(model: Model, { served, publication, place, ...options }: JudgementOptions): Built {
  try {
    const assembly = new Assembly(model, served, options);
    const errors = resourceFaults(assembly);
    if (errors.length > 0) return { ok: false, errors };
    return { ok: true, assembly, snapshots: publication.snapshots(assembly.resources) };
  } catch (error) {
    return { ok: false, errors: [buildError(place, error)] };
  }
}

/** It is documents that are judged here, and not whether filters are installed. */
const ANY_MODULES: WasmModules = Object.fromEntries(
  FILTER_CODES.map((code) => [code, { hash: code, code: { inline: new Uint8Array() } }]),
);

/**
 * What is wrong with a model by itself: without a server, its filters, its discovery and what it serves.
 * @param place for errors that are about no single place
 */
export function modelFaults(model: Model, place: string): readonly ConfigError[] {
  const built = judged(model, {
    ...{ served: undefined, publication: new Publication(new SnapshotCache()), place },
    ...{ modules: ANY_MODULES, weights: NO_WEIGHTS },
    ...{ memo: new ResourceMemo(), endpoints: new DiscoveredEndpoints(undefined) },
  });
  return built.ok ? [] : built.errors;
}
