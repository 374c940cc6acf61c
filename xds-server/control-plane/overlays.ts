/** What a configuration of files is put together with: endpoints that were discovered, and what was set while the server runs. */
import type { Endpoint, Model, ServiceEntry } from "../config/index.ts";

/** Endpoints of ServiceEntries that take theirs from a DiscoverySource. */
export interface EndpointOverlay {
  /** Told every valid model before anything is built from it: which services are to be watched. */
  configure?(model: Model): void;
  /**
   * The same array as long as nothing changed; undefined until there was a first answer. The addresses are IP addresses and the weights 1 to 1,000,000.
   */
  endpointsOf(entry: ServiceEntry): readonly Endpoint[] | undefined;
  /** Calls with the `namespace/name` of ServiceEntries whose endpoints changed, the first answer included. */
  watch(changed: (entries: ReadonlySet<string>) => void): () => void;
  /** Resolves when all services of the last model have an answer. */
  settled?(): Promise<void>;
}

/** Weights of endpoints that were set apart from the configuration. */
export interface WeightOverlay {
  /** Of an endpoint in an Envoy cluster; undefined where the configuration's counts, 0 for one that drains. */
  weightOf(cluster: string, address: string, port: number): number | undefined;
  /** Calls with the names of clusters in which weights changed. */
  watch(changed: (clusters: ReadonlySet<string>) => void): () => void;
}

/** Documents that were put through the API. */
export interface DocumentOverlay {
  /** By `KIND/namespace/name`. */
  documents(): ReadonlyMap<string, StoredDocument>;
  watch(changed: () => void): () => void;
}

export interface StoredDocument {
  /** One document as YAML or JSON. */
  readonly text: string;
  readonly version: string;
}
