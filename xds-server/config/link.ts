/**
 * What several documents must agree on: names are unique, and every host, port, subset and Gateway that is named exists. References to a kind
 * of which some document could not be read are not judged, so one syntax error does not cause a list of follow-ups.
 */
import type { Diagnostics } from "./diagnostics.ts";
import { findByHost, resolveHost } from "./host-names.ts";
import type { Kind, ModelParts } from "./kind-registry.ts";
import type { Destination, DestinationRule, Metadata, ServiceEntry } from "./model.ts";
import { positionOf } from "./reader.ts";

export function checkLinks(parts: ModelParts, diagnostics: Diagnostics): void {
  const link = new Linker(parts, diagnostics);
  link.uniqueNames();
  link.uniqueHosts();
  link.listeners();
  link.gatewayNames();
  link.destinations();
  link.oneRouterPerGateway();
}

class Linker {
  readonly #parts: ModelParts;
  readonly #diagnostics: Diagnostics;
  readonly #services = new Map<string, ServiceEntry>();
  readonly #rules = new Map<string, DestinationRule>();

  constructor(parts: ModelParts, diagnostics: Diagnostics) {
    this.#parts = parts;
    this.#diagnostics = diagnostics;
  }

  uniqueNames(): void {
    const { gateways, serviceEntries, virtualServices, destinationRules, llmRouters } = this.#parts;
    const kinds = {
      Gateway: gateways,
      ServiceEntry: serviceEntries,
      VirtualService: virtualServices,
      DestinationRule: destinationRules,
      LLMRouter: llmRouters,
    };
    for (const [kind, objects] of Object.entries(kinds)) {
      const seen = new Map<string, Metadata>();
      for (const { metadata } of objects) {
        const id = fullName(metadata);
        const first = seen.get(id);
        if (first === undefined) seen.set(id, metadata);
        else this.#duplicate(`${kind} ${id}`, metadata, "name", first);
      }
    }
  }

  uniqueHosts(): void {
    for (const entry of this.#parts.serviceEntries) {
      for (const host of entry.hosts) {
        const key = host.toLowerCase();
        const first = this.#services.get(key);
        if (first === undefined) this.#services.set(key, entry);
        else this.#duplicate(`host ${host}`, entry, "hosts", first);
      }
    }
    for (const rule of this.#parts.destinationRules) {
      const key = this.#hostKey(rule.host, rule.metadata.namespace);
      const first = this.#rules.get(key);
      if (first === undefined) this.#rules.set(key, rule);
      else this.#duplicate(`a DestinationRule for host ${rule.host}`, rule, "host", first);
      const names = new Set<string>();
      for (const subset of rule.subsets) {
        if (names.has(subset.name))
          this.#add("TM_CONFIG_DUPLICATE", subset, "name", `subset ${subset.name} is defined twice`);
        names.add(subset.name);
      }
    }
  }

  listeners(): void {
    const addresses = new Map<string, object>();
    for (const gateway of this.#parts.gateways) {
      const names = new Set<string>();
      for (const server of gateway.servers) {
        const { number, name } = server.port;
        if (names.has(name))
          this.#add("TM_CONFIG_DUPLICATE", server.port, "name", `port name ${name} is used twice in this Gateway`);
        names.add(name);
        const address = `${server.bind}:${number}`;
        if (number !== 0 && addresses.has(address)) {
          this.#add(
            "TM_CONFIG_CONFLICT",
            server.port,
            "number",
            `${address} is already used by another server`,
            "Use one server with several hosts, or another port.",
          );
        }
        addresses.set(address, server);
      }
    }
  }

  gatewayNames(): void {
    const known = new Set(this.#parts.gateways.map(({ metadata }) => fullName(metadata)));
    const check = (names: readonly string[] | undefined, metadata: Metadata, at: object, field: string) => {
      for (const name of names ?? []) {
        const id = name.includes("/") ? name : `${metadata.namespace}/${name}`;
        if (name !== "mesh" && !known.has(id)) this.#unknown("Gateway", id, "Gateway", at, field);
      }
    };
    for (const each of this.#parts.virtualServices) check(each.gateways, each.metadata, each, "gateways");
    for (const each of this.#parts.llmRouters) check(each.gateways, each.metadata, each.metadata, "annotations");
  }

  destinations(): void {
    for (const { metadata, http } of this.#parts.virtualServices) {
      for (const { route } of http) {
        for (const { destination } of route) this.#destination(destination, metadata.namespace);
      }
    }
    for (const rule of this.#parts.destinationRules) {
      const service = findByHost(this.#services, rule.host, rule.metadata.namespace);
      if (service === undefined) this.#unknown("host", rule.host, "ServiceEntry", rule, "host");
    }
  }

  oneRouterPerGateway(): void {
    const taken = new Map<string, string>();
    for (const { metadata, gateways } of this.#parts.llmRouters) {
      const all = this.#parts.gateways
        .filter((each) => each.metadata.namespace === metadata.namespace)
        .map((each) => each.metadata.name);
      for (const name of gateways ?? all) {
        const id = name.includes("/") ? name : `${metadata.namespace}/${name}`;
        const first = taken.get(id);
        if (first !== undefined) {
          this.#add(
            "TM_CONFIG_CONFLICT",
            metadata,
            "name",
            `Gateway ${id} already has LLMRouter ${first}`,
            "Put all models into one LLMRouter, or name the Gateways in the annotation tokenmesh.io/gateways.",
          );
        }
        taken.set(id, metadata.name);
      }
    }
  }

  #destination(destination: Destination, namespace: string): void {
    const { host, subset, port } = destination;
    const service = findByHost(this.#services, host, namespace);
    if (service === undefined) {
      this.#unknown("host", host, "ServiceEntry", destination, "host");
      return;
    }
    const ports = service.ports.map(({ number }) => number);
    if (port !== undefined && !ports.includes(port.number)) {
      this.#add(
        "TM_CONFIG_UNKNOWN_REFERENCE",
        port,
        "number",
        `${host} has no port ${port.number}`,
        `Its ports are: ${ports.join(", ")}.`,
      );
    }
    if (port === undefined && ports.length > 1) {
      this.#add(
        "TM_CONFIG_MISSING_FIELD",
        destination,
        "host",
        `${host} has several ports`,
        `Add port: {number: N}; its ports are: ${ports.join(", ")}.`,
      );
    }
    if (subset === undefined) return;
    const subsets = this.#rules.get(this.#hostKey(host, namespace))?.subsets.map(({ name }) => name) ?? [];
    if (!subsets.includes(subset))
      this.#unknown("subset", `${subset} of ${host}`, "DestinationRule", destination, "subset");
  }

  /** One key for short and full names of the same service. */
  #hostKey(host: string, namespace: string): string {
    return resolveHost(this.#services, host, namespace) ?? host.toLowerCase();
  }

  #unknown(what: string, name: string, kind: Kind, at: object, field: string): void {
    if (this.#parts.damaged.has(kind)) return;
    this.#add("TM_CONFIG_UNKNOWN_REFERENCE", at, field, `no ${kind} defines ${what} ${name}`);
  }

  #duplicate(what: string, at: object, field: string, first: object): void {
    const { file, line } = positionOf(first, field);
    this.#add("TM_CONFIG_DUPLICATE", at, field, `${what} is already defined at ${file}:${line}`);
  }

  #add(code: Parameters<Diagnostics["add"]>[0], at: object, field: string, message: string, remedy?: string): void {
    this.#diagnostics.add(code, positionOf(at, field), message, remedy);
  }
}

export function fullName({ namespace, name }: Metadata): string {
  return `${namespace}/${name}`;
}
