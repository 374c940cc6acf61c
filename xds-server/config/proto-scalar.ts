/** Scalars of protobuf as JSON writes them. */
import type { ProtoValue, ScalarType } from "../../protos/index.ts";
import { type Cursor, fail } from "./cursor.ts";
import { kindOf } from "./reader.ts";

const INTEGERS: Readonly<Partial<Record<ScalarType, readonly [number, number]>>> = {
  int32: [-2_147_483_648, 2_147_483_647],
  sint32: [-2_147_483_648, 2_147_483_647],
  sfixed32: [-2_147_483_648, 2_147_483_647],
  uint32: [0, 4_294_967_295],
  fixed32: [0, 4_294_967_295],
  // What a number of JavaScript holds exactly; nothing in Envoy's configuration comes near.
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  sint64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  sfixed64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint64: [0, Number.MAX_SAFE_INTEGER],
  fixed64: [0, Number.MAX_SAFE_INTEGER],
};

/** @param value what stands at the cursor; undefined when that is no scalar */
export function protoScalar(cursor: Cursor, value: unknown, type: ScalarType): ProtoValue | undefined {
  if (type === "string") return typeof value === "string" ? value : wrong(cursor, "a text");
  if (type === "bool") return typeof value === "boolean" ? value : wrong(cursor, "true or false");
  if (type === "bytes") return bytes(cursor, value);
  // Numbers may stand in quotes: those of 64 bits do in JSON.
  const number = typeof value === "string" && /^-?\d{1,20}$/.test(value) ? Number(value) : value;
  if (typeof number !== "number" || !Number.isFinite(number)) return wrong(cursor, "a number");
  const range = INTEGERS[type];
  if (range === undefined) return number;
  const [min, max] = range;
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", `${number} is not a whole number from ${min} to ${max}`);
}

function bytes(cursor: Cursor, value: unknown): Uint8Array | undefined {
  if (typeof value !== "string") return wrong(cursor, "a text in base64");
  const digits = value.replace(/\s/g, "").replaceAll("-", "+").replaceAll("_", "/");
  if (/^[A-Za-z0-9+/]*={0,2}$/.test(digits)) return new Uint8Array(Buffer.from(digits, "base64"));
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", "this is not base64");
}

/** The value is not shown: it may be a secret. */
function wrong(cursor: Cursor, expected: string): undefined {
  return fail(cursor, "TM_CONFIG_WRONG_TYPE", `expected ${expected}, not ${kindOf(cursor)}`);
}
