/**
 * How records lie in Consul's KV store: a key for each, below a prefix; the version is its ModifyIndex. Changes are transactions, which can compare and say what they
 * have done; so are reads, because a key in a path loses its empty and dotted parts. Long texts are compressed, which the flags of the entry say.
 * See https://developer.hashicorp.com/consul/api-docs/txn
 */
import { gunzipSync, gzipSync } from "node:zlib";
import { ServerError } from "../../errors.ts";
import { StoreError } from "../store-error.ts";
import { ConsulHttp, shown } from "./consul-http.ts";
import {
  COMPRESS_BYTES,
  CONSUL_TIMEOUT_MS,
  CONSUL_WAIT_MS,
  CONSUL_WAIT_SLACK_MS,
  MAX_CONSUL_OPERATIONS,
  MAX_CONSUL_REQUEST_BYTES,
  MAX_CONSUL_VALUE_BYTES,
  MAX_VALUE_BYTES,
} from "./limits.ts";
import { type ChangesResult, isKey, type PutResult, type RecordChange, type StoredRecord } from "./store.ts";

export interface ConsulRecordsOptions {
  /** http://host:port, or https. */
  readonly address: string;
  /** Before every key. */
  readonly prefix: string;
  readonly token: () => string;
}

export interface Listing {
  readonly records: ReadonlyMap<string, StoredRecord>;
  /** To wait for another one; 0 when there is none. */
  readonly index: number;
}

interface Entry {
  readonly Key: string;
  readonly Value: string | null;
  readonly Flags: number;
  readonly ModifyIndex: number;
}

type Operation = Readonly<Record<string, string | number>>;

const GZIP = 1;
/** No record has capital letters in its key. */
const MARK = "READABLE";

export class ConsulRecords {
  readonly #http: ConsulHttp;
  readonly #prefix: string;

  constructor({ address, prefix, token }: ConsulRecordsOptions) {
    this.#http = new ConsulHttp(address, token);
    this.#prefix = prefix;
  }

  /** @throws StoreError */
  async get(key: string): Promise<StoredRecord | undefined> {
    const entry = await this.#read(this.#prefix + key);
    return entry && recordOf(entry);
  }

  /** @throws StoreError */
  async list(prefix: string): Promise<ReadonlyMap<string, StoredRecord>> {
    const { entries = [] } = await this.#transact([{ Verb: "get-tree", Key: this.#prefix + prefix }]);
    return this.#named(entries);
  }

