import protobuf from "protobufjs";
import { findProtoFile } from "../../protos/source-files.ts";

/** The messages of Envoy's Rate Limit Service as the npm protos have them, with the fields of a descriptor that those lack. */
const root = new protobuf.Root();
root.resolvePath = (_origin, target) =>
  protobuf.common.get(target) ? target : (findProtoFile(target) ?? `missing/${target}`);
root.loadSync("google/protobuf/descriptor.proto", { keepCase: true });
root.loadSync("envoy/service/ratelimit/v3/rls.proto", { keepCase: true });
const descriptor = root.lookupType("envoy.extensions.common.ratelimit.v3.RateLimitDescriptor");
descriptor.add(new protobuf.Field("hits_addend", 3, "google.protobuf.UInt64Value"));
descriptor.add(new protobuf.Field("is_negative_hits", 4, "bool"));

export const RateLimitRequest = root.lookupType("envoy.service.ratelimit.v3.RateLimitRequest");
export const RateLimitResponse = root.lookupType("envoy.service.ratelimit.v3.RateLimitResponse");
