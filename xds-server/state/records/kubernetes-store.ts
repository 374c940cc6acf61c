/**
 * Records as ConfigMaps of one namespace, for any number of servers in a cluster: nothing else has to run. The version of a record is the object's resourceVersion, so a
 * change by compare-and-set is one request that the API server refuses when somebody else was faster. One list and watch keeps a copy of all records for who watches.
 *
 * Needs the rights get, list, watch, create, update and delete on configmaps in that namespace.
 */
import { ServerError } from "../../errors.ts";
import {
  ApiClient,
  ApiError,
  type CallOptions,
  type Cluster,
  type RawObject,
  Reflector,
  type Timing,
} from "../../kubernetes/index.ts";
import { StoreError } from "../store-error.ts";
import { configMapOf, type KeyedRecord, nameOf, RECORDS, recordOf } from "./config-map.ts";
import {
  CONFIG_MAP_WEIGHT_LENGTH,
  CONFIG_MAPS_PER_PAGE,
  KUBERNETES_TIMEOUT_MS,
  MAX_ATTEMPTS,
  MAX_KUBERNETES_CALLS,
  MAX_WATCHES,
  MIN_CONFIG_MAP_WEIGHT,
} from "./limits.ts";
import {
  checkKey,
  checkRecord,
  type ExpectedVersion,
  type PutResult,
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

type Refusal = "NotFound" | "AlreadyExists" | "Conflict" | "Expired";

export class KubernetesRecordStore implements RecordStore {
  readonly #path: string;
  readonly #client: ApiClient;
  readonly #timing: Timing;
  #closed = false;
  readonly #watches = new Set<Telling>();
  /** From the first watch on. */
  #reflector: Reflector<KeyedRecord> | undefined;
  #inFlight = 0;

  /** Connects when it is asked. @throws ServerError TM_USAGE for what is no namespace */
  constructor(options: KubernetesRecordStoreOptions) {
    const { cluster, namespace = cluster.namespace, timing, timeoutMs = KUBERNETES_TIMEOUT_MS } = options;
    if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(namespace))
      throw new ServerError("TM_USAGE", `${JSON.stringify(namespace.slice(0, 80))} is no namespace of Kubernetes`);
    this.#path = `/api/v1/namespaces/${namespace}/configmaps`;
    this.#client = new ApiClient(cluster, timeoutMs);
    this.#timing = timing;
  }

  async list(prefix: string): Promise<ReadonlyMap<string, StoredRecord>> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const found = await this.#listOnce(prefix);
      if (found !== undefined) return found;
    }
    throw new StoreError("busy", `${this.#path} cannot be listed to its end`);
  }

  async get(key: string): Promise<StoredRecord | undefined> {
    this.#checkOpen();
    checkKey(key);
    const object = await this.#unless("NotFound", this.#call("GET", this.#pathOf(key)));
    const record = object === undefined ? undefined : recordOf(object);
    if (object !== undefined && record?.key !== key)
      throw new StoreError("failed", `ConfigMap ${nameOf(key)} is not the record ${key}`);
    return record && stored(record);
  }

  async put(key: string, value: string, { expected }: ExpectedVersion = {}): Promise<PutResult> {
    this.#checkOpen();
    checkRecord(key, value);
    if (expected === null) {
      const body = configMapOf(key, value);
      return this.#written(key, this.#unless("AlreadyExists", this.#call("POST", this.#path, { body })));
    }
    if (expected === undefined) return this.#replace(key, value);
    if (!isVersion(expected)) return this.#conflict(key);
    const body = configMapOf(key, value, expected);
    return this.#written(key, this.#unless("Conflict", this.#call("PUT", this.#pathOf(key), { body })));
  }

  async delete(key: string, { expected }: ExpectedVersion = {}): Promise<PutResult> {
    this.#checkOpen();
    checkKey(key);
    if (expected === null || (expected !== undefined && !isVersion(expected))) {
      const result = await this.#conflict(key);
      return expected === null && result.current === undefined ? { ok: true, version: "" } : result;
    }
    const preconditions = expected === undefined ? {} : { preconditions: { resourceVersion: expected } };
    const body = { apiVersion: "v1", kind: "DeleteOptions", ...preconditions };
    const gone = await this.#unless("Conflict", this.#call("DELETE", this.#pathOf(key), { body }));
    return gone === undefined && expected !== undefined ? this.#conflict(key) : { ok: true, version: "" };
  }

  watch(prefix: string, observer: RecordObserver): () => void {
    this.#checkOpen();
    if (this.#watches.size >= MAX_WATCHES) throw new StoreError("busy", `${MAX_WATCHES} watches are open`);
    const telling = new Telling(prefix, observer);
    this.#watches.add(telling);
    this.#reflector ??= this.#reflect();
    setImmediate(() => this.#tell(telling));
    return () => {
      telling.end();
      this.#watches.delete(telling);
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const telling of this.#watches) telling.end();
    this.#watches.clear();
    await this.#reflector?.close();
    this.#client.close();
  }

  /** Whatever there is. Creating and replacing are different requests, and others may do the opposite in between. */
  async #replace(key: string, value: string): Promise<PutResult> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const body = configMapOf(key, value);
      const replaced = await this.#unless("NotFound", this.#call("PUT", this.#pathOf(key), { body }));
      if (replaced !== undefined) return { ok: true, version: versionOf(replaced) };
      const created = await this.#unless("AlreadyExists", this.#call("POST", this.#path, { body }));
      if (created !== undefined) return { ok: true, version: versionOf(created) };
    }
    throw new StoreError("busy", `${key} was created and deleted by others again and again`);
  }

  async #written(key: string, call: Promise<RawObject | undefined>): Promise<PutResult> {
    const object = await call;
    return object === undefined ? this.#conflict(key) : { ok: true, version: versionOf(object) };
  }

  async #conflict(key: string): Promise<PutResult & { readonly ok: false }> {
    return { ok: false, current: await this.get(key) };
  }

  /** undefined when the version of its first page was forgotten before its last page was read. */
  async #listOnce(prefix: string): Promise<ReadonlyMap<string, StoredRecord> | undefined> {
    const found = new Map<string, StoredRecord>();
    let next: string | undefined;
    do {
      const query = { labelSelector: RECORDS, limit: CONFIG_MAPS_PER_PAGE, continue: next };
      const page = await this.#unless("Expired", this.#call("GET", this.#path, { query }));
      if (page === undefined) return undefined;
      for (const item of Array.isArray(page.items) ? page.items : []) {
        const record = recordOf((item ?? {}) as RawObject);
        if (record?.key.startsWith(prefix)) found.set(record.key, stored(record));
      }
      const { continue: more } = (page.metadata ?? {}) as RawObject;
      next = typeof more === "string" && more !== "" ? more : undefined;
    } while (next !== undefined);
    return found;
  }

  /** undefined when the API server refuses for this reason; for a change, what is not there cannot be of the version that was expected either. */
  async #unless(reason: Refusal, call: Promise<unknown>): Promise<RawObject | undefined> {
    try {
      return ((await call) ?? {}) as RawObject;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.reason === reason || (reason === "Conflict" && error.reason === "NotFound")) return undefined;
      throw failure(error);
    }
  }

  /** @throws ApiError; StoreError when this side refuses */
  async #call(method: "GET" | "POST" | "PUT" | "DELETE", path: string, options: CallOptions = {}): Promise<unknown> {
    this.#checkOpen();
    if (this.#inFlight >= MAX_KUBERNETES_CALLS)
      throw new StoreError("busy", `${MAX_KUBERNETES_CALLS} calls to the API server are under way`);
    this.#inFlight++;
    try {
      return await this.#client.call(method, path, options);
    } finally {
      this.#inFlight--;
    }
  }

  #reflect(): Reflector<KeyedRecord> {
    return new Reflector<KeyedRecord>({
      client: this.#client,
      timing: this.#timing,
      path: this.#path,
      query: { labelSelector: RECORDS },
      pageSize: CONFIG_MAPS_PER_PAGE,
      read: recordOf,
      same: (a, b) => a.version === b.version,
      weigh: ({ value }) => Math.max(MIN_CONFIG_MAP_WEIGHT, value.length / CONFIG_MAP_WEIGHT_LENGTH),
      changed: () => {
        for (const telling of [...this.#watches]) this.#tell(telling);
      },
      failed: (error) => {
        for (const telling of [...this.#watches]) telling.failed(failure(error));
      },
    });
  }

  #tell(telling: Telling): void {
    if (telling.ended || !this.#reflector?.synced) return;
    const records = [...this.#reflector.objects.values()].filter(({ key }) => key.startsWith(telling.prefix));
    telling.records(new Map(records.map((record) => [record.key, stored(record)])));
  }

  #pathOf(key: string): string {
    return `${this.#path}/${nameOf(key)}`;
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError("unavailable", "the store is closed");
  }
}

function stored({ value, version }: KeyedRecord): StoredRecord {
  return { value, version };
}

/** An update with version 0 would be one without a version, and anything else a bad request. */
function isVersion(text: string): boolean {
  return /^[1-9][0-9]{0,39}$/.test(text);
}

function versionOf({ metadata }: RawObject): string {
  const { resourceVersion } = (metadata ?? {}) as RawObject;
  if (typeof resourceVersion === "string") return resourceVersion;
  throw new StoreError("failed", "the API server answers with no version");
}

function failure(error: ApiError): StoreError {
  const { fault, status, message } = error;
  const refused = fault === "status" && status !== 429 && status < 500;
  const reason =
    status === 429 ? "busy" : refused || fault === "malformed" || fault === "too_large" ? "failed" : "unavailable";
  return new StoreError(reason, message, { cause: error });
}
