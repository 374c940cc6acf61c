/**
 * A record as a ConfigMap. Keys are no names of Kubernetes, so the name has what can be read of the key and its hash; the key itself is an annotation.
 *
 *   metadata.name                             tokenmesh-weights-current-3c2f1f0d9a4b8e77...
 *   metadata.labels                           app.kubernetes.io/managed-by: tokenmesh, tokenmesh.io/record: "true"
 *   metadata.annotations tokenmesh.io/key     weights/current
 *   metadata.annotations tokenmesh.io/write   of each change: without it the API server would take two changes to the same value for one, and both would win
 *   data.value                                the text; binaryData.value where its JSON would be larger than a request may be
 */
import { createHash, randomUUID } from "node:crypto";
import type { RawObject } from "../../kubernetes/index.ts";
import { MAX_VALUE_BYTES } from "./limits.ts";
import type { StoredRecord } from "./store.ts";

const KEY = "tokenmesh.io/key";
const WRITE = "tokenmesh.io/write";
const LABELS = { "app.kubernetes.io/managed-by": "tokenmesh", "tokenmesh.io/record": "true" };

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

/** @param version the one that is to be replaced; undefined: whatever there is, or nothing */
export function configMapOf(key: string, value: string, version?: string): RawObject {
  const fits = JSON.stringify(value).length <= MAX_JSON_LENGTH;
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name: nameOf(key),
      labels: LABELS,
      annotations: { [KEY]: key, [WRITE]: randomUUID() },
      ...(version !== undefined && { resourceVersion: version }),
    },
    ...(fits ? { data: { value } } : { binaryData: { value: Buffer.from(value).toString("base64") } }),
  };
}

export interface KeyedRecord extends StoredRecord {
  readonly key: string;
}

/** undefined for what is no record of ours: its name is not that of its key, or it has no value. */
export function recordOf(object: RawObject): KeyedRecord | undefined {
  const { name, resourceVersion, annotations } = fields(object.metadata);
  const key = fields(annotations)[KEY];
  if (typeof key !== "string" || typeof resourceVersion !== "string" || nameOf(key) !== name) return undefined;
  const value = textOf(object);
  if (value === undefined || Buffer.byteLength(value) > MAX_VALUE_BYTES) return undefined;
  return { key, value, version: resourceVersion };
}

function textOf({ data, binaryData }: RawObject): string | undefined {
  const { value } = fields(data);
  if (typeof value === "string") return value;
  const encoded = fields(binaryData).value;
  return typeof encoded === "string" ? Buffer.from(encoded, "base64").toString("utf8") : undefined;
}

function fields(value: unknown): RawObject {
  return typeof value === "object" && value !== null ? (value as RawObject) : {};
}
