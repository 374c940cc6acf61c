/**
 * What several documents must agree on: names are unique, and every host, port, subset and Gateway that is named exists. References to a kind
 * of which some document could not be read are not judged, so one syntax error does not cause a list of follow-ups.
 */
import type { Diagnostics } from "./diagnostics.ts";
import { checkEndpointsFrom } from "./discovery-links.ts";
import { appliesTo, fullName, gatewayId } from "./gateway-scope.ts";
import { splitHostPort } from "./host-names.ts";
import { KINDS_SERVED, type Kind, listOf, type ModelParts } from "./kind-registry.ts";
import { checkListeners } from "./listener-links.ts";
import { CLUSTER_BYTES, llmClusterName } from "./llm-cluster-name.ts";
import type { Destination, Gateway, LlmRouter, Metadata } from "./model.ts";
import { checkNodeGroups } from "./node-groups.ts";
import { checkPicker, poolPosition } from "./picker-links.ts";
import { poolDestination } from "./picker-targets.ts";
import type { LlmTraffic } from "./rate-limit-model.ts";
import { positionOf } from "./reader.ts";
import { checkCredentials } from "./secret-links.ts";
import { serviceClusterName } from "./service-cluster-name.ts";
import { type DestinationFault, ServiceLinks } from "./service-links.ts";
import { trafficConflicts } from "./traffic-conflicts.ts";

/** A kind that is about some Gateways. */
interface GatewayFilter {
  readonly metadata: Metadata;
  readonly gateways: readonly string[] | undefined;
}

interface TrafficFilter extends GatewayFilter {
  readonly spec: LlmTraffic;
}

export function checkLinks(parts: ModelParts, diagnostics: Diagnostics): void {
  const link = new Linker(parts, diagnostics);
  link.uniqueNames();
  link.uniqueHosts();
  checkListeners(parts, diagnostics);
  checkNodeGroups(parts, diagnostics);
  checkCredentials(parts, diagnostics);
  link.gatewayNames();
  link.destinations();
  link.llmTargets();
  link.rateLimitServices();
  link.endpointPickers();
  link.onePerGateway();
  link.sameTraffic();
  checkEndpointsFrom(parts, diagnostics);
}

class Linker {
  readonly #parts: ModelParts;
  readonly #diagnostics: Diagnostics;
  readonly #services = new ServiceLinks();

  constructor(parts: ModelParts, diagnostics: Diagnostics) {
    this.#parts = parts;
    this.#diagnostics = diagnostics;
  }

  uniqueNames(): void {
    const parts = this.#parts;
    for (const { kind } of KINDS_SERVED) {
      const seen = new Map<string, Metadata>();
      for (const { metadata } of parts[listOf(kind)]) {
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
        const first = this.#services.addHost(host, entry);
        if (first !== undefined) this.#duplicate(`host ${host}`, entry, "hosts", first);
      }
    }
    for (const rule of this.#parts.destinationRules) {
      const first = this.#services.addRule(rule);
      if (first !== undefined) this.#duplicate(`a DestinationRule for host ${rule.host}`, rule, "host", first);
      const names = new Set<string>();
      for (const subset of rule.subsets) {
        if (names.has(subset.name))
          this.#add("TM_CONFIG_DUPLICATE", subset, "name", `subset ${subset.name} is defined twice`);
        names.add(subset.name);
      }
    }
  }

