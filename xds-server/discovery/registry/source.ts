/** The registry of our own as a source of service discovery. */
import type { DiscoverySourceSpec } from "../../config/discovery-model.ts";
import type { SourceContext, SourceFactory } from "../context.ts";
import { type RawEndpoint, readEndpoints } from "../endpoint.ts";
import { DiscoveryError } from "../errors.ts";
import { ServiceObservers } from "../registry-client/service-observers.ts";
import type { DiscoverySource, ServiceObserver } from "../source.ts";
import { isServiceName } from "./instance.ts";
import type { RegisteredInstance, Registry } from "./registry.ts";

/** One registry for all DiscoverySources of this kind. */
export function registrySource(registry: Registry): SourceFactory {
  return (spec, context) => new RegistrySource(registry, spec, context);
}

class RegistrySource implements DiscoverySource {
  readonly kind = "registry";
  readonly #registry: Registry;
  readonly #spec: DiscoverySourceSpec;
  readonly #context: SourceContext;
  readonly #services = new Map<string, ServiceObservers>();
  readonly #endWatch: () => void;

  constructor(registry: Registry, spec: DiscoverySourceSpec, context: SourceContext) {
    this.#registry = registry;
    this.#spec = spec;
    this.#context = context;
    this.#endWatch = registry.watch({ changed: (services) => this.#changed(services) });
  }

  watch(service: string, observer: ServiceObserver): () => void {
    const observers = this.#services.get(service) ?? new ServiceObservers();
    this.#services.set(service, observers);
    const end = observers.add(observer);
    if (observers.size === 1) queueMicrotask(() => this.#tell(service, observers));
    return () => {
      end();
      if (observers.size === 0 && this.#services.get(service) === observers) this.#services.delete(service);
    };
  }

  async close(): Promise<void> {
    this.#endWatch();
    for (const observers of this.#services.values()) observers.clear();
    this.#services.clear();
  }

  /** A store that comes or goes concerns every service, also those without instances. */
  #changed(changed: ReadonlySet<string> | undefined): void {
    for (const [service, observers] of this.#services)
      if (changed === undefined || changed.has(service)) this.#tell(service, observers);
  }

  #tell(service: string, observers: ServiceObservers): void {
    if (this.#services.get(service) !== observers) return;
    const { failure, started } = this.#registry;
    if (!isServiceName(service)) {
      observers.failed(
        new DiscoveryError("TM_DISCOVERY_FAILED", `${JSON.stringify(service.slice(0, 60))} is no service`),
      );
      return;
    }
    if (failure !== undefined) {
      observers.failed(new DiscoveryError("TM_DISCOVERY_UNREACHABLE", `the state store: ${failure.message}`));
      return;
    }
    if (!started) return;
    try {
      const { endpoints, skipped, reasons } = readEndpoints(
        this.#registry.instances(service).map(rawOf),
        this.#spec.metadata,
      );
      if (skipped > 0) this.#context.log("warn", "instances were left out", { service, skipped, reasons });
      observers.endpoints(endpoints);
    } catch (error) {
      if (!(error instanceof DiscoveryError)) throw error;
      observers.failed(error);
    }
  }
}

function rawOf({ id, address, port, weight, health, locality, labels }: RegisteredInstance): RawEndpoint {
  return { id, address, port, weight, health, locality, metadata: Object.entries(labels) };
}
