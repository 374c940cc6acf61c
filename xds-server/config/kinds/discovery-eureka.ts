/** `eureka` of a DiscoverySource. */
import { type Cursor, fail } from "../cursor.ts";
import type { EurekaDiscovery } from "../discovery-model.ts";
import { list, object, optional, positionOf, type Reader, required } from "../reader.ts";
import { text } from "../scalars.ts";
import { filePath, secretReference, serverAddress } from "./discovery-names.ts";

const fields = object<EurekaDiscovery>({
  addresses: required(list(serverAddress, { min: 1, max: 16 })),
  username: optional(text({ max: 256, pattern: /^[\x21-\x39\x3b-\x7e]+$/, what: "visible ASCII without a colon" })),
  password: optional(secretReference),
  caFile: optional(filePath),
});

export const eurekaDiscovery: Reader<EurekaDiscovery> = (cursor: Cursor) => {
  const value = fields(cursor);
  if (value === undefined || (value.username === undefined) === (value.password === undefined)) return value;
  const [there, missing] =
    value.username === undefined ? (["password", "username"] as const) : (["username", "password"] as const);
  const at = { ...cursor, position: positionOf(value, there) };
  return fail(at, "TM_CONFIG_MISSING_FIELD", `${there} without ${missing}`, "Give both, or neither.");
};
