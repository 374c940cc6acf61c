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
  MAX_CONSUL_VALUE_BYTES,
  MAX_VALUE_BYTES,
} from "./limits.ts";
import { isKey, type PutResult, type StoredRecord } from "./store.ts";

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
    const entries = (await this.#transact([{ Verb: "get-tree", Key: this.#prefix + prefix }])) ?? [];
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
    const { Value, Flags } = encode(key, value);
    const operation = { Key: this.#prefix + key, Value, Flags };
    if (expected === undefined) return this.#changed(key, [{ Verb: "set", ...operation }]);
    const Index = expected === null ? 0 : indexOf(expected);
    return this.#changed(key, Index === undefined ? undefined : [{ Verb: "cas", ...operation, Index }]);
  }

  /** @throws StoreError */
  async delete(key: string, expected: string | null | undefined): Promise<PutResult> {
    const Key = this.#prefix + key;
    if (expected === null) return this.#changed(key, [{ Verb: "check-not-exists", Key }]);
    const Index = expected === undefined ? 0 : indexOf(expected);
    // By itself `delete-cas` succeeds where there is nothing.
    const check = expected === undefined ? [] : Index === undefined ? undefined : [{ Verb: "check-index", Key, Index }];
    return this.#changed(key, check && [...check, { Verb: "delete", Key }]);
  }

  close(): void {
    this.#http.close();
  }

  /** @param operations undefined: they cannot succeed */
  async #changed(key: string, operations: readonly Operation[] | undefined): Promise<PutResult> {
    const entries = operations && (await this.#transact(operations));
    if (entries === undefined) return { ok: false, current: await this.get(key) };
    const written = operations?.[0]?.Verb === "set" || operations?.[0]?.Verb === "cas";
    if (written && entries[0] === undefined) throw new StoreError("failed", "Consul does not say what it has done");
    return { ok: true, version: written ? String(entries[0]?.ModifyIndex) : "" };
  }

  async #read(Key: string): Promise<Entry | undefined> {
    const entries = await this.#transact([{ Verb: "get", Key }]);
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

  /** What they have read or written; undefined when Consul did none of them. @throws StoreError */
  async #transact(operations: readonly Operation[]): Promise<readonly Entry[] | undefined> {
    const body = JSON.stringify(operations.map((KV) => ({ KV })));
    const answer = await this.#http.call({ method: "PUT", path: "/v1/txn", body, timeoutMs: CONSUL_TIMEOUT_MS });
    if (answer.status === 409) {
      if (/Permission denied|ACL not found/.test(answer.text)) throw refused(answer);
      return undefined;
    }
    if (answer.status !== 200) throw refused(answer);
    const results = (parse(answer.text) as { readonly Results?: unknown } | null)?.Results;
    return entriesOf(
      Array.isArray(results) ? results.map((result) => (result as { KV?: unknown } | null)?.KV) : results,
    );
  }

  async #named(entries: readonly Entry[]): Promise<ReadonlyMap<string, StoredRecord>> {
    const named = entries.map((entry) => [entry.Key.slice(this.#prefix.length), entry] as const);
    const records = named.filter(([key]) => isKey(key));
    if (records.length === 0) await this.#checkReadable();
    return new Map(records.map(([key, entry]) => [key, recordOf(entry)]));
  }
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
