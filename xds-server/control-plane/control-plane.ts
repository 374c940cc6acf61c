/**
 * From files, documents of the API, discovered endpoints and weights to the cache. Whatever goes wrong on the way leaves the published
 * snapshots, the last good configuration, as they are.
 */
import type { Snapshot } from "../cache/index.ts";
import {
  type ConfigError,
  DocumentMemo,
  formatError,
  type Model,
  type ParseResult,
  type SourceDocument,
} from "../config/index.ts";
import { groupOf } from "../config/node-groups.ts";
import { ResourceMemo } from "../resources/index.ts";
import type { Assembly } from "./assembly.ts";
import { type Clock, systemClock } from "./clock.ts";
import { Debounce } from "./debounce.ts";
import { DiscoveredEndpoints } from "./discovered-endpoints.ts";
import { FilterModules } from "./filter-modules.ts";
import { type Built, judged } from "./judgement.ts";
import {
  DOCUMENTS_MAX_MS,
  DOCUMENTS_QUIET_MS,
  ENDPOINTS_MAX_MS,
  ENDPOINTS_QUIET_MS,
  FIRST_ANSWERS_MS,
} from "./limits.ts";
import { buildError, generalError, LoadStatus } from "./load-status.ts";
import type { ControlPlaneOptions } from "./options.ts";
import { Publication, type RollbackResult } from "./publication.ts";
import type { CheckResult, DiffResult, GroupStatus, LoadOutcome, ServedDocument } from "./reports.ts";
import { type SnapshotDiff, snapshotDiff } from "./snapshot-diff.ts";
import { snapshotView } from "./snapshot-view.ts";
import { fingerprintOf, type Proposed, parseProposed, parseSources, readSources, storedId } from "./sources.ts";
import { WeightStamps } from "./weight-stamps.ts";

type Parsed = Extract<ParseResult, { readonly ok: true }>;

