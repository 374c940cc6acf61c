/**
 * Configuration documents that programs put through the API: one record for each, under `documents/` and the hash of its identity (identities have capital letters,
 * and keys of records have none). The value is one line with the identity, then the document.
 */
import { createHash } from "node:crypto";
import { ServerError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import { MAX_DOCUMENT_ID_LENGTH } from "./limits.ts";
import { RecordMirror } from "./mirror.ts";
import type { RecordStore, StoredRecord } from "./store.ts";

const PREFIX = "documents/";

export interface StoredDocument {
  /** One document in JSON or YAML. */
  readonly text: string;
  readonly version: string;
}

interface NamedDocument {
  readonly identity: string;
  readonly document: StoredDocument;
}

/** One of several that are changed together. */
export interface StoredChange {
  readonly identity: string;
  /** undefined: the document is to be removed. */
  readonly text: string | undefined;
  readonly expected?: string | null | undefined;
}

export type StoredChanges =
  /** In the order of the changes; "" of a removal. */
  | { readonly ok: true; readonly versions: readonly string[] }
  /** Nothing was changed: this document is not the one that was expected. */
  | { readonly ok: false; readonly identity: string; readonly current: StoredDocument | undefined };

export class DocumentStore {
  readonly #mirror: RecordMirror;
  readonly #log: Logger;
  readonly #watchers = new Set<() => void>();
  readonly #byKey = new Map<string, NamedDocument>();
  #documents: ReadonlyMap<string, StoredDocument> = new Map();

  constructor(store: RecordStore, { log }: { readonly log: Logger }) {
    this.#log = log;
    this.#mirror = new RecordMirror(store, {
      prefix: PREFIX,
      log,
      together: true,
      changed: (keys) => this.#adopt(keys),
    });
  }

  /** Resolves when the store has said what there is. */
  get ready(): Promise<void> {
    return this.#mirror.ready;
  }

  /** By identity, `KIND/namespace/name`, sorted. Another map after every change. */
  documents(): ReadonlyMap<string, StoredDocument> {
    return this.#documents;
  }

  watch(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  /**
   * All of the changes or none, told to watchers as one, and among `documents()` when it resolves.
   * @throws ServerError TM_RECORD_INVALID, TM_STATE_TOO_LARGE; StoreError, with `unavailable` all of it may have been done
   */
  async changeAll(changes: readonly StoredChange[]): Promise<StoredChanges> {
    const keys = changes.map(({ identity }) => keyOf(identity));
    const result = await this.#mirror.changeAll(
      changes.map(({ identity, text, expected }, index) => ({
        key: keys[index] ?? "",
        value: text === undefined ? undefined : `${identity}\n${text}`,
        expected,
      })),
    );
    if (result.ok) return result;
    const identity = changes[keys.indexOf(result.key)]?.identity ?? "";
    return { ok: false, identity, current: parse(result.current)?.document };
  }

  close(): void {
    this.#watchers.clear();
    this.#mirror.close();
  }

  #adopt(keys: ReadonlySet<string>): void {
    for (const key of keys) {
      const record = this.#mirror.records.get(key);
      const parsed = record && parse(record);
      if (record === undefined) this.#byKey.delete(key);
      else if (parsed !== undefined && isIdentity(parsed.identity) && keyOf(parsed.identity) === key)
        this.#byKey.set(key, parsed);
      else
        this.#log("error", "a document of the state store cannot be read; the last one stays", {
          code: "TM_STATE_DAMAGED",
          key,
        });
    }
    const documents = [...this.#byKey.values()].sort((a, b) => (a.identity < b.identity ? -1 : 1));
    this.#documents = new Map(documents.map(({ identity, document }) => [identity, document]));
    for (const watcher of this.#watchers) watcher();
  }
}

const isIdentity = (text: string): boolean =>
  text.length <= MAX_DOCUMENT_ID_LENGTH && /^[A-Za-z0-9]+\/[^/\s]+\/[^/\s]+$/.test(text);

/** @throws ServerError TM_RECORD_INVALID */
function keyOf(identity: string): string {
  if (!isIdentity(identity))
    throw new ServerError(
      "TM_RECORD_INVALID",
      `${JSON.stringify(identity.slice(0, 100))} is no identity of a document`,
    );
  return PREFIX + createHash("sha256").update(identity).digest("hex").slice(0, 40);
}

function parse(record: StoredRecord | undefined): NamedDocument | undefined {
  if (record === undefined) return undefined;
  const end = record.value.indexOf("\n");
  const identity = record.value.slice(0, Math.max(0, end));
  return { identity, document: { text: record.value.slice(end + 1), version: record.version } };
}
