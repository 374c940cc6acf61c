/** What is known of an Eureka server's instances: all of them once, then what changed, with the server's own check that nothing is missing. */
import type { RawEndpoint } from "../endpoint.ts";
import { DiscoveryError } from "../errors.ts";
import type { Applications, EurekaInstance } from "./applications.ts";
import { MAX_INSTANCES } from "./limits.ts";

export interface Step {
  /** Applications with instances that were added, changed or removed. */
  readonly changed: ReadonlySet<string>;
  /** Instances that the server itself says have gone, in the order in which they went. */
  readonly deleted: readonly EurekaInstance[];
  /** False when the server's check differs: something was missed, and everything has to be read again. */
  readonly complete: boolean;
}

export class InstanceRegistry {
  #applications = new Map<string, Map<string, EurekaInstance>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @param application in any case */
  instancesOf(application: string): readonly RawEndpoint[] {
    return [...(this.#applications.get(application.toUpperCase())?.values() ?? [])].map(({ endpoint }) => endpoint);
  }

  /** A full answer takes the place of everything. O(n). */
  replace({ instances }: Applications): Step {
    const before = this.#applications;
    this.#applications = new Map();
    this.#size = 0;
    for (const each of instances) this.#set(each);
    return { changed: new Set([...before.keys(), ...this.#applications.keys()]), deleted: [], complete: true };
  }

  /** @throws DiscoveryError TM_DISCOVERY_TOO_LARGE */
  apply({ instances, hash }: Applications): Step {
    const changed = new Set<string>();
    for (const each of instances) {
      if (each.deleted) this.#delete(each);
      else this.#set(each);
      changed.add(each.application);
    }
    if (this.#size > MAX_INSTANCES)
      throw new DiscoveryError("TM_DISCOVERY_TOO_LARGE", `Eureka has more than ${MAX_INSTANCES} instances`);
    const deleted = instances.filter((each) => each.deleted);
    return { changed, deleted, complete: hash === undefined || hash === this.hash() };
  }

  /** `DOWN_1_UP_7_`: how many instances have which status, by the names of the statuses. O(n). */
  hash(): string {
    const counts = new Map<string, number>();
    for (const instances of this.#applications.values())
      for (const { status } of instances.values()) counts.set(status, (counts.get(status) ?? 0) + 1);
    const sorted = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
    return sorted.map(([status, count]) => `${status}_${count}_`).join("");
  }

  #set(instance: EurekaInstance): void {
    const instances = this.#applications.get(instance.application) ?? new Map<string, EurekaInstance>();
    this.#applications.set(instance.application, instances);
    if (!instances.has(instance.endpoint.id)) this.#size++;
    instances.set(instance.endpoint.id, instance);
  }

  #delete({ application, endpoint }: EurekaInstance): void {
    const instances = this.#applications.get(application);
    if (instances?.delete(endpoint.id)) this.#size--;
    if (instances?.size === 0) this.#applications.delete(application);
  }
}
