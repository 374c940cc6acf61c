/** Headers that carry decisions: taken from every client, so nobody but us can set them. */
import { Bytes } from "../sdk";

/** What begins so is ours. */
export const RESERVED_PREFIX = Bytes.literal("x-llm-");
/** Says where Envoy sends a request. */
export const DESTINATION = Bytes.literal("x-gateway-destination-endpoint");

export function isReserved(name: Bytes): bool {
  return name.startsWith(RESERVED_PREFIX) || name.equals(DESTINATION);
}
