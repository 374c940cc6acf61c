/**
 * Records as ConfigMaps of one namespace, for any number of servers in a cluster: nothing else has to run. The version of a record is the object's resourceVersion, so a
 * change by compare-and-set is one request that the API server refuses when somebody else was faster. One list and watch keeps a copy of all records for who watches.
 * Changes of several records: config-map-change.ts. A change that expects nothing may win over one of several that is being made at the same moment.
 *
 * Needs the rights get, list, watch, create, update and delete on configmaps in that namespace.
 */
import { ServerError } from "../../errors.ts";
import { type Cluster, type RawObject, Reflector, type Timing } from "../../kubernetes/index.ts";
import { StoreError } from "../store-error.ts";
import {
  configMapOf,
  type HeldRecord,
  heldOf,
  type KeyedRecord,
  type MadeChanges,
  nameOf,
  RECORDS,
  recordOf,
} from "./config-map.ts";
import { ConfigMapCalls, failure } from "./config-map-calls.ts";
import { changeOf, type HeldChange } from "./config-map-change.ts";
import { ConfigMapChanges, versionOf } from "./config-map-changes.ts";
import {
  CONFIG_MAP_WEIGHT_LENGTH,
  CONFIG_MAPS_PER_PAGE,
  KUBERNETES_TIMEOUT_MS,
  MAX_ATTEMPTS,
  MAX_WATCHES,
  MIN_CONFIG_MAP_WEIGHT,
} from "./limits.ts";
import {
  type ChangesResult,
  checkChanges,
  checkKey,
  checkRecord,
  type ExpectedVersion,
  type PutResult,
  type RecordChange,
  type RecordObserver,
  type RecordStore,
  type StoredRecord,
} from "./store.ts";
import { Telling } from "./telling.ts";

export interface KubernetesRecordStoreOptions {
  readonly cluster: Cluster;
  /** That of this program by default. */
  readonly namespace?: string;
  readonly timing: Timing;
  /** For one call, ms. */
  readonly timeoutMs?: number;
}

/** A ConfigMap of ours: one of the two. */
interface Held {
  readonly record: HeldRecord | undefined;
  readonly change: HeldChange | undefined;
}

export class KubernetesRecordStore implements RecordStore {
  readonly #calls: ConfigMapCalls;
  readonly #changes: ConfigMapChanges;
  readonly #timing: Timing;
  readonly #watches = new Set<Telling>();
  /** From the first watch on. */
  #reflector: Reflector<Held> | undefined;

