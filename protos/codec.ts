/**
 * Plain objects <-> protobuf bytes. Objects use Envoy's own field names; an Any is written as `{"@type": "type.googleapis.com/...", ...}` just
 * as in Envoy's JSON, enums are names, 64-bit integers may be numbers, durations are `{seconds, nanos}`.
 *
 * protobufjs drops unknown fields and turns unknown enum names into 0 without a word; {@link encode} refuses both, so a misspelled field in
 * a builder fails its first test instead of silently configuring nothing.
 */
import protobuf from "protobufjs";
import { messageType } from "./root.ts";
import { messageOf } from "./type-urls.ts";

export type ProtoValue = string | number | boolean | Uint8Array | ProtoObject | readonly ProtoValue[];

/** A message as plain data; undefined fields are left out. */
export interface ProtoObject {
  readonly [field: string]: ProtoValue | undefined;
}

/**
 * Bytes of a message. Deterministic: fields in number order, map entries in insertion order.
 * @throws TypeError that names the path of an unknown field, enum value or wrong type
 */
export function encode(message: string, object: ProtoObject): Uint8Array {
  const type = messageType(message);
  check(type, object, message);
  return type.encode(type.fromObject(object)).finish();
}

/** `{type_url, value}` bytes of `google.protobuf.Any` that holds the object. */
export function encodeAny(typeUrl: string, object: ProtoObject): Uint8Array {
  const value = encode(messageOf(typeUrl), object);
  return protobuf.Writer.create().uint32(10).string(typeUrl).uint32(18).bytes(value).finish();
}

/**
 * A message as plain data: enums as names, 64-bit integers as decimal strings, bytes as Uint8Array, absent fields absent. Any values stay
 * `{type_url, value}`.
 * @throws RangeError or Error on bytes that are no such message
 */
export function decode(message: string, bytes: Uint8Array): ProtoObject {
  const type = messageType(message);
  return type.toObject(type.decode(bytes), { enums: String, longs: String, bytes: undefined as never }) as ProtoObject;
}

/** As {@link decode}, for people: Any values of known types are opened and carry `@type`; bytes are base64. */
export function toJson(message: string, bytes: Uint8Array): unknown {
  const type = messageType(message);
  const object: unknown = type.toObject(type.decode(bytes), {
    enums: String,
    longs: Number,
    bytes: String,
    json: true,
  });
  return object;
}

function check(type: protobuf.Type, object: ProtoObject, path: string): void {
  for (const [key, value] of Object.entries(object)) {
    if (value === undefined) continue;
    const field = Object.hasOwn(type.fields, key) ? type.fields[key] : undefined;
    if (field === undefined) {
      if (key === "@type") continue;
      throw new TypeError(`${path}.${key}: no such field in ${type.fullName.slice(1)}`);
    }
    field.resolve();
    const at = `${path}.${key}`;
    if (field instanceof protobuf.MapField) {
      if (!isObject(value)) throw new TypeError(`${at}: a map is an object`);
      for (const [name, entry] of Object.entries(value)) {
        if (entry !== undefined) checkValue(field, entry, `${at}[${name}]`);
      }
    } else if (field.repeated) {
      if (!Array.isArray(value)) throw new TypeError(`${at}: a repeated field is an array`);
      for (const [index, entry] of value.entries()) checkValue(field, entry, `${at}[${index}]`);
    } else {
      checkValue(field, value, at);
    }
  }
}

function checkValue(field: protobuf.Field, value: ProtoValue, at: string): void {
  const resolved = field.resolvedType;
  if (resolved instanceof protobuf.Enum) {
    if (typeof value !== "string" || !Object.hasOwn(resolved.values, value)) {
      throw new TypeError(`${at}: ${String(value)} is not a value of ${resolved.fullName.slice(1)}`);
    }
  } else if (resolved instanceof protobuf.Type) {
    if (!isObject(value)) throw new TypeError(`${at}: expected an object of ${resolved.fullName.slice(1)}`);
    const packed = resolved.fullName === ".google.protobuf.Any" ? value["@type"] : undefined;
    if (typeof packed === "string") check(messageType(messageOf(packed)), value, at);
    else check(resolved, value, at);
  } else if (!SCALAR_CHECKS[scalarKind(field.type)](value)) {
    throw new TypeError(`${at}: expected ${field.type}`);
  }
}

type ScalarKind = "string" | "bool" | "bytes" | "number";

function scalarKind(type: string): ScalarKind {
  return type === "string" || type === "bool" || type === "bytes" ? type : "number";
}

const SCALAR_CHECKS: Readonly<Record<ScalarKind, (value: ProtoValue) => boolean>> = {
  string: (value) => typeof value === "string",
  bool: (value) => typeof value === "boolean",
  bytes: (value) => value instanceof Uint8Array,
  number: (value) => typeof value === "number" && Number.isFinite(value),
};

function isObject(value: ProtoValue): value is ProtoObject {
  return typeof value === "object" && !Array.isArray(value) && !(value instanceof Uint8Array);
}
