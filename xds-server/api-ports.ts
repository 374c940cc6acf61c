/** What the admin API asks for, said in terms of the parts: the control plane, the state store, the connected Envoys. */
import { setImmediate as turn } from "node:timers/promises";
import { parseDocument } from "yaml";
import {
  type ControlPort,
  type DocumentStore as DocumentPort,
  type KnownDocument,
  StoreUnavailable,
  type WeightStore,
} from "./api/index.ts";
import { PUSH_ORDER, type Snapshot, type SnapshotCache, TYPE_NAMES, typeSnapshot } from "./cache/index.ts";
import { KINDS_SERVED } from "./config/index.ts";
import type { ControlPlane } from "./control-plane/index.ts";
import { servedEndpoints } from "./served-endpoints.ts";
import type { DocumentStore } from "./state/records/documents.ts";
import type { WeightTable } from "./state/records/weights.ts";
import { StoreError } from "./state/store-error.ts";

export interface PortParts {
  readonly control: ControlPlane;
  readonly cache: SnapshotCache;
  readonly documents: DocumentStore;
  /** The state store has said what there is: before that nothing may be loaded. */
  readonly load: () => void;
}

export function controlPort({ control, cache, documents, load }: PortParts): ControlPort {
  const snapshots = (): readonly (readonly [string, Snapshot])[] =>
    cache.groups().flatMap((group) => {
      const snapshot = cache.get(group);
      return snapshot === undefined ? [] : [[group, snapshot] as const];
    });
  return {
    errors: () => control.errors,
    warnings: () => control.warnings,
    loadedAt: () => control.loadedAt,
    groups: () =>
      snapshots().map(([group, snapshot]) => {
        const types = PUSH_ORDER.map((typeUrl) => {
          const { version, resources } = typeSnapshot(snapshot, typeUrl);
          return [TYPE_NAMES[typeUrl], { version, resources: resources.size }] as const;
        });
        return { group, version: snapshot.version, types: Object.fromEntries(types) };
      }),
    snapshot: (group) => control.view(group),
    endpoints: (cluster) =>
      servedEndpoints(
        snapshots().map(([, snapshot]) => snapshot),
        cluster,
      ),
    hasEndpoint: (cluster, address, port) => control.hasEndpoint(cluster, address, port),
    kinds: () => KINDS_SERVED,
    documents: () => knownDocuments(control, documents),
    check: (change) => control.check(change),
    diff: (change) => control.diff(change).groups,
    settle: async () => {
      load();
      control.flush();
    },
    flush: async () => {
      control.flush();
      // Envoys first: to make the answer takes as long as to send to ten of them, whose sockets are written to at the end of this turn.
      await turn();
    },
    rollback: (group) => control.rollback(group),
  };
}

/** What is served, and over it what the store has: after a load that failed they are not the same. */
function knownDocuments(control: ControlPlane, documents: DocumentStore): ReadonlyMap<string, KnownDocument> {
  const known = new Map<string, KnownDocument>();
  for (const [identity, served] of control.documents()) {
    if (served.version === undefined) known.set(identity, new TextDocument(identity, served, undefined, served.file));
  }
  for (const [identity, stored] of documents.documents())
    known.set(identity, new TextDocument(identity, stored, stored.version, "api"));
  return known;
}

/** Plain values of texts, by the objects that hold them: a list of a kind parses each document once. */
const values = new WeakMap<object, KnownDocument["value"]>();

class TextDocument implements KnownDocument {
  readonly #source: { readonly text: string };
  readonly identity: string;
  readonly version: string | undefined;
  readonly origin: string;

  constructor(identity: string, source: { readonly text: string }, version: string | undefined, origin: string) {
    this.#source = source;
    this.identity = identity;
    this.version = version;
    this.origin = origin;
  }

  get value(): KnownDocument["value"] {
    const parsed =
      values.get(this.#source) ??
      (parseDocument(this.#source.text, { logLevel: "silent" }).toJS() as KnownDocument["value"]);
    values.set(this.#source, parsed);
    return parsed;
  }
}

export function documentPort(documents: DocumentStore): DocumentPort {
  return { changeAll: (changes) => reachable(documents.changeAll(changes)) };
}

export function weightPort(weights: WeightTable): WeightStore {
  return {
    list: () => weights.list(),
    set: async (changes) => void (await reachable(weights.set(changes))),
  };
}

/** @throws StoreUnavailable for whatever is the matter with the store */
async function reachable<T>(answer: Promise<T>): Promise<T> {
  return answer.catch((error: unknown) => {
    throw error instanceof StoreError ? new StoreUnavailable(error.message) : error;
  });
}
