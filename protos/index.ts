/** Codecs for the xDS protos: see `codec.ts` (bytes), `type-urls.ts` (registry), `overlay.ts` (fields newer than the npm protos). */
export { decode, encode, encodeAny, type ProtoObject, type ProtoValue, toJson } from "./codec.ts";
export { anyOfWrapped, encodeWrappedResource, type WrappedResource } from "./discovery-resource.ts";
export { type AssignedEndpoint, type AssignedLocality, encodeLoadAssignment, HealthStatus } from "./load-assignment.ts";
export { type FieldSchema, type FieldType, type MessageSchema, messageSchema, type ScalarType } from "./schema.ts";
export { messageOf, TypeUrl, typeUrlOf } from "./type-urls.ts";