  /** Connects when it is asked. @throws ServerError TM_USAGE for what is no namespace */
  constructor(options: KubernetesRecordStoreOptions) {
    const { cluster, namespace = cluster.namespace, timing, timeoutMs = KUBERNETES_TIMEOUT_MS } = options;
    if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(namespace))
      throw new ServerError("TM_USAGE", `${JSON.stringify(namespace.slice(0, 80))} is no namespace of Kubernetes`);
    this.#calls = new ConfigMapCalls(cluster, namespace, timeoutMs);
    this.#changes = new ConfigMapChanges(this.#calls, timing);
    this.#timing = timing;
  }

  async list(prefix: string): Promise<ReadonlyMap<string, StoredRecord>> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const objects = await this.#calls.list();
      if (objects !== undefined) return below(prefix, objects.map(readObject));
    }
    throw new StoreError("busy", `${this.#calls.path} cannot be listed to its end`);
  }

  async get(key: string): Promise<StoredRecord | undefined> {
    this.#calls.check();
    checkKey(key);
    const { record } = await this.#changes.read(key);
    return record && stored(record);
  }

  async put(key: string, value: string, { expected }: ExpectedVersion = {}): Promise<PutResult> {
    this.#calls.check();
    checkRecord(key, value);
    if (expected === undefined) return this.#replace(key, value);
    const write = async (held: string | undefined) => {
      const body = configMapOf(key, value, held);
      const written = await (held === undefined ? this.#calls.create(body) : this.#calls.replace(body));
      return written && versionOf(written);
    };
    return this.#conditional(key, expected, write);
  }

  async delete(key: string, { expected }: ExpectedVersion = {}): Promise<PutResult> {
    this.#calls.check();
    checkKey(key);
    if (expected === undefined) {
      await this.#calls.remove(nameOf(key));
      return { ok: true, version: "" };
    }
    const remove = async (held: string | undefined) => {
      if (held !== undefined) return (await this.#calls.remove(nameOf(key), held)) && "";
      return (await this.#changes.read(key)).record === undefined ? "" : undefined;
    };
    return this.#conditional(key, expected, remove);
  }

  async changeAll(changes: readonly RecordChange[]): Promise<ChangesResult> {
    this.#calls.check();
    checkChanges(changes);
    const [only, ...others] = changes;
    if (only === undefined) return { ok: true, versions: [] };
    if (others.length > 0) return this.#changes.changeAll(changes);
    const { key, value, expected } = only;
    const options = expected === undefined ? {} : { expected };
    const result = await (value === undefined ? this.delete(key, options) : this.put(key, value, options));
    return result.ok ? { ok: true, versions: [result.version] } : { ok: false, key, current: result.current };
  }

  watch(prefix: string, observer: RecordObserver): () => void {
    this.#calls.check();
    if (this.#watches.size >= MAX_WATCHES) throw new StoreError("busy", `${MAX_WATCHES} watches are open`);
    const telling = new Telling(prefix, observer);
    this.#watches.add(telling);
    this.#reflector ??= this.#reflect();
    setImmediate(() => this.#tell([telling]));
    return () => {
      telling.end();
      this.#watches.delete(telling);
    };
  }

  async close(): Promise<void> {
    for (const telling of this.#watches) telling.end();
    this.#watches.clear();
    const closing = this.#reflector?.close();
    this.#calls.close();
    await closing;
  }

  /** Whatever there is. Creating and replacing are different requests, and others may do the opposite in between. */
  async #replace(key: string, value: string): Promise<PutResult> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const body = configMapOf(key, value);
      const replaced = await this.#calls.replace(body);
      if (replaced !== undefined) return { ok: true, version: versionOf(replaced) };
      const created = await this.#calls.create(body);
      if (created !== undefined) return { ok: true, version: versionOf(created) };
    }
    throw new StoreError("busy", `${key} was created and deleted by others again and again`);
  }

  /**
   * Usually the version is the resourceVersion. Where the object was written again with the same value, or there is one without a record, it is another.
   * @param write to the object of that resourceVersion, or where there is none; the new version, or undefined when it is another
   */
  async #conditional(
    key: string,
    expected: string | null,
    write: (resourceVersion: string | undefined) => Promise<string | undefined>,
  ): Promise<PutResult> {
    const isPossible = expected === null || isVersion(expected);
    const version = isPossible ? await write(expected ?? undefined) : undefined;
    if (version !== undefined) return { ok: true, version };
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { held, record } = await this.#changes.settle(key);
      if ((record?.version ?? null) !== expected) return { ok: false, current: record && stored(record) };
      const later = await write(held?.resourceVersion);
      if (later !== undefined) return { ok: true, version: later };
    }
    throw new StoreError("busy", `${key} is changed by others again and again`);
  }

  #reflect(): Reflector<Held> {
    return new Reflector<Held>({
      client: this.#calls.client,
      timing: this.#timing,
      path: this.#calls.path,
      query: { labelSelector: RECORDS },
      pageSize: CONFIG_MAPS_PER_PAGE,
      read: readObject,
      same: (a, b) =>
        a.record?.resourceVersion === b.record?.resourceVersion &&
        a.change?.resourceVersion === b.change?.resourceVersion,
      weigh: ({ record, change }) =>
        Math.max(MIN_CONFIG_MAP_WEIGHT, (record?.value?.length ?? change?.size ?? 0) / CONFIG_MAP_WEIGHT_LENGTH),
      changed: () => this.#tell([...this.#watches]),
      failed: (error) => {
        for (const telling of [...this.#watches]) telling.failed(failure(error));
      },
    });
  }

  #tell(tellings: readonly Telling[]): void {
    if (!this.#reflector?.synced) return;
    const held = [...this.#reflector.objects.values()];
    for (const telling of tellings) if (!telling.ended) telling.records(below(telling.prefix, held));
  }
}

/** undefined for what is not ours. */
function readObject(object: RawObject): Held | undefined {
  const record = heldOf(object);
  const change = record === undefined ? changeOf(object) : undefined;
  return record === undefined && change === undefined ? undefined : { record, change };
}

/** The records below a prefix, as the changes that are made make them. */
function below(prefix: string, all: readonly (Held | undefined)[]): ReadonlyMap<string, StoredRecord> {
  const made: MadeChanges = new Map(
    all.flatMap((each) => (each?.change?.made ? [[each.change.name, each.change.values] as const] : [])),
  );
  const records = new Map<string, StoredRecord>();
  for (const each of all) {
    const record: KeyedRecord | undefined = each?.record?.key.startsWith(prefix)
      ? recordOf(each.record, made)
      : undefined;
    if (record !== undefined) records.set(record.key, stored(record));
  }
  return records;
}

function stored({ value, version }: KeyedRecord): StoredRecord {
  return { value, version };
}

/** An update with version 0 would be one without a version, and anything else a bad request. */
function isVersion(text: string): boolean {
  return /^[1-9][0-9]{0,39}$/.test(text);
}
