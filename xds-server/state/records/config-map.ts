/**
 * A record as a ConfigMap. Keys are no names of Kubernetes, so the name has what can be read of the key and its hash; the key itself is an annotation.
 *
 *   metadata.name                             tokenmesh-weights-current-3c2f1f0d9a4b8e77...
 *   metadata.labels                           app.kubernetes.io/managed-by: tokenmesh, tokenmesh.io/record: "true"
 *   metadata.annotations tokenmesh.io/key     weights/current
 *   metadata.annotations tokenmesh.io/write   of each change: without it the API server would take two changes to the same value for one, and both would win
 *   metadata.annotations tokenmesh.io/change  the ConfigMap of a change of several records that this one belongs to (config-map-change.ts)
 *   metadata.annotations tokenmesh.io/version of the value, where that is not the object's resourceVersion: the object was written again with the same value
 *   data.value                                the text; binaryData.value where its JSON would be larger than a request may be; neither: there is no record yet
 */
import { createHash, randomUUID } from "node:crypto";
import type { RawObject } from "../../kubernetes/index.ts";
import { MAX_VALUE_BYTES } from "./limits.ts";
import type { StoredRecord } from "./store.ts";

const KEY = "tokenmesh.io/key";
const WRITE = "tokenmesh.io/write";
const CHANGE = "tokenmesh.io/change";
const VERSION = "tokenmesh.io/version";
export const LABELS = { "app.kubernetes.io/managed-by": "tokenmesh", "tokenmesh.io/record": "true" };

/** Selects the ConfigMaps that are records. */
export const RECORDS = Object.entries(LABELS)
  .map(([name, value]) => `${name}=${value}`)
  .join(",");

/** A request has at most 3 MiB; a control character has six bytes in JSON. */
const MAX_JSON_LENGTH = 2 * 1024 * 1024;
/** Characters of the key that the name repeats. */
const READABLE = 60;

/** Another for each key: 160 bits of SHA-256. */
export function nameOf(key: string): string {
  const readable = key
    .slice(0, READABLE)
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
  const hash = createHash("sha256").update(key).digest("hex").slice(0, 40);
  return ["tokenmesh", readable, hash].filter((part) => part !== "").join("-");
}

/** Of a record's object beside its key and value. */
export interface HeldMarks {
  /** Name of the change that it belongs to. */
  readonly change?: string | undefined;
  /** Of the value. */
  readonly version?: string | undefined;
}

/**
 * @param value undefined: there is no record yet
 * @param replaced resourceVersion of the object that is to be replaced; undefined: whatever there is, or nothing
 */
export function configMapOf(
  key: string,
  value: string | undefined,
  replaced?: string,
  { change, version }: HeldMarks = {},
): RawObject {
  const fits = value === undefined || JSON.stringify(value).length <= MAX_JSON_LENGTH;
  const marks = {
    ...(change !== undefined && { [CHANGE]: change }),
    ...(version !== undefined && { [VERSION]: version }),
  };
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name: nameOf(key),
      labels: LABELS,
      annotations: { [KEY]: key, [WRITE]: randomUUID(), ...marks },
      ...(replaced !== undefined && { resourceVersion: replaced }),
    },
    ...(value === undefined
      ? {}
      : fits
        ? { data: { value } }
        : { binaryData: { value: Buffer.from(value).toString("base64") } }),
  };
}

export interface KeyedRecord extends StoredRecord {
  readonly key: string;
}

/** What a record's object holds. */
export interface HeldRecord {
  readonly key: string;
  readonly resourceVersion: string;
  /** undefined: there is no record yet. */
  readonly value: string | undefined;
  /** Of the value. */
  readonly version: string;
  /** Name of the change that it belongs to; undefined for none. */
  readonly change: string | undefined;
}

/** undefined for what is no record of ours: its name is not that of its key, or its value is too long. */
export function heldOf(object: RawObject): HeldRecord | undefined {
  const { name, resourceVersion, annotations } = fields(object.metadata);
  const { [KEY]: key, [CHANGE]: change, [VERSION]: version } = fields(annotations);
  if (typeof key !== "string" || typeof resourceVersion !== "string" || nameOf(key) !== name) return undefined;
  const value = textOf(object);
  if (value !== undefined && Buffer.byteLength(value) > MAX_VALUE_BYTES) return undefined;
  return {
    key,
    resourceVersion,
    value,
    version: typeof version === "string" ? version : resourceVersion,
    change: typeof change === "string" ? change : undefined,
  };
}

/** Values of the changes that are made, by their names; a value undefined is a removal. */
export type MadeChanges = ReadonlyMap<string, ReadonlyMap<string, string | undefined>>;

/** The record, as the change that its object belongs to makes it; undefined for none. */
export function recordOf(held: HeldRecord, made: MadeChanges): KeyedRecord | undefined {
  const { key, value, version, resourceVersion, change } = held;
  const values = change === undefined ? undefined : made.get(change);
  if (!values?.has(key)) return value === undefined ? undefined : { key, value, version };
  const changed = values.get(key);
  return changed === undefined ? undefined : { key, value: changed, version: resourceVersion };
}

function textOf({ data, binaryData }: RawObject): string | undefined {
  const { value } = fields(data);
  if (typeof value === "string") return value;
  const encoded = fields(binaryData).value;
  return typeof encoded === "string" ? Buffer.from(encoded, "base64").toString("utf8") : undefined;
}

export function fields(value: unknown): RawObject {
  return typeof value === "object" && value !== null ? (value as RawObject) : {};
}
