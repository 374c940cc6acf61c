/** What messages look like, for those who read them from something else than bytes. */
import protobuf from "protobufjs";
import { messageType } from "./root.ts";

export type ScalarType =
  | "double"
  | "float"
  | "int32"
  | "uint32"
  | "sint32"
  | "fixed32"
  | "sfixed32"
  | "int64"
  | "uint64"
  | "sint64"
  | "fixed64"
  | "sfixed64"
  | "bool"
  | "string"
  | "bytes";

export type FieldType =
  | { readonly kind: "scalar"; readonly type: ScalarType }
  /** Numbers by name. */
  | { readonly kind: "enum"; readonly values: Readonly<Record<string, number>> }
  /** Full name. */
  | { readonly kind: "message"; readonly message: string };

export interface FieldSchema {
  readonly name: string;
  /** `lowerCamelCase`, the name in JSON. */
  readonly jsonName: string;
  readonly cardinality: "one" | "many" | "map";
  /** Of one value: of an element, or of a map's entry. */
  readonly type: FieldType;
  /** The oneof that it is part of. */
  readonly oneof: string | undefined;
}

/** By name and, where that differs, by the name in JSON. */
export type MessageSchema = ReadonlyMap<string, FieldSchema>;

const schemas = new Map<string, MessageSchema>();

/** The fields of a message; undefined when no proto file of this server has it. */
export function messageSchema(message: string): MessageSchema | undefined {
  const known = schemas.get(message);
  if (known !== undefined) return known;
  let type: protobuf.Type;
  try {
    type = messageType(message);
  } catch {
    return undefined;
  }
  const schema = new Map<string, FieldSchema>();
  for (const field of type.fieldsArray) {
    const entry = fieldSchema(field);
    schema.set(entry.name, entry);
    schema.set(entry.jsonName, entry);
  }
  schemas.set(message, schema);
  return schema;
}

function fieldSchema(field: protobuf.Field): FieldSchema {
  field.resolve();
  const { name, resolvedType } = field;
  const type: FieldType =
    resolvedType instanceof protobuf.Enum
      ? { kind: "enum", values: resolvedType.values }
      : resolvedType instanceof protobuf.Type
        ? { kind: "message", message: resolvedType.fullName.slice(1) }
        : { kind: "scalar", type: field.type as ScalarType };
  const cardinality = field instanceof protobuf.MapField ? "map" : field.repeated ? "many" : "one";
  return { name, jsonName: protobuf.util.camelCase(name), cardinality, type, oneof: field.partOf?.name };
}
