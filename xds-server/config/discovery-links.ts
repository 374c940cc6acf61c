/** ServiceEntries that take their endpoints from a DiscoverySource: it must be there, and nothing else may say what the endpoints are. */
import type { Diagnostics } from "./diagnostics.ts";
import { ENDPOINTS_FROM_ANNOTATION, endpointsFrom } from "./endpoints-from.ts";
import { fullName } from "./gateway-scope.ts";
import type { ModelParts } from "./kind-registry.ts";
import type { ServiceEntry } from "./model.ts";
import { positionOf } from "./reader.ts";

export function checkEndpointsFrom(
  { serviceEntries, discoverySources, damaged }: ModelParts,
  diagnostics: Diagnostics,
): void {
  const sources = new Set(discoverySources.map(({ metadata }) => fullName(metadata)));
  for (const entry of serviceEntries) {
    const from = endpointsFrom(entry);
    if (from === undefined) continue;
    const at = positionOf(entry.metadata, "annotations");
    const { source, service } = from;
    if (source === "" || service === "") {
      const message = `${ENDPOINTS_FROM_ANNOTATION} is not SOURCE or SOURCE/SERVICE`;
      diagnostics.add("TM_CONFIG_INVALID_VALUE", at, message);
    } else if (!damaged.has("DiscoverySource")) {
      const name = fullName({ ...entry.metadata, name: source });
      const message = `${ENDPOINTS_FROM_ANNOTATION}: no DiscoverySource ${name} is defined`;
      if (!sources.has(name)) diagnostics.add("TM_CONFIG_UNKNOWN_REFERENCE", at, message);
    }
    checkEntry(entry, diagnostics);
  }
}

function checkEntry(entry: ServiceEntry, diagnostics: Diagnostics): void {
  if (entry.endpoints.length > 0) {
    const message = "spec.endpoints: the endpoints of this ServiceEntry come from a DiscoverySource";
    const remedy = `Remove endpoints, or the annotation ${ENDPOINTS_FROM_ANNOTATION}.`;
    diagnostics.add("TM_CONFIG_CONFLICT", positionOf(entry, "endpoints"), message, remedy);
  }
  if (entry.resolution !== "STATIC") {
    const message = `spec.resolution: ${entry.resolution} resolves names, and a DiscoverySource gives addresses`;
    diagnostics.add("TM_CONFIG_CONFLICT", positionOf(entry, "resolution"), message, "Use resolution: STATIC.");
  }
}