  gatewayNames(): void {
    const known = new Set(this.#parts.gateways.map(({ metadata }) => fullName(metadata)));
    const check = (names: readonly string[] | undefined, metadata: Metadata, at: object, field: string) => {
      for (const name of names ?? []) {
        const id = gatewayId(name, metadata.namespace);
        if (name !== "mesh" && !known.has(id)) this.#unknown("Gateway", id, "Gateway", at, field);
      }
    };
    for (const each of this.#parts.virtualServices) check(each.gateways, each.metadata, each, "gateways");
    const { llmRouters, tokenRateLimits, endpointPickers, promptCaches } = this.#parts;
    for (const each of [...llmRouters, ...tokenRateLimits, ...endpointPickers, ...promptCaches])
      check(each.gateways, each.metadata, each.metadata, "annotations");
  }

  destinations(): void {
    for (const { metadata, http } of this.#parts.virtualServices) {
      for (const { route } of http) {
        for (const { destination } of route) {
          const at = (part: DestinationFault["part"]) =>
            part === "port" ? positionOf(destination.port ?? destination, "number") : positionOf(destination, part);
          this.#destination(destination, metadata.namespace, at);
        }
      }
    }
    for (const rule of this.#parts.destinationRules) {
      if (!this.#services.has(rule.host, rule.metadata.namespace))
        this.#unknown("host", rule.host, "ServiceEntry", rule, "host");
    }
  }

  /** Targets that are clusters name a service here, as destinations do; see resources/llm-clusters.ts for what becomes of them. */
  llmTargets(): void {
    for (const router of this.#parts.llmRouters) {
      const { metadata, spec } = router;
      for (const [name, target] of spec.targets) {
        if (target.cluster === undefined) continue;
        const at = () => positionOf(target, "cluster");
        this.#destination({ ...splitHostPort(target.cluster), subset: undefined }, metadata.namespace, at);
        const bytes = Buffer.byteLength(llmClusterName(router, name));
        if (bytes > CLUSTER_BYTES) {
          const message = `with target ${name} it makes a cluster name of ${bytes} bytes`;
          const remedy = `Shorten one of them by ${bytes - CLUSTER_BYTES}.`;
          this.#add("TM_CONFIG_INVALID_VALUE", metadata, "name", message, remedy);
        }
      }
      this.#pools(router);
    }
  }

  /** Behind the name of a pool must stand a cluster, and a VirtualService cannot make one whose attempts go to different services. */
  #pools({ spec }: LlmRouter): void {
    for (const rule of spec.rules) {
      const [first] = rule.targets;
      if (rule.fallback === undefined || first === undefined) continue;
      if (spec.targets.get(first.target)?.cluster !== undefined) continue;
      this.#add(
        "TM_CONFIG_UNSUPPORTED",
        rule,
        "fallback",
        "this server makes pools of clusters only, and the targets of this rule are routes",
        "Give the targets a cluster, the host of a ServiceEntry, instead of a route.",
      );
    }
  }

  /** A Rate Limit Service is a service as any other, which the filter calls by its cluster. */
  rateLimitServices(): void {
    for (const { metadata, spec } of this.#parts.tokenRateLimits) {
      const { service } = spec;
      if (service === undefined) continue;
      const destination = { ...splitHostPort(service.cluster), subset: undefined };
      this.#destination(destination, metadata.namespace, () => positionOf(service, "cluster"));
      const found = this.#services.find(destination, metadata.namespace);
      if (found === undefined) continue;
      const { host, port } = found;
      if (port.protocol === "HTTP") {
        const message = `port ${port.number} of ${host} speaks HTTP/1.1, a Rate Limit Service HTTP/2`;
        this.#add("TM_CONFIG_CONFLICT", service, "cluster", message, "Set the port's protocol to GRPC.");
      }
      const bytes = Buffer.byteLength(serviceClusterName(host, port.number, undefined));
      if (bytes > CLUSTER_BYTES) {
        const message = `it makes a cluster name of ${bytes} bytes`;
        const remedy = `Use a host that is shorter by ${bytes - CLUSTER_BYTES}.`;
        this.#add("TM_CONFIG_INVALID_VALUE", service, "cluster", message, remedy);
      }
    }
  }

  endpointPickers(): void {
    const context = { parts: this.#parts, services: this.#services, diagnostics: this.#diagnostics };
    for (const picker of this.#parts.endpointPickers) {
      for (const pool of picker.spec.pools)
        this.#destination(poolDestination(pool), picker.metadata.namespace, poolPosition(pool));
      checkPicker(picker, context);
    }
  }

  onePerGateway(): void {
    this.#onePerGateway("LLMRouter", this.#parts.llmRouters, "models");
    this.#onePerGateway("TokenRateLimit", this.#parts.tokenRateLimits, "rules");
    this.#onePerGateway("EndpointPicker", this.#parts.endpointPickers, "pools");
    this.#onePerGateway("PromptCache", this.#parts.promptCaches, "rules");
  }

  #onePerGateway(kind: Kind, objects: readonly GatewayFilter[], content: string): void {
    const taken = new Map<string, string>();
    for (const { metadata, gateways } of objects) {
      const all = this.#parts.gateways
        .filter((each) => each.metadata.namespace === metadata.namespace)
        .map((each) => each.metadata.name);
      for (const name of gateways ?? all) {
        const id = gatewayId(name, metadata.namespace);
        const first = taken.get(id);
        if (first !== undefined) {
          const message = `Gateway ${id} already has ${kind} ${first}`;
          const remedy = `Put all ${content} into one ${kind}, or name the Gateways in the annotation tokenmesh.io/gateways.`;
          this.#add("TM_CONFIG_CONFLICT", metadata, "name", message, remedy);
        }
        taken.set(id, metadata.name);
      }
    }
  }

  /** Where several are one filter, they must agree on what that filter reads: the first of these that is there says it. */
  sameTraffic(): void {
    const { gateways, llmRouters, tokenRateLimits, promptCaches, endpointPickers } = this.#parts;
    const has = (gateway: Gateway, each: GatewayFilter) => appliesTo(each.metadata, each.gateways, gateway);
    const kinds: readonly (readonly [Kind, string, readonly TrafficFilter[]])[] = [
      ["LLMRouter", "the router's", llmRouters],
      ["TokenRateLimit", "the limiter's", tokenRateLimits],
      ["PromptCache", "the cache's", promptCaches],
      ["EndpointPicker", "the picker's", endpointPickers],
    ];
    let left: readonly Gateway[] = gateways;
    for (const [index, [kind, whose, first]] of kinds.entries()) {
      const behind = kinds.slice(index + 1).flatMap(([, , filters]) => filters);
      for (const other of first) {
        for (const own of behind) {
          const shared = left.find((gateway) => has(gateway, own) && has(gateway, other));
          if (shared !== undefined) this.#sameTraffic(own, other, kind, whose, shared);
        }
      }
      left = left.filter((gateway) => !first.some((each) => has(gateway, each)));
    }
  }

  #sameTraffic(filter: TrafficFilter, against: TrafficFilter, kind: Kind, whose: string, gateway: Gateway): void {
    const where = `${kind} ${fullName(against.metadata)}, which is in Gateway ${fullName(gateway.metadata)} too`;
    for (const { field, position, own, other } of trafficConflicts(filter.spec, against.spec)) {
      const message = `spec.${field} is ${own} here and ${other} in ${where}`;
      const remedy = `Leave ${field} out here, which takes ${whose}, or write the same value in both.`;
      this.#diagnostics.add("TM_CONFIG_CONFLICT", position, message, remedy);
    }
  }

  #destination(
    destination: Destination,
    namespace: string,
    at: (part: DestinationFault["part"]) => ReturnType<typeof positionOf>,
  ): void {
    for (const { part, code, message, remedy, kind } of this.#services.faults(destination, namespace)) {
      if (kind === undefined || !this.#parts.damaged.has(kind)) this.#diagnostics.add(code, at(part), message, remedy);
    }
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
