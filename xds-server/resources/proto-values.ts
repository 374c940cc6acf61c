/** Values of common proto types as plain data (see protos/codec.ts). */
import { type ProtoObject, typeUrlOf } from "../../protos/index.ts";

/** google.protobuf.Duration of milliseconds; nanosecond exact. */
export function protoDuration(ms: number): ProtoObject {
  const seconds = Math.floor(ms / 1_000);
  return { seconds, nanos: Math.round((ms - seconds * 1_000) * 1_000_000) };
}

/** A wrapper message such as UInt32Value; undefined stays undefined. */
export function wrapped<T extends number | boolean | string>(value: T | undefined): ProtoObject | undefined {
  return value === undefined ? undefined : { value };
}

/** An Any of a registered message. */
export function any(message: string, fields: ProtoObject = {}): ProtoObject {
  return { "@type": typeUrlOf(message), ...fields };
}

/** A config source that means "this very stream". */
export const ADS: ProtoObject = { ads: {}, resource_api_version: "V3" };

/** The fields whose value is not undefined; undefined when none is left. */
export function someOf(fields: ProtoObject): ProtoObject | undefined {
  return Object.values(fields).some((value) => value !== undefined) ? fields : undefined;
}
