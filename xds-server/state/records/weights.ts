/**
 * Weights of endpoints that programs set while traffic runs. All of them are one record, so a change of several is made as a whole or not at all, for every
 * replica; two that change it at a time do not undo each other.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../../log.ts";
import { StoreError } from "../store-error.ts";
import { MAX_ATTEMPTS, MAX_PAUSE_MS } from "./limits.ts";
import { RecordMirror } from "./mirror.ts";
import type { RecordStore, StoredRecord } from "./store.ts";
import {
  addressesOf,
  changedClusters,
  checkChanges,
  decodeWeights,
  type EndpointWeight,
  encodeWeights,
  endpointName,
  listWeights,
  type WeightChange,
  type WeightsByCluster,
  withChanges,
} from "./weight-list.ts";

const KEY = "weights";

export interface WeightTableOptions {
  readonly log: Logger;
  /** 0 to 1; how long the pause before another attempt is. */
  readonly random?: () => number;
}

export class WeightTable {
  readonly #mirror: RecordMirror;
  readonly #log: Logger;
  readonly #random: () => number;
  readonly #watchers = new Set<(clusters: ReadonlySet<string>) => void>();
  #weights: WeightsByCluster = new Map();
  /** The text that was read or written last, and what it says: thousands of weights are not read again for each that changes. */
  #read: { readonly text: string; readonly weights: WeightsByCluster } = { text: "{}", weights: new Map() };

  constructor(store: RecordStore, { log, random = Math.random }: WeightTableOptions) {
    this.#log = log;
    this.#random = random;
    this.#mirror = new RecordMirror(store, { prefix: KEY, log, changed: () => this.#adopt() });
  }

  /** Resolves when the store has said what there is. */
  get ready(): Promise<void> {
    return this.#mirror.ready;
  }

  /** Of the weights in force; "" while none was ever set. */
  get version(): string {
    return this.#mirror.records.get(KEY)?.version ?? "";
  }

  /** undefined: the endpoint has the weight of its configuration. 0: it drains. */
  weightOf(cluster: string, address: string, port: number): number | undefined {
    const endpoints = this.#weights.get(cluster);
    if (endpoints === undefined || !addressesOf(endpoints).has(address)) return undefined;
    return endpoints.get(endpointName(address, port));
  }

  list(): readonly EndpointWeight[] {
    return listWeights(this.#weights);
  }

  /** @param changed told the clusters whose endpoints have other weights, after the change is in force here */
  watch(changed: (clusters: ReadonlySet<string>) => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  /**
   * All of the changes, or none; in force on this server when it resolves.
   * @returns the version of the weights after it
   * @throws ServerError TM_WEIGHT_INVALID; StoreError, with `unavailable` it may have been done all the same
   */
  async set(changes: readonly WeightChange[]): Promise<{ readonly version: string }> {
    checkChanges(changes);
    // Usually what is known here is what there is; where it is not, the conflict says what there is.
    let current = this.#mirror.started ? this.#mirror.records.get(KEY) : await this.#mirror.refresh(KEY);
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const before = this.#decode(current);
      if (before === undefined) throw new StoreError("failed", "the weights in the store cannot be read");
      const after = withChanges(before, changes);
      if (current !== undefined && changedClusters(before, after).size === 0) {
        const now = await this.#mirror.refresh(KEY);
        if (now?.version === current.version) return { version: now.version };
        current = now;
        continue;
      }
      const text = encodeWeights(after);
      this.#read = { text, weights: after };
      const result = await this.#mirror.put(KEY, text, { expected: current?.version ?? null });
      if (result.ok) return { version: result.version };
      current = result.current;
      await delay(this.#random() * Math.min(MAX_PAUSE_MS, 2 ** attempt));
    }
    throw new StoreError("busy", `the weights were changed by others ${MAX_ATTEMPTS} times`);
  }

  close(): void {
    this.#watchers.clear();
    this.#mirror.close();
  }

  /** Undefined for what cannot be read. */
  #decode(record: StoredRecord | undefined): WeightsByCluster | undefined {
    if (record === undefined) return new Map();
    if (record.value === this.#read.text) return this.#read.weights;
    const weights = decodeWeights(record.value);
    if (weights !== undefined) this.#read = { text: record.value, weights };
    return weights;
  }

  #adopt(): void {
    const record = this.#mirror.records.get(KEY);
    const weights = this.#decode(record);
    if (weights === undefined) {
      this.#log("error", "the weights in the state store cannot be read; the last ones stay", {
        code: "TM_STATE_DAMAGED",
      });
      return;
    }
    const clusters = changedClusters(this.#weights, weights);
    this.#weights = weights;
    if (clusters.size > 0) for (const watcher of this.#watchers) watcher(clusters);
  }
}
