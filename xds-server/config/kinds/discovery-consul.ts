/** `consul` of a DiscoverySource. */
import type { ConsulDiscovery } from "../discovery-model.ts";
import { object, optional, required, withDefault } from "../reader.ts";
import { boolean, oneOf, text } from "../scalars.ts";
import { filePath, secretReference, serverAddress } from "./discovery-names.ts";

const name = text({ max: 128, pattern: /^[A-Za-z0-9]([-A-Za-z0-9_]*[A-Za-z0-9])?$/, what: "a name of Consul" });

export const consulDiscovery = object<ConsulDiscovery>({
  address: required(serverAddress),
  datacenter: optional(name),
  namespace: optional(name),
  token: optional(secretReference),
  caFile: optional(filePath),
  tag: optional(text({ max: 255 })),
  passingOnly: withDefault(boolean, false),
  consistency: withDefault(oneOf(["default", "consistent", "stale"]), "default"),
});
