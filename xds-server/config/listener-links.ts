/** Names and addresses of listeners: each once in every node group. */
import type { Diagnostics } from "./diagnostics.ts";
import type { ModelParts } from "./kind-registry.ts";
import type { Gateway } from "./model.ts";
import { isServedTo, servedGroups } from "./node-groups.ts";
import { positionOf } from "./reader.ts";

export function checkListeners(parts: ModelParts, diagnostics: Diagnostics): void {
  for (const gateway of parts.gateways) checkPortNames(gateway, diagnostics);
  const groups = parts.damaged.has("NodeGroup") ? [] : servedGroups(parts);
  // A server that is in the way in several groups is one mistake.
  const refused = new Set<object>();
  for (const group of groups) {
    const addresses = new Set<string>();
    for (const { servers } of parts.gateways.filter((gateway) => isServedTo(gateway, group))) {
      for (const { port, bind } of servers) {
        const address = `${bind}:${port.number}`;
        if (port.number !== 0 && addresses.has(address) && !refused.has(port)) {
          refused.add(port);
          const message = `${address} is already used by another server`;
          const remedy = "Use one server with several hosts, or another port.";
          diagnostics.add("TM_CONFIG_CONFLICT", positionOf(port, "number"), message, remedy);
        }
        addresses.add(address);
      }
    }
  }
}

function checkPortNames({ servers }: Gateway, diagnostics: Diagnostics): void {
  const names = new Set<string>();
  for (const { port } of servers) {
    if (names.has(port.name)) {
      const message = `port name ${port.name} is used twice in this Gateway`;
      diagnostics.add("TM_CONFIG_DUPLICATE", positionOf(port, "name"), message);
    }
    names.add(port.name);
  }
}
