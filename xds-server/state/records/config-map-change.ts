/**
 * A change of several records as a ConfigMap of its own. Kubernetes has no transactions, and changes one object at a time; so one object decides:
 *
 *   1. The change is written, not made yet. 2. The object of each record is marked with its name, if the record is as expected; its value stays. 3. The change is marked as
 *   made: in this moment, whoever lists or watches sees all new values at once, because for a record that is marked the change says what it is. 4. The values are
 *   written into the objects of the records, and the change is removed.
 *
 * Until 3. nothing is changed, whoever ends: a writer who meets a mark of a change that is not made removes that change, and its owner finds out in 3. From 3. on all is
 * changed, whoever ends: a writer who meets such a mark finishes the record first.
 *
 *   metadata.name                             tokenmesh-change-UUID
 *   metadata.annotations tokenmesh.io/change  "open" or "made"
 *   binaryData.changes                        [{"key", "value"}] in JSON, compressed; without a value: removed
 */
import { randomUUID } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { ServerError } from "../../errors.ts";
import type { RawObject } from "../../kubernetes/index.ts";
import { fields, LABELS } from "./config-map.ts";
import { MAX_CHANGE_BYTES, MAX_CHANGES, MAX_CONFIG_MAP_CHANGE_BYTES } from "./limits.ts";
import { isKey, type RecordChange } from "./store.ts";

const STATE = "tokenmesh.io/change";
const NAME = /^tokenmesh-change-[0-9a-f-]{36}$/;
/** A control character has six bytes in JSON. */
const MAX_TEXT_BYTES = 6 * MAX_CHANGE_BYTES + 1_024 * MAX_CHANGES;

export interface HeldChange {
  readonly name: string;
  readonly resourceVersion: string;
  readonly made: boolean;
  /** By key; undefined: removed. */
  readonly values: ReadonlyMap<string, string | undefined>;
  /** Characters. */
  readonly size: number;
}

export const newChangeName = (): string => `tokenmesh-change-${randomUUID()}`;

/** @throws ServerError TM_STATE_TOO_LARGE */
export function encodeChange(changes: readonly RecordChange[]): string {
  const packed = gzipSync(JSON.stringify(changes.map(({ key, value }) => ({ key, value }))));
  if (packed.length <= MAX_CONFIG_MAP_CHANGE_BYTES) return packed.toString("base64");
  throw new ServerError(
    "TM_STATE_TOO_LARGE",
    `a ConfigMap takes ${MAX_CONFIG_MAP_CHANGE_BYTES} bytes, and these records have ${packed.length} compressed`,
  );
}

/** @param replaced resourceVersion of the object that is to be replaced */
export function changeObject(name: string, encoded: string, made: boolean, replaced?: string): RawObject {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name,
      labels: LABELS,
      annotations: { [STATE]: made ? "made" : "open" },
      ...(replaced !== undefined && { resourceVersion: replaced }),
    },
    binaryData: { changes: encoded },
  };
}

/** undefined for what is no change of ours. */
export function changeOf(object: RawObject): HeldChange | undefined {
  const { name, resourceVersion, annotations } = fields(object.metadata);
  const { [STATE]: state } = fields(annotations);
  const { changes } = fields(object.binaryData);
  if (typeof name !== "string" || !NAME.test(name) || typeof resourceVersion !== "string") return undefined;
  if ((state !== "open" && state !== "made") || typeof changes !== "string") return undefined;
  const values = decoded(changes);
  return values && { name, resourceVersion, made: state === "made", values, size: changes.length };
}

function decoded(changes: string): ReadonlyMap<string, string | undefined> | undefined {
  try {
    const text = gunzipSync(Buffer.from(changes, "base64"), { maxOutputLength: MAX_TEXT_BYTES }).toString("utf8");
    const values = new Map<string, string | undefined>();
    for (const each of JSON.parse(text) as readonly unknown[]) {
      const { key, value } = fields(each);
      if (typeof key !== "string" || !isKey(key) || (value !== undefined && typeof value !== "string"))
        return undefined;
      values.set(key, value);
    }
    return values;
  } catch {
    return undefined;
  }
}