export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #clock: Clock;
  readonly #modules: FilterModules;
  readonly #endpoints: DiscoveredEndpoints;
  readonly #weights: WeightStamps;
  readonly #publication: Publication;
  readonly #status: LoadStatus;
  readonly #documentMemo = new DocumentMemo();
  readonly #resourceMemo = new ResourceMemo();
  readonly #documentsChanged: Debounce;
  readonly #endpointsChanged: Debounce;
  readonly #changedEntries = new Set<string>();
  readonly #changedClusters = new Set<string>();
  readonly #unwatch: readonly (() => void)[];
  readonly #ready: Promise<void>;
  #becomeReady = () => {};
  #fingerprint = "";
  #assembly: Assembly | undefined;
  #documents: ReadonlyMap<string, ServedDocument> = new Map();
  /** What waits for the first answers of discovery. */
  #waiting: { readonly parsed: Parsed; readonly cancel: () => void } | undefined;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    const { cache, endpoints, weights, documents, clock = systemClock, times = {} } = options;
    const { documentsQuietMs = DOCUMENTS_QUIET_MS, documentsMaxMs = DOCUMENTS_MAX_MS } = times;
    const { endpointsQuietMs = ENDPOINTS_QUIET_MS, endpointsMaxMs = ENDPOINTS_MAX_MS } = times;
    this.#clock = clock;
    this.#modules = new FilterModules(options.wasmDir, options.wasm);
    this.#endpoints = new DiscoveredEndpoints(endpoints);
    this.#weights = new WeightStamps(weights);
    this.#publication = new Publication(cache);
    this.#status = new LoadStatus(options);
    const documentTimes = { quietMs: documentsQuietMs, maxMs: documentsMaxMs };
    const endpointTimes = { quietMs: endpointsQuietMs, maxMs: endpointsMaxMs };
    this.#documentsChanged = new Debounce(() => void this.load(), documentTimes, clock);
    this.#endpointsChanged = new Debounce(() => this.#publishChanges(), endpointTimes, clock);
    this.#ready = new Promise((resolve) => {
      this.#becomeReady = resolve;
    });
    const watches = [
      endpoints?.watch((entries) => {
        for (const entry of entries) this.#changedEntries.add(entry);
        this.#endpointsChanged.poke();
      }),
      weights?.watch((clusters) => {
        this.#weights.changed(clusters);
        for (const cluster of clusters) this.#changedClusters.add(cluster);
        this.#endpointsChanged.poke();
      }),
      documents?.watch(() => this.#documentsChanged.poke()),
    ];
    this.#unwatch = watches.filter((each) => each !== undefined);
  }

  /** Errors of the configuration as it is now; empty when it is what is served. */
  get errors(): readonly ConfigError[] {
    return this.#status.errors;
  }

  /** What is right in the served configuration and takes no effect. */
  get warnings(): readonly ConfigError[] {
    return this.#status.warnings;
  }

  /** When the served configuration was loaded, milliseconds since the epoch; undefined before the first good one. */
  get loadedAt(): number | undefined {
    return this.#status.loadedAt;
  }

  /** What is served, with the endpoints of discovery in it; undefined before the first good configuration. */
  get model(): Model | undefined {
    return this.#assembly?.model;
  }

  /** Resolves when the first configuration is served. */
  ready(): Promise<void> {
    return this.#ready;
  }

  /** Reads files and documents and publishes what they say if anything in them, or a filter, changed since the last call. Never throws. */
  load(): LoadOutcome {
    this.#documentsChanged.drop();
    const { configDir, documents, endpoints } = this.#options;
    const sources = readSources(configDir, documents);
    const fingerprint = `${fingerprintOf(sources)} ${this.#modules.stamp()}`;
    if (fingerprint === this.#fingerprint) return this.#waiting === undefined ? "unchanged" : "waiting";
    this.#fingerprint = fingerprint;
    this.#stopWaiting();

    const parsed = parseSources(sources, this.#documentMemo);
    this.#documentMemo.sweep();
    if (!parsed.ok) return this.#rejected(parsed.errors);
    if (isEmpty(parsed.model)) return this.#rejected([this.#emptyError()]);
    endpoints?.configure?.(parsed.model);
    if (this.#assembly === undefined && this.#endpoints.unanswered(parsed.model).length > 0) {
      this.#wait(parsed);
      return "waiting";
    }
    return this.#publish(parsed);
  }

  /** Whether a weight of this endpoint counts in what is served; undefined when no EDS cluster of a service has this name. O(endpoints of the cluster). */
  hasEndpoint(cluster: string, address: string, port: number): boolean | undefined {
    return this.#assembly?.hasEndpoint(cluster, address, port);
  }

  /** Publishes at once what waits for others to come: documents, endpoints and weights. */
  flush(): void {
    this.#documentsChanged.flush();
    this.#endpointsChanged.flush();
  }

  /** What the whole configuration would say with the change; nothing is published. Never throws. */
  check(proposed: Proposed): CheckResult {
    const { ok, errors, warnings } = this.diff(proposed);
    return { ok, errors, warnings };
  }

  /** As {@link check}, with the resources that would change. */
  diff(proposed: Proposed): DiffResult {
    const { configDir, documents, cache } = this.#options;
    const parsed = parseProposed(readSources(configDir, documents), proposed, this.#documentMemo);
    const failed = (errors: readonly ConfigError[]) => ({ ok: false, errors, warnings: parsed.warnings, groups: {} });
    if (!parsed.ok) return failed(parsed.errors);
    if (isEmpty(parsed.model)) return failed([this.#emptyError()]);
    const built = this.#build(parsed.model, new ResourceMemo(this.#resourceMemo));
    if (!built.ok) return failed(built.errors);
    const groups: Record<string, SnapshotDiff> = {};
    for (const group of new Set([...cache.groups(), ...built.snapshots.keys()])) {
      const diff = snapshotDiff(cache.get(group), built.snapshots.get(group));
      if (Object.keys(diff).length > 0) groups[group] = diff;
    }
    return { ok: true, errors: [], warnings: parsed.warnings, groups };
  }

  /** To be told when all connected Envoys of a group have accepted all of a snapshot: what {@link rollback} goes back to. */
  accepted(group: string, snapshot: Snapshot): void {
    this.#publication.accepted(group, snapshot);
  }

  /**
   * Serves a group what its Envoys accepted last, until the next configuration. Endpoints of discovery stay as they are now, and later changes of
   * endpoints and weights are served.
   */
  rollback(group: string): RollbackResult {
    const result = this.#publication.rollback(group, (cluster) => this.#assembly?.isDiscovered(cluster) ?? false);
    const { log } = this.#options;
    if (result.ok) log("warn", "rolled back", { group, version: result.version });
    return result;
  }

  groups(): readonly GroupStatus[] {
    const { cache } = this.#options;
    return cache.groups().map((name) => ({
      name,
      version: cache.get(name)?.version ?? "",
      acceptedVersion: this.#publication.acceptedVersion(name),
      rolledBack: this.#publication.isRolledBack(name),
    }));
  }

  /** Of the snapshot that a group is served. */
  version(group: string): string | undefined {
    return this.#options.cache.get(group)?.version;
  }

  /** The snapshot of a group as JSON for people, secrets hidden; null for one that is not served. */
  view(group: string): unknown {
    return snapshotView(this.#options.cache.get(group));
  }

  /** What is served, by `KIND/namespace/name`. A Secret's text holds what nobody may be shown. */
  documents(): ReadonlyMap<string, ServedDocument> {
    return this.#documents;
  }

  /** Watches nothing any more; what is published stays. */
  close(): void {
    for (const unwatch of this.#unwatch) unwatch();
    this.#documentsChanged.drop();
    this.#endpointsChanged.drop();
    this.#stopWaiting();
  }

  #stopWaiting(): void {
    this.#waiting?.cancel();
    this.#waiting = undefined;
  }

  #wait(parsed: Parsed): void {
    const { endpoints, log, times = {} } = this.#options;
    const cancel = this.#clock.after(times.firstAnswersMs ?? FIRST_ANSWERS_MS, () => {
      const services = this.#endpoints.unanswered(parsed.model);
      log("warn", "discovery has not answered; these services have no endpoints", { services });
      this.#publishWaiting();
    });
    this.#waiting = { parsed, cancel };
    log("info", "configuration waits for the first answers of discovery");
    void endpoints?.settled?.().then(() => this.#publishAnswered());
  }

  #publishAnswered(): void {
    const { parsed } = this.#waiting ?? {};
    if (parsed !== undefined && this.#endpoints.unanswered(parsed.model).length === 0) this.#publishWaiting();
  }

  #publishWaiting(): void {
    if (this.#waiting !== undefined) this.#publish(this.#waiting.parsed);
  }

  /** Endpoints or weights changed. */
  #publishChanges(): void {
    const [entries, clusters] = [[...this.#changedEntries], [...this.#changedClusters]];
    this.#changedEntries.clear();
    this.#changedClusters.clear();
    this.#publishAnswered();
    if (this.#assembly === undefined) return;
    try {
      const resources = this.#assembly.update(entries, clusters);
      if (resources !== undefined) this.#publication.update(resources);
      else this.#rebuild(this.#assembly);
    } catch (error) {
      this.#options.log("error", formatError(this.#buildError(error)), { code: "TM_BUILD_FAILED" });
    }
  }

  /** The same configuration with other endpoints. */
  #rebuild(served: Assembly): void {
    const built = this.#build(served.source, this.#resourceMemo);
    if (!built.ok) throw new Error(built.errors.map(({ message }) => message).join());
    this.#resourceMemo.sweep();
    this.#assembly = built.assembly;
    this.#publication.refresh(built.snapshots, (cluster) => built.assembly.isDiscovered(cluster));
    this.#options.onModel?.(built.assembly.model);
  }

  #build(model: Model, memo: ResourceMemo): Built {
    const { server } = this.#options;
    const { modules, missing } = this.#modules.of(model);
    if (missing.length > 0) return { ok: false, errors: missing };
    const { weights } = this.#weights;
    return judged(model, {
      ...{ modules, server, weights, memo, endpoints: this.#endpoints },
      ...{ served: this.#assembly, publication: this.#publication, place: this.#options.configDir },
    });
  }

  #publish(parsed: Parsed): LoadOutcome {
    const built = this.#build(parsed.model, this.#resourceMemo);
    if (!built.ok) return this.#rejected(built.errors);
    this.#resourceMemo.sweep();
    this.#stopWaiting();
    this.#assembly = built.assembly;
    const { groups, model } = built.assembly;
    this.#options.cache.nodeHash = (node, onlyType) => groupOf(node, groups, onlyType);
    const changed = this.#publication.publish(built.snapshots);
    this.#options.onModel?.(model);
    this.#documents = this.#servedDocuments(parsed.documents);
    this.#status.published(built.snapshots, changed, parsed.warnings);
    this.#becomeReady();
    return "published";
  }

  #servedDocuments(documents: ReadonlyMap<string, SourceDocument>): ReadonlyMap<string, ServedDocument> {
    const stored = this.#options.documents?.documents();
    const served = [...documents].map(([id, document]) => {
      const version = storedId(document.file) === id ? stored?.get(id)?.version : undefined;
      return [id, { ...document, version }] as const;
    });
    return new Map(served);
  }

  #rejected(errors: readonly ConfigError[]): "rejected" {
    this.#status.rejected(errors);
    return "rejected";
  }

  #emptyError(): ConfigError {
    return generalError("TM_CONFIG_EMPTY", this.#options.configDir, "there is no document in this folder");
  }

  #buildError(error: unknown): ConfigError {
    return buildError(this.#options.configDir, error);
  }
}

function isEmpty(model: Model): boolean {
  return Object.values(model).every((list) => list.length === 0);
}
