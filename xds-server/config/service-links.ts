/** Hosts that ServiceEntries define, the DestinationRules about them, and whether what others say about a host is true. */

import { findByHost, resolveHost } from "./host-names.ts";
import type { Destination, DestinationRule, ServiceEntry, ServicePort } from "./model.ts";

/** What is wrong with a destination; `part` is where. */
export interface DestinationFault {
  readonly part: "host" | "subset" | "port";
  readonly code: "TM_CONFIG_UNKNOWN_REFERENCE" | "TM_CONFIG_MISSING_FIELD";
  readonly message: string;
  readonly remedy?: string;
  /** The kind that would have to define what is missing. */
  readonly kind?: "ServiceEntry" | "DestinationRule";
}

/** A service that a destination names. */
export interface LinkedService {
  /** Full name. */
  readonly host: string;
  readonly port: ServicePort;
  readonly entry: ServiceEntry;
  readonly rule: DestinationRule | undefined;
}

export class ServiceLinks {
  readonly #services = new Map<string, ServiceEntry>();
  readonly #rules = new Map<string, DestinationRule>();

  /** Adds a host; the entry that has it already, if there is one. */
  addHost(host: string, entry: ServiceEntry): ServiceEntry | undefined {
    const key = host.toLowerCase();
    const first = this.#services.get(key);
    if (first === undefined) this.#services.set(key, entry);
    return first;
  }

  /** Adds a rule, after all hosts; the rule that is about the same host already, if there is one. */
  addRule(rule: DestinationRule): DestinationRule | undefined {
    const key = this.#hostKey(rule.host, rule.metadata.namespace);
    const first = this.#rules.get(key);
    if (first === undefined) this.#rules.set(key, rule);
    return first;
  }

  has(host: string, namespace: string): boolean {
    return findByHost(this.#services, host, namespace) !== undefined;
  }

  /** What a destination is; undefined when it has faults. */
  find(destination: Destination, namespace: string): LinkedService | undefined {
    const { host, port } = destination;
    const key = resolveHost(this.#services, host, namespace);
    const entry = key === undefined ? undefined : this.#services.get(key);
    if (key === undefined || entry === undefined || this.faults(destination, namespace).length > 0) return undefined;
    const found = entry.ports.find(({ number }) => port === undefined || number === port.number);
    return found && { host: key, port: found, entry, rule: this.#rules.get(key) };
  }

  faults({ host, subset, port }: Destination, namespace: string): readonly DestinationFault[] {
    const service = findByHost(this.#services, host, namespace);
    if (service === undefined) return [unknown("host", "ServiceEntry", `host ${host}`)];
    const faults: DestinationFault[] = [];
    const ports = service.ports.map(({ number }) => number);
    const list = ports.join(", ");
    if (port !== undefined && !ports.includes(port.number)) {
      const message = `${host} has no port ${port.number}`;
      faults.push({ part: "port", code: "TM_CONFIG_UNKNOWN_REFERENCE", message, remedy: `Its ports are: ${list}.` });
    }
    if (port === undefined && ports.length > 1) {
      const message = `${host} has several ports`;
      faults.push({ part: "host", code: "TM_CONFIG_MISSING_FIELD", message, remedy: `Name one of: ${list}.` });
    }
    if (subset === undefined) return faults;
    const subsets = this.#rules.get(this.#hostKey(host, namespace))?.subsets.map(({ name }) => name) ?? [];
    if (!subsets.includes(subset)) faults.push(unknown("subset", "DestinationRule", `subset ${subset} of ${host}`));
    return faults;
  }

  /** One key for short and full names of the same service. */
  #hostKey(host: string, namespace: string): string {
    return resolveHost(this.#services, host, namespace) ?? host.toLowerCase();
  }
}

function unknown(
  part: DestinationFault["part"],
  kind: NonNullable<DestinationFault["kind"]>,
  what: string,
): DestinationFault {
  return { part, kind, code: "TM_CONFIG_UNKNOWN_REFERENCE", message: `no ${kind} defines ${what}` };
}
