/**
 * What the admin API needs of the rest of the server, in its own words; `xds-server/api-ports.ts` says it in terms of the parts. Tests give it small fakes.
 */
import type { IncomingMessage } from "node:http";
import type { ConfigError } from "../config/index.ts";

/** A document by what it is: `KIND/namespace/name`. */
export type Identity = string;

/** YAML or JSON as it was sent, with the name that errors give for its place. */
export interface SourceText {
  readonly file: string;
  /** One or more documents. */
  readonly text: string;
}

/** Documents to be added or replaced, and documents to be removed. */
export interface DocumentChange {
  readonly put: readonly SourceText[];
  readonly remove: readonly Identity[];
}

/** A document that is known, wherever it comes from. */
export interface KnownDocument {
  readonly identity: Identity;
  /** The document as a plain value. */
  readonly value: Readonly<Record<string, unknown>>;
  /** Version in the state store; undefined for a document of a file. */
  readonly version: string | undefined;
  /** `api`, or the file. */
  readonly origin: string;
}

/** Resources of one type by name that a change adds, changes or removes. */
export interface TypeDiff {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

export interface CheckResult {
  readonly errors: readonly ConfigError[];
  readonly warnings: readonly ConfigError[];
}

export interface GroupView {
  readonly group: string;
  /** Of the snapshot. */
  readonly version: string;
  /** Version and number of resources by short type name (CDS, EDS, ...). */
  readonly types: Readonly<Record<string, { readonly version: string; readonly resources: number }>>;
}

export interface EndpointView {
  readonly cluster: string;
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly health: string;
  readonly locality: string;
}

export type RollbackOutcome =
  | { readonly ok: true; readonly version: string }
  | { readonly ok: false; readonly message: string };

/** From documents to what is served. */
export interface ControlPort {
  /** Errors of the configuration as it is now; empty when it is what is served. */
  errors(): readonly ConfigError[];
  warnings(): readonly ConfigError[];
  /** Milliseconds since the epoch; undefined before the first good configuration. */
  loadedAt(): number | undefined;
  groups(): readonly GroupView[];
  /** The snapshot of a group decoded, with secrets hidden; undefined for a group that is not served. */
  snapshot(group: string): unknown;
  /** What is served of a cluster, or of all. */
  endpoints(cluster: string | undefined): readonly EndpointView[];
  /** Whether a weight of this endpoint counts; undefined when no cluster of this name gets its endpoints by EDS. */
  hasEndpoint(cluster: string, address: string, port: number): boolean | undefined;
  /** Kinds that are served, with their apiVersions; the first is what lists are told to be of. */
  kinds(): readonly { readonly kind: string; readonly apiVersions: readonly string[] }[];
  /** Documents that are in force or on disk; of two with the same identity the one that counts. */
  documents(): ReadonlyMap<Identity, KnownDocument>;
  /** What the whole configuration would be with the change. Never throws. */
  check(change: DocumentChange): CheckResult;
  /** Resources by group and short type name that the change would touch; only where there is something. */
  diff(change: DocumentChange): Readonly<Record<string, Readonly<Record<string, TypeDiff>>>>;
  /** Loads what was stored, at once; resolves when it is published or refused on this replica. */
  settle(): Promise<void>;
  /** Publishes at once what the store has told of weights; resolves when the first streams have been written to. */
  flush(): Promise<void>;
  rollback(group: string): RollbackOutcome;
}

/** One document of several that are stored together. */
export interface StoreChange {
  readonly identity: Identity;
  /** One document; undefined: to be removed. */
  readonly text: string | undefined;
  /** The version it must have; null: it must not be there; undefined: whatever there is. */
  readonly expected: string | null | undefined;
}

/** A change of the state store: the new versions in the order of the documents ("" of a removal), or the first document that is another than expected. */
export type StoreOutcome =
  | { readonly ok: true; readonly versions: readonly string[] }
  | { readonly ok: false; readonly identity: Identity };

/** Documents of the API. */
export interface DocumentStore {
  /**
   * All of them or none; in `ControlPort.documents` when it resolves.
   * @throws StoreUnavailable: none of it was done, or all
   */
  changeAll(changes: readonly StoreChange[]): Promise<StoreOutcome>;
}

export interface WeightChange {
  readonly cluster: string;
  readonly address: string;
  readonly port: number;
  /** 0 drains; null takes back what was set. */
  readonly weight: number | null;
}

export interface WeightStore {
  list(): readonly WeightChange[];
  /** All or none. @throws StoreUnavailable */
  set(changes: readonly WeightChange[]): Promise<void>;
}

/** The state store cannot be reached or did not answer in time. */
export class StoreUnavailable extends Error {
  override readonly name = "StoreUnavailable";
}

export interface NodeView {
  readonly id: string;
  readonly cluster: string;
  readonly group: string;
  /** By type URL; absent when there are none. */
  readonly dynamicParameters?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly peer: string;
  readonly connectedSince: string;
  /** It accepted everything that is served to it: nothing is on its way, nothing is due. */
  readonly settled: boolean;
  readonly types: Readonly<Record<string, NodeTypeView>>;
}

export interface NodeTypeView {
  readonly state: string;
  readonly ackedVersion: string;
  readonly nack?: {
    readonly version: string;
    readonly resources: readonly string[];
    readonly message: string;
    readonly at: string;
  };
}

/** A rejection that was not answered yet, of an Envoy whose stream is over. */
export interface EarlierRejectionView {
  readonly node: string;
  readonly cluster: string;
  readonly group: string;
  readonly type: string;
  readonly version: string;
  readonly resources: readonly string[];
  readonly message: string;
  readonly at: string;
  /** Absent when the Envoy is connected again and has not answered for the type yet. */
  readonly awaySince?: string;
}

export interface RegistryAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface InstanceRequest {
  readonly service: string;
  readonly id: string;
  /** As it was sent; undefined for none. */
  readonly body?: unknown;
}

/** The registry of instances: each method is one request. None rejects. */
export interface RegistryPort {
  register(request: InstanceRequest): Promise<RegistryAnswer>;
  heartbeat(request: InstanceRequest): Promise<RegistryAnswer>;
  deregister(request: InstanceRequest): Promise<RegistryAnswer>;
  instance(request: InstanceRequest): Promise<RegistryAnswer>;
  service(request: { readonly service: string }): Promise<RegistryAnswer>;
  services(request: object): Promise<RegistryAnswer>;
}

export interface ApiPorts {
  readonly control: ControlPort;
  readonly documents: DocumentStore;
  readonly weights: WeightStore;
  /** Absent where the server has none. */
  readonly registry?: RegistryPort | undefined;
  /** One entry per stream. */
  nodes(): readonly NodeView[];
  /** What Envoys rejected before their streams ended. Nobody waits for it. */
  earlierRejections(): readonly EarlierRejectionView[];
  metrics(): Promise<{ readonly contentType: string; readonly body: string }>;
  /** More members of `GET /api/v1/status`: of the store, of the discovery sources. */
  status(): Readonly<Record<string, unknown>>;
  /** Loads that Envoys report (LRS). */
  loadReports(): unknown;
  /** Loads of endpoints as they say themselves, and answers of the prompt cache, for people. */
  loads(): unknown;
  cache(): Promise<unknown>;
  purgeCache(request: IncomingMessage): Promise<{ readonly status: number; readonly value: object }>;
  /** Milliseconds since the epoch. */
  now(): number;
}
