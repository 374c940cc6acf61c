/** Messages of google.protobuf that JSON does not write as mappings of their fields. */
import { isMap, isScalar, isSeq } from "yaml";
import type { FieldType, ProtoObject, ProtoValue, ScalarType } from "../../protos/index.ts";
import { type Cursor, childCursor, fail, visit } from "./cursor.ts";
import { isEmpty, kindOf, mapEntries, type Reader } from "./reader.ts";

type ValueReader = (cursor: Cursor, type: FieldType) => ProtoValue | undefined;

const PACKAGE = "google.protobuf.";

const WRAPPED: Readonly<Record<string, ScalarType>> = {
  DoubleValue: "double",
  FloatValue: "float",
  Int64Value: "int64",
  UInt64Value: "uint64",
  Int32Value: "int32",
  UInt32Value: "uint32",
  BoolValue: "bool",
  StringValue: "string",
  BytesValue: "bytes",
};

/** How a message is read that has a JSON of its own; undefined for all others. */
export function wellKnownReader(message: string, value: ValueReader): Reader<ProtoObject> | undefined {
  if (!message.startsWith(PACKAGE)) return undefined;
  const name = message.slice(PACKAGE.length);
  const type = Object.hasOwn(WRAPPED, name) ? WRAPPED[name] : undefined;
  if (type !== undefined) {
    return (cursor) => {
      const read = value(cursor, { kind: "scalar", type });
      return read === undefined ? undefined : { value: read };
    };
  }
  return Object.hasOwn(OTHERS, name) ? OTHERS[name] : undefined;
}

/** `1.5s`; at most nine digits behind the point. */
const duration: Reader<ProtoObject> = (cursor) => {
  const [, sign, seconds, fraction = ""] = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(textAt(cursor)) ?? [];
  if (seconds === undefined) {
    const remedy = "Write it in seconds: 10s, 0.25s.";
    return fail(cursor, "TM_CONFIG_INVALID_VALUE", "this is not a duration as JSON writes it", remedy);
  }
  const factor = sign === "-" ? -1 : 1;
  return { seconds: factor * Number(seconds) || 0, nanos: factor * Number(fraction.padEnd(9, "0")) || 0 };
};

const timestamp: Reader<ProtoObject> = (cursor) => {
  const text = textAt(cursor);
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) {
    const remedy = "Write it as 2026-01-31T12:00:00Z.";
    return fail(cursor, "TM_CONFIG_INVALID_VALUE", "this is not a time as JSON writes it", remedy);
  }
  const seconds = Math.floor(ms / 1_000);
  return { seconds, nanos: (ms - seconds * 1_000) * 1_000_000 };
};

const fieldMask: Reader<ProtoObject> = (cursor) => {
  const text = textAt(cursor);
  if (!/^[\w.]+(,[\w.]+)*$/.test(text)) return fail(cursor, "TM_CONFIG_INVALID_VALUE", "this is not a list of fields");
  return { paths: text.split(",") };
};

const struct: Reader<ProtoObject> = (cursor) => {
  const entries = mapEntries(cursor, "a mapping");
  return entries && { fields: Object.fromEntries(entries.map(({ key, value }) => [key, anyValue(value)])) };
};

const listValue: Reader<ProtoObject> = (cursor) => {
  if (!visit(cursor)) return undefined;
  const { node } = cursor;
  if (!isSeq(node)) return fail(cursor, "TM_CONFIG_WRONG_TYPE", `expected a list, not ${kindOf(cursor)}`);
  const values = node.items.map((item, index) => anyValue(childCursor(cursor, item, `[${index}]`)));
  return { values: values.filter((each) => each !== undefined) };
};

/** protobufjs has the fields of Value in camel case, as they are in JSON. */
function anyValue(cursor: Cursor): ProtoObject | undefined {
  const { node } = cursor;
  if (isMap(node)) return wrap("structValue", struct(cursor));
  if (isSeq(node)) return wrap("listValue", listValue(cursor));
  if (!visit(cursor)) return undefined;
  if (isEmpty(cursor)) return { nullValue: "NULL_VALUE" };
  const value: unknown = isScalar(node) ? node.value : undefined;
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "number" && Number.isFinite(value)) return { numberValue: value };
  return fail(cursor, "TM_CONFIG_WRONG_TYPE", `JSON has no ${kindOf(cursor)} like this`);
}

function wrap(name: string, value: ProtoObject | undefined): ProtoObject | undefined {
  return value && { [name]: value };
}

const OTHERS: Readonly<Record<string, Reader<ProtoObject>>> = {
  Duration: duration,
  Timestamp: timestamp,
  FieldMask: fieldMask,
  Struct: struct,
  ListValue: listValue,
  Value: anyValue,
};

function textAt(cursor: Cursor): string {
  const value: unknown = visit(cursor) && isScalar(cursor.node) ? cursor.node.value : undefined;
  return typeof value === "string" && value.length <= 1_024 ? value : "";
}
