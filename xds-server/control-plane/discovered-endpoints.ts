/** ServiceEntries with the endpoints that count: their own, or those of discovery. */
import { endpointsFrom } from "../config/endpoints-from.ts";
import { fullName } from "../config/gateway-scope.ts";
import type { Endpoint, Model, ServiceEntry } from "../config/index.ts";
import { extended } from "../config/reader.ts";
import type { EndpointOverlay } from "./overlays.ts";

export class DiscoveredEndpoints {
  readonly #overlay: EndpointOverlay | undefined;
  readonly #known = new WeakMap<ServiceEntry, ServiceEntry>();

  constructor(overlay: EndpointOverlay | undefined) {
    this.#overlay = overlay;
  }

  /**
   * The entry as it is served; the same object as long as its endpoints are.
   * @param served the entry of this name that is served now: until discovery has answered, its endpoints stay
   */
  effective(entry: ServiceEntry, served: ServiceEntry | undefined): ServiceEntry {
    if (endpointsFrom(entry) === undefined) return entry;
    const endpoints: readonly Endpoint[] = this.#overlay?.endpointsOf(entry) ?? served?.endpoints ?? entry.endpoints;
    const known = this.#known.get(entry);
    if (known?.endpoints === endpoints) return known;
    const effective = extended(entry, { endpoints });
    this.#known.set(entry, effective);
    return effective;
  }

  effectiveModel(model: Model, served: Model | undefined): Model {
    const byName = new Map(served?.serviceEntries.map((entry) => [fullName(entry.metadata), entry]));
    const serviceEntries = model.serviceEntries.map((entry) =>
      this.effective(entry, byName.get(fullName(entry.metadata))),
    );
    return { ...model, serviceEntries };
  }

  /** Names of the entries that discovery has not answered for yet. */
  unanswered({ serviceEntries }: Model): readonly string[] {
    if (this.#overlay === undefined) return [];
    return serviceEntries
      .filter((entry) => endpointsFrom(entry) !== undefined && this.#overlay?.endpointsOf(entry) === undefined)
      .map(({ metadata }) => fullName(metadata));
  }
}
