/** Codecs for the xDS protos: see `codec.ts` (bytes), `type-urls.ts` (registry), `overlay.ts` (fields newer than the npm protos). */
export { decode, encode, encodeAny, type ProtoObject, type ProtoValue, toJson } from "./codec.ts";
export { messageOf, TypeUrl, typeUrlOf } from "./type-urls.ts";
