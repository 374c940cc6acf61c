/**
 * Reads a protobuf message as JSON writes it (https://protobuf.dev/programming-guides/json/), field names in either spelling, with what protobuf's own parser does not say:
 * where an error stands, all of them at once, and what a misspelled field may have been meant to be.
 */
import { isMap, isScalar, isSeq } from "yaml";
import {
  type FieldSchema,
  type FieldType,
  messageOf,
  messageSchema,
  type ProtoObject,
  type ProtoValue,
} from "../../protos/index.ts";
import { type Cursor, childCursor, fail, visit } from "./cursor.ts";
import { protoScalar } from "./proto-scalar.ts";
import { wellKnownReader } from "./proto-well-known.ts";
import { isEmpty, kindOf, mapEntries, type Reader } from "./reader.ts";
import { closest } from "./spelling.ts";

export const TYPE_FIELD = "@type";

/** A message of a type. */
function protoMessage(message: string): Reader<ProtoObject> {
  return (cursor) => readFields(cursor, message, undefined);
}

/** A mapping whose `@type` says which message it is. */
export const protoAny: Reader<ProtoObject> = (cursor) => {
  const message = typeOf(cursor);
  if (message === undefined) return undefined;
  const typeUrl = { [TYPE_FIELD]: `type.googleapis.com/${message}` };
  const wellKnown = wellKnownReader(message, value);
  if (wellKnown !== undefined) {
    // Their JSON is no mapping, so it stands in a field of its own.
    const entry = mapEntries(cursor, "a mapping")?.find(({ key }) => key === "value");
    const read = entry === undefined ? {} : wellKnown(entry.value);
    return read && { ...typeUrl, ...read };
  }
  const fields = readFields(cursor, message, TYPE_FIELD);
  return fields && { ...typeUrl, ...fields };
};

/** Full name of the message that `@type` names; undefined, with an error, when it names none that is known. */
export function typeOf(cursor: Cursor): string | undefined {
  const { node } = cursor;
  if (!isMap(node))
    return fail(cursor, "TM_CONFIG_WRONG_TYPE", `expected a mapping with "@type", not ${kindOf(cursor)}`);
  const url: unknown = node.get(TYPE_FIELD);
  if (typeof url !== "string") {
    const remedy = 'Add "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster, or whatever it is.';
    return fail(cursor, "TM_CONFIG_MISSING_FIELD", 'field "@type" is missing or not a text', remedy);
  }
  const message = messageOf(url);
  if (url.length <= 256 && messageSchema(message) !== undefined) return message;
  const at = childCursor(cursor, node.get(TYPE_FIELD, true), TYPE_FIELD);
  return fail(
    at,
    "TM_CONFIG_INVALID_VALUE",
    `${JSON.stringify(url.slice(0, 120))} is no message that this server knows`,
  );
}

function readFields(cursor: Cursor, message: string, ignored: string | undefined): ProtoObject | undefined {
  const entries = mapEntries(cursor, "a mapping");
  const schema = messageSchema(message);
  if (entries === undefined || schema === undefined) return undefined;
  const errorsBefore = cursor.context.diagnostics.count;
  const result: Record<string, ProtoValue> = {};
  const oneofs = new Map<string, string>();
  for (const { key, keyCursor, value: at } of entries) {
    if (key === ignored) continue;
    const field = schema.get(key);
    if (field === undefined) {
      const guess = closest(key, [...schema.keys()]);
      const remedy = guess === undefined ? undefined : `Did you mean ${guess}?`;
      fail(keyCursor, "TM_CONFIG_UNKNOWN_FIELD", `unknown field of ${message}`, remedy);
      continue;
    }
    // null is an absent field.
    if (isEmpty(at)) continue;
    if (Object.hasOwn(result, field.name))
      fail(keyCursor, "TM_CONFIG_DUPLICATE_KEY", `field ${field.name} is there in both spellings`);
    const other = field.oneof === undefined ? undefined : oneofs.get(field.oneof);
    if (other !== undefined) fail(keyCursor, "TM_CONFIG_CONFLICT", `${other} and ${key} exclude each other`);
    if (field.oneof !== undefined) oneofs.set(field.oneof, key);
    const read = fieldValue(at, field);
    if (read !== undefined) result[field.name] = read;
  }
  return cursor.context.diagnostics.count > errorsBefore ? undefined : result;
}

function fieldValue(cursor: Cursor, { cardinality, type }: FieldSchema): ProtoValue | undefined {
  if (cardinality === "one") return value(cursor, type);
  if (cardinality === "map") {
    const entries = mapEntries(cursor, "a mapping") ?? [];
    const read = entries.map(({ key, value: at }) => [key, value(at, type)] as const);
    return Object.fromEntries(read);
  }
  if (!visit(cursor)) return undefined;
  const { node } = cursor;
  if (!isSeq(node)) return fail(cursor, "TM_CONFIG_WRONG_TYPE", `expected a list, not ${kindOf(cursor)}`);
  const items = node.items.map((item, index) => value(childCursor(cursor, item, `[${index}]`), type));
  return items.filter((item) => item !== undefined);
}

function value(cursor: Cursor, type: FieldType): ProtoValue | undefined {
  if (type.kind === "message") {
    if (type.message === "google.protobuf.Any") return protoAny(cursor);
    return (wellKnownReader(type.message, value) ?? protoMessage(type.message))(cursor);
  }
  if (!visit(cursor)) return undefined;
  const scalar: unknown = isScalar(cursor.node) ? cursor.node.value : undefined;
  if (type.kind === "scalar") return protoScalar(cursor, scalar, type.type);
  const name = typeof scalar === "number" ? nameOf(type.values, scalar) : scalar;
  if (typeof name === "string" && Object.hasOwn(type.values, name)) return name;
  const guess = closest(String(scalar), Object.keys(type.values));
  const remedy = guess === undefined ? undefined : `Did you mean ${guess}?`;
  const names = Object.keys(type.values).slice(0, 12).join(", ");
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", `${kindOf(cursor)} that is not one of ${names}`, remedy);
}

function nameOf(values: Readonly<Record<string, number>>, number: number): string | undefined {
  return Object.keys(values).find((name) => values[name] === number);
}
