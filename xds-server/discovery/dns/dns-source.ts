/**
 * DNS as a source: A and AAAA, or SRV records, asked again when their TTL has passed. A service is `NAME`, or `NAME:PORT` for records without ports.
 * "No such name" and "no such records" are good answers: there are no endpoints. Everything else that is not a list of records is a failure.
 */
import { getServers } from "node:dns";
import type { DiscoverySourceSpec, DnsDiscovery, DnsRecordKind } from "../../config/discovery-model.ts";
import { Backoff } from "../backoff.ts";
import type { SourceContext, SourceFactory } from "../context.ts";
import { NO_MAPPING, readEndpoints } from "../endpoint.ts";
import { DiscoveryError } from "../errors.ts";
import { pause, ServiceObservers } from "../registry-client/index.ts";
import type { DiscoverySource, ServiceObserver } from "../source.ts";
import { FAILURES_OF_UNSEEN_KIND, TTL_JITTER } from "./limits.ts";
import { type Lookup, lookUpAddresses, lookUpServices } from "./lookup.ts";
import { isName, plainName } from "./message.ts";
import { type Ask, resolver, resolverAddress } from "./resolver.ts";

export const dnsSource: SourceFactory = (spec, context) => {
  if (spec.dns === undefined) throw new Error("not a DiscoverySource of DNS");
  return new DnsSource(spec, spec.dns, context);
};

interface Watched {
  readonly observers: ServiceObservers;
  readonly stop: AbortController;
}

interface Service {
  readonly name: string;
  readonly port: number | undefined;
}

class DnsSource implements DiscoverySource {
  readonly kind = "dns";
  readonly #poll: DiscoverySourceSpec["poll"];
  readonly #dns: DnsDiscovery;
  readonly #context: SourceContext;
  readonly #ask: Ask;
  readonly #services = new Map<string, Watched>();
  readonly #running = new Set<Promise<void>>();

  constructor({ poll }: DiscoverySourceSpec, dns: DnsDiscovery, context: SourceContext) {
    const { resolvers } = dns;
    this.#poll = poll;
    this.#dns = dns;
    this.#context = context;
    const addresses = resolvers.map(resolverAddress);
    this.#ask = resolver(() => (resolvers.length > 0 ? addresses : getServers().map(resolverAddress)), context.clock);
  }

  watch(service: string, observer: ServiceObserver): () => void {
    let watched = this.#services.get(service);
    if (watched === undefined) {
      watched = { observers: new ServiceObservers(), stop: new AbortController() };
      this.#services.set(service, watched);
      const running = this.#run(service, watched);
      this.#running.add(running);
      void running.then(() => this.#running.delete(running));
    }
    const { observers, stop } = watched;
    const end = observers.add(observer);
    return () => {
      end();
      if (observers.size > 0 || stop.signal.aborted) return;
      this.#services.delete(service);
      stop.abort();
    };
  }

  async close(): Promise<void> {
    for (const { observers, stop } of this.#services.values()) {
      observers.clear();
      stop.abort();
    }
    this.#services.clear();
    await Promise.all(this.#running);
  }

  async #run(text: string, { observers, stop: { signal } }: Watched): Promise<void> {
    const { clock, random, log, name: source } = this.#context;
    const backoff = new Backoff(random);
    const lookUp = this.#lookUp(signal);
    // Nothing is told from within `watch`.
    await Promise.resolve();
    while (!signal.aborted) {
      let wait: number;
      try {
        const { instances, ttl } = await lookUp(parseService(text, this.#dns));
        const { endpoints, skipped, reasons } = readEndpoints(instances, NO_MAPPING);
        if (skipped > 0) log("warn", "instances were left out", { source, service: text, skipped, reasons });
        if (signal.aborted) return;
        backoff.reset();
        wait = ttl * 1_000 * (1 + TTL_JITTER * random());
        observers.endpoints(endpoints);
      } catch (error) {
        if (signal.aborted) return;
        wait = backoff.next();
        observers.failed(asDiscoveryError(error));
      }
      await pause(clock, Math.min(this.#poll.max, Math.max(backoff.failures > 0 ? 0 : this.#poll.min, wait)), signal);
    }
  }

  /** Asks for all kinds of records of a service; keeps in mind which of them there ever were. */
  #lookUp(signal: AbortSignal): (service: Service) => Promise<Lookup> {
    const ask = (name: string, kind: DnsRecordKind) => this.#ask(name, kind, signal);
    const seen = new Set<DnsRecordKind>();
    const failures = new Map<DnsRecordKind, number>();
    return async ({ name, port }) => {
      const { kinds } = this.#dns;
      const results = await Promise.allSettled(
        kinds.map((kind) => (kind === "SRV" ? lookUpServices(ask, name) : lookUpAddresses(ask, name, kind, port ?? 0))),
      );
      const good: Lookup[] = [];
      const bad: unknown[] = [];
      for (const [index, result] of results.entries()) {
        const kind = kinds[index] as DnsRecordKind;
        if (result.status === "fulfilled") {
          good.push(result.value);
          failures.delete(kind);
          if (result.value.instances.length > 0) seen.add(kind);
        } else {
          const count = (failures.get(kind) ?? 0) + 1;
          failures.set(kind, count);
          // Some resolvers fail for AAAA where there is only A. A kind that had records is never left out.
          if (seen.has(kind) || count < FAILURES_OF_UNSEEN_KIND || seen.size === 0) bad.push(result.reason);
        }
      }
      if (bad.length > 0) throw bad[0];
      return {
        instances: good.flatMap(({ instances }) => instances),
        ttl: Math.min(...good.map(({ ttl }) => ttl)),
      };
    };
  }
}

function parseService(text: string, { kinds, port: fallback }: DnsDiscovery): Service {
  const [, name = text, digits] = /^(.*):(\d{1,5})$/.exec(text) ?? [];
  const port = digits === undefined ? fallback : Number(digits);
  const plain = plainName(name);
  if (!isName(plain))
    throw new DiscoveryError("TM_DISCOVERY_FAILED", `${JSON.stringify(text.slice(0, 60))} is not a DNS name`);
  if (port === undefined && !kinds.includes("SRV"))
    throw new DiscoveryError(
      "TM_DISCOVERY_FAILED",
      `no port is known for ${text}: set dns.port, or name the service ${text}:PORT`,
    );
  return { name: plain, port };
}

function asDiscoveryError(error: unknown): DiscoveryError {
  if (error instanceof DiscoveryError) return error;
  return new DiscoveryError("TM_DISCOVERY_FAILED", error instanceof Error ? error.message.slice(0, 300) : "unknown");
}