  /**
   * What there is when it is no more as it was at `index`, or after some time.
   * @param index 0: at once @throws StoreError
   */
  async watch(prefix: string, index: number, signal: AbortSignal): Promise<Listing> {
    // A path is cleaned of empty and dotted parts; above them it is the same.
    const clean = prefix.replace(/(^|\/)(\.{0,2})\/.*$/s, "$1").replace(/(^|\/)\.{1,2}$/, "$1");
    const query = index > 0 ? `&index=${index}&wait=${CONSUL_WAIT_MS}ms` : "";
    const answer = await this.#http.call(
      {
        method: "GET",
        path: `/v1/kv/${this.#prefix}${clean}?recurse${query}`,
        timeoutMs: CONSUL_WAIT_MS + CONSUL_WAIT_SLACK_MS,
      },
      signal,
    );
    if (answer.status !== 200 && answer.status !== 404) throw refused(answer);
    const records = await this.#named(answer.status === 404 ? [] : entriesOf(parse(answer.text)));
    return { records: new Map([...records].filter(([key]) => key.startsWith(prefix))), index: answer.index };
  }

  /** @throws StoreError; ServerError TM_RECORD_INVALID for a text that is too long for Consul */
  async put(key: string, value: string, expected: string | null | undefined): Promise<PutResult> {
    return single(await this.changeAll([{ key, value, expected }]));
  }

  /** @throws StoreError */
  async delete(key: string, expected: string | null | undefined): Promise<PutResult> {
    return single(await this.changeAll([{ key, value: undefined, expected }]));
  }

  /**
   * One transaction.
   * @throws StoreError; ServerError TM_RECORD_INVALID for a text that is too long for Consul, TM_STATE_TOO_LARGE for more than a transaction takes
   */
  async changeAll(changes: readonly RecordChange[]): Promise<ChangesResult> {
    const operations: Operation[] = [];
    /** Of each operation. */
    const keys: string[] = [];
    for (const change of changes) {
      const own = this.#operations(change);
      if (own === undefined) return this.#conflict(change.key);
      operations.push(...own);
      keys.push(...own.map(() => change.key));
    }
    checkSize(operations);
    if (operations.length === 0) return { ok: true, versions: [] };
    const { entries, refused: place } = await this.#transact(operations);
    // Consul says which of them could not be done; of one there is no question.
    if (entries === undefined) return this.#conflict(keys[place] ?? keys[0] ?? "");
    const indexes = new Map(entries.map(({ Key, ModifyIndex }) => [Key, String(ModifyIndex)]));
    const versions = changes.map(({ key, value }) => (value === undefined ? "" : indexes.get(this.#prefix + key)));
    if (!versions.every((version) => version !== undefined))
      throw new StoreError("failed", "Consul does not say what it has done");
    return { ok: true, versions };
  }

  close(): void {
    this.#http.close();
  }

  /** What makes one change; undefined when it cannot succeed. @throws ServerError TM_RECORD_INVALID */
  #operations({ key, value, expected }: RecordChange): readonly Operation[] | undefined {
    const Key = this.#prefix + key;
    const Index = expected === undefined || expected === null ? 0 : indexOf(expected);
    if (value !== undefined) {
      const operation = { Key, ...encode(key, value) };
      if (expected === undefined) return [{ Verb: "set", ...operation }];
      return Index === undefined ? undefined : [{ Verb: "cas", ...operation, Index }];
    }
    if (expected === null) return [{ Verb: "check-not-exists", Key }];
    if (expected === undefined) return [{ Verb: "delete", Key }];
    // By itself `delete-cas` succeeds where there is nothing.
    return Index === undefined
      ? undefined
      : [
          { Verb: "check-index", Key, Index },
          { Verb: "delete", Key },
        ];
  }

  async #conflict(key: string): Promise<ChangesResult & { readonly ok: false }> {
    return { ok: false, key, current: await this.get(key) };
  }

  async #read(Key: string): Promise<Entry | undefined> {
    const { entries } = await this.#transact([{ Verb: "get", Key }]);
    // What is not there is a conflict; nothing at all is what Consul answers to whom it tells nothing.
    if (entries?.length === 0) throw new StoreError("failed", `Consul does not let the token read ${Key}`);
    return entries?.[0];
  }

  /**
   * To a token that may not read, Consul shows a store that is empty: taken for true, that would remove all records. So one entry is always there, and has to be seen.
   * @throws StoreError
   */
  async #checkReadable(): Promise<void> {
    const Key = this.#prefix + MARK;
    if ((await this.#read(Key)) !== undefined) return;
    await this.#transact([{ Verb: "cas", Key, Value: "", Index: 0 }]);
    if ((await this.#read(Key)) === undefined) throw new StoreError("failed", `Consul does not keep ${Key}`);
  }

  /** What they have read or written; without entries Consul did none of them, because of the one at the place `refused`. @throws StoreError */
  async #transact(
    operations: readonly Operation[],
  ): Promise<{ readonly entries: readonly Entry[] | undefined; readonly refused: number }> {
    const body = JSON.stringify(operations.map((KV) => ({ KV })));
    const answer = await this.#http.call({ method: "PUT", path: "/v1/txn", body, timeoutMs: CONSUL_TIMEOUT_MS });
    if (answer.status === 409) {
      if (/Permission denied|ACL not found/.test(answer.text)) throw refused(answer);
      return { entries: undefined, refused: placeOf(answer.text) };
    }
    if (answer.status !== 200) throw refused(answer);
    const results = (parse(answer.text) as { readonly Results?: unknown } | null)?.Results;
    const entries = Array.isArray(results) ? results.map((result) => (result as { KV?: unknown } | null)?.KV) : results;
    return { entries: entriesOf(entries), refused: 0 };
  }

  async #named(entries: readonly Entry[]): Promise<ReadonlyMap<string, StoredRecord>> {
    const named = entries.map((entry) => [entry.Key.slice(this.#prefix.length), entry] as const);
    const records = named.filter(([key]) => isKey(key));
    if (records.length === 0) await this.#checkReadable();
    return new Map(records.map(([key, entry]) => [key, recordOf(entry)]));
  }
}

const single = (result: ChangesResult): PutResult =>
  result.ok ? { ok: true, version: result.versions[0] ?? "" } : { ok: false, current: result.current };

/** @throws ServerError TM_STATE_TOO_LARGE */
function checkSize(operations: readonly Operation[]): void {
  if (operations.length > MAX_CONSUL_OPERATIONS)
    throw new ServerError(
      "TM_STATE_TOO_LARGE",
      `a transaction of Consul takes ${MAX_CONSUL_OPERATIONS} operations, and these are ${operations.length}`,
    );
  const bytes = JSON.stringify(operations).length + 8 * operations.length;
  if (operations.length > 1 && bytes > MAX_CONSUL_REQUEST_BYTES)
    throw new ServerError(
      "TM_STATE_TOO_LARGE",
      `a transaction of Consul takes ${MAX_CONSUL_REQUEST_BYTES} bytes, and these records have ${bytes} compressed`,
    );
}

/** Of the operation that could not be done, as Consul says it. */
function placeOf(text: string): number {
  const { Errors } = (parse(text) ?? {}) as { readonly Errors?: readonly { readonly OpIndex?: unknown }[] };
  const place = Array.isArray(Errors) ? Errors[0]?.OpIndex : undefined;
  return Number.isInteger(place) ? Number(place) : 0;
}

/** @throws StoreError for what is no list of entries */
function entriesOf(value: unknown): readonly Entry[] {
  const isEntry = (each: unknown): each is Entry => {
    const { Key, Value, Flags, ModifyIndex } = (each ?? {}) as Partial<Record<keyof Entry, unknown>>;
    const text = Value === null || Value === undefined || typeof Value === "string";
    return typeof Key === "string" && text && typeof Flags === "number" && Number.isSafeInteger(ModifyIndex);
  };
  if (Array.isArray(value) && value.every(isEntry)) return value;
  throw new StoreError("failed", "Consul answers with what are no entries");
}

/** @throws ServerError TM_RECORD_INVALID */
function encode(key: string, text: string): { readonly Value: string; readonly Flags: number } {
  const plain = Buffer.from(text);
  const packed = plain.length > COMPRESS_BYTES ? gzipSync(plain) : plain;
  if (packed.length > MAX_CONSUL_VALUE_BYTES)
    throw new ServerError(
      "TM_RECORD_INVALID",
      `the value of ${key} has ${packed.length} bytes compressed, and Consul takes ${MAX_CONSUL_VALUE_BYTES}`,
    );
  return { Value: packed.toString("base64"), Flags: packed === plain ? 0 : GZIP };
}

/** @throws StoreError for what `encode` did not make */
function recordOf({ Key, Value, Flags, ModifyIndex }: Entry): StoredRecord {
  const bytes = Buffer.from(Value ?? "", "base64");
  try {
    const plain = Flags === GZIP ? gunzipSync(bytes, { maxOutputLength: MAX_VALUE_BYTES }) : bytes;
    return { value: plain.toString("utf8"), version: String(ModifyIndex) };
  } catch (error) {
    throw new StoreError("failed", `the value of ${Key} cannot be read`, { cause: error });
  }
}

/** Of a version; undefined for what can be none. 0 would mean that there must be nothing. */
const indexOf = (version: string): number | undefined =>
  /^[1-9]\d{0,14}$/.test(version) ? Number(version) : undefined;

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new StoreError("failed", "Consul answers with what is not JSON", { cause: error });
  }
}

const refused = ({ status, text }: { readonly status: number; readonly text: string }): StoreError =>
  new StoreError("failed", `Consul answers ${status}: ${shown(text)}`);
