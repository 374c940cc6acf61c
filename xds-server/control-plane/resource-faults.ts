/** What is wrong with EnvoyResources beside everything else that a node group gets: names that are taken, and names of nothing. */
import { type Reference, type Resource, TYPE_NAMES } from "../cache/index.ts";
import { type ConfigError, Diagnostics } from "../config/diagnostics.ts";
import { positionOf } from "../config/reader.ts";
import type { Assembly } from "./assembly.ts";

/** One error for each resource, however many groups have it. */
export function resourceFaults({ resources, origins }: Assembly): readonly ConfigError[] {
  if (origins.size === 0) return [];
  const diagnostics = new Diagnostics();
  const refused = new Set<Resource>();
  const refuse = (resource: Resource, code: "TM_CONFIG_DUPLICATE" | "TM_CONFIG_UNKNOWN_REFERENCE", message: string) => {
    const origin = origins.get(resource);
    if (origin === undefined || refused.has(resource)) return;
    refused.add(resource);
    diagnostics.add(code, positionOf(origin), message);
  };
  for (const [group, list] of resources) {
    const byName = new Map<string, Resource>();
    for (const resource of list) {
      const name = nameOf(resource);
      const first = byName.get(name);
      if (first === undefined) byName.set(name, resource);
      else
        refuse(
          origins.has(resource) ? resource : first,
          "TM_CONFIG_DUPLICATE",
          `node group ${group} has ${name} already`,
        );
    }
    for (const resource of list) {
      const missing = resource.references.find((to) => !byName.has(nameOf(to)));
      if (missing === undefined) continue;
      const message = `${nameOf(resource)} names ${nameOf(missing)}, which node group ${group} does not have`;
      refuse(resource, "TM_CONFIG_UNKNOWN_REFERENCE", message);
    }
  }
  return diagnostics.sorted();
}

function nameOf({ typeUrl, name }: Reference): string {
  return `${TYPE_NAMES[typeUrl]} resource ${name}`;
}
