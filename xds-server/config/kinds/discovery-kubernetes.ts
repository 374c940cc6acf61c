/** `kubernetes` of a DiscoverySource. */

import { fail } from "../cursor.ts";
import type { KubernetesDiscovery } from "../discovery-model.ts";
import { list, object, optional, positionOf, type Reader, withDefault } from "../reader.ts";
import { boolean, text } from "../scalars.ts";
import { filePath } from "./discovery-names.ts";

const namespace = text({
  max: 63,
  pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
  what: "a namespace (lower-case letters, digits and '-')",
});

const port = text({
  max: 63,
  pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
  what: "name or number of a port, as text",
});

const fields = object<KubernetesDiscovery>({
  kubeconfig: optional(filePath),
  context: optional(text({ max: 253 })),
  namespaces: withDefault(list(namespace, { min: 1, max: 100 }), []),
  port: optional(port),
  pods: withDefault(boolean, false),
  nodes: withDefault(boolean, true),
});

export const kubernetesDiscovery: Reader<KubernetesDiscovery> = (cursor) => {
  const value = fields(cursor);
  if (value?.context === undefined || value.kubeconfig !== undefined) return value;
  const at = { ...cursor, position: positionOf(value, "context") };
  return fail(at, "TM_CONFIG_CONFLICT", "has context without kubeconfig", "Add kubeconfig, or remove context.");
};
