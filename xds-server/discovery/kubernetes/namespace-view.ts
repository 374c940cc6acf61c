/** One namespace as its watchers see it: copies of its Services and EndpointSlices, and of its pods where they are wanted, joined for each service that somebody watches. */
import { type ApiClient, Reflector, type ReflectorOptions, type Timing } from "../../kubernetes/index.ts";
import type { RawEndpoint } from "../endpoint.ts";
import { DiscoveryError } from "../errors.ts";
import type { DiscoveredEndpoint, ServiceObserver } from "../source.ts";
import { rawEndpoints } from "./endpoints.ts";
import { apiFailure } from "./failure.ts";
import { ENDPOINTS_PER_OBJECT, SLICES_PER_PAGE } from "./limits.ts";
import type { NodeTable } from "./node-table.ts";
import {
  type Metadata,
  readMetadata,
  readService,
  readSlice,
  type Service,
  type Slice,
  sameMetadata,
} from "./objects.ts";
import type { ServiceName } from "./service-name.ts";

export interface NamespaceOptions {
  readonly client: ApiClient;
  readonly timing: Timing;
  readonly namespace: string;
  readonly pods: boolean;
  readonly nodes: NodeTable;
  /** The door of discovery. @throws DiscoveryError */
  read(service: ServiceName, raw: readonly RawEndpoint[]): readonly DiscoveredEndpoint[];
}

interface Watcher {
  readonly service: ServiceName;
  readonly observer: ServiceObserver;
  /** What was told last. */
  answer: readonly DiscoveredEndpoint[] | DiscoveryError | undefined;
}

const NO_PODS: ReadonlyMap<string, Metadata> = new Map();

export class NamespaceView {
  readonly #options: NamespaceOptions;
  readonly #watchers = new Map<string, Set<Watcher>>();
  /** Keys of slices by the name of their Service, and back: a slice that is gone does not say whose it was. */
  readonly #slicesOf = new Map<string, Set<string>>();
  readonly #serviceOf = new Map<string, string>();
  readonly #failing = new Map<object, DiscoveryError>();
  readonly #services: Reflector<Service>;
  readonly #slices: Reflector<Slice>;
  readonly #pods: Reflector<Metadata> | undefined;
  #closed = false;

  /** Begins to read at once. */
  constructor(options: NamespaceOptions) {
    this.#options = options;
    // A name that a configuration gives is checked there; one that a pod or kubeconfig gives is not.
    const namespace = encodeURIComponent(options.namespace);
    const path = (group: string, plural: string) => `${group}/namespaces/${namespace}/${plural}`;
    // Any change of a Service may be one of its ports or weight, any of a slice one of its endpoints.
    const same = () => false;
    this.#services = this.#reflect({ path: path("/api/v1", "services"), read: readService, same }, (keys) =>
      [...keys].map(nameOf),
    );
    const slices = {
      path: path("/apis/discovery.k8s.io/v1", "endpointslices"),
      pageSize: SLICES_PER_PAGE,
      read: readSlice,
      same,
      alive: () => this.#confirm(),
      weigh: ({ endpoints }: Slice) => 1 + endpoints.length / ENDPOINTS_PER_OBJECT,
    };
    this.#slices = this.#reflect(slices, (keys) => this.#index(keys));
    // Most changes of a pod are of its status.
    const pods = { path: path("/api/v1", "pods"), metadataOnly: true, read: readMetadata, same: sameMetadata };
    this.#pods = options.pods ? this.#reflect(pods, (keys) => this.#servicesWith(keys)) : undefined;
  }

  /** Watches that have not ended. */
  get size(): number {
    let size = 0;
    for (const watchers of this.#watchers.values()) size += watchers.size;
    return size;
  }

  watch(service: ServiceName, observer: ServiceObserver): () => void {
    const watcher: Watcher = { service, observer, answer: undefined };
    const watchers = this.#watchers.get(service.name) ?? new Set();
    this.#watchers.set(service.name, watchers);
    watchers.add(watcher);
    queueMicrotask(() => this.#first(watcher));
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(service.name) === watchers) this.#watchers.delete(service.name);
    };
  }

  /** Something about the nodes is another, or they can be read again. */
  nodesChanged(): void {
    this.#failing.delete(this.#options.nodes);
    this.#tellAll();
  }

  nodesFailed(failure: DiscoveryError): void {
    this.#fail(this.#options.nodes, failure);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watchers.clear();
    await Promise.all([this.#services.close(), this.#slices.close(), this.#pods?.close()]);
  }

  get #ready(): boolean {
    const { nodes } = this.#options;
    return this.#services.synced && this.#slices.synced && (this.#pods?.synced ?? true) && nodes.ready;
  }

  #reflect<T>(
    what: Pick<ReflectorOptions<T>, "path" | "pageSize" | "metadataOnly" | "read" | "same" | "weigh" | "alive">,
    affected: (keys: ReadonlySet<string>) => Iterable<string>,
  ): Reflector<T> {
    const { client, timing } = this.#options;
    const me = {};
    let listed = false;
    return new Reflector<T>({
      ...what,
      client,
      timing,
      changed: (keys) => {
        const services = [...affected(keys)];
        const recovered = this.#failing.delete(me) && this.#failing.size === 0;
        if (recovered || !listed) this.#tellAll();
        else for (const service of services) this.#tell(service);
        listed = true;
      },
      failed: (error) => this.#fail(me, apiFailure(error)),
    });
  }

  #fail(who: object, failure: DiscoveryError): void {
    this.#failing.set(who, failure);
    for (const { observer } of this.#all()) observer.failed(failure);
  }

  #index(keys: ReadonlySet<string>): ReadonlySet<string> {
    const services = new Set<string>();
    for (const key of keys) {
      const before = this.#serviceOf.get(key);
      const after = this.#slices.objects.get(key)?.service;
      if (before !== undefined && before !== after) {
        const slices = this.#slicesOf.get(before);
        slices?.delete(key);
        if (slices?.size === 0) this.#slicesOf.delete(before);
        services.add(before);
      }
      if (after === undefined) {
        this.#serviceOf.delete(key);
        continue;
      }
      this.#serviceOf.set(key, after);
      this.#slicesOf.set(after, (this.#slicesOf.get(after) ?? new Set()).add(key));
      services.add(after);
    }
    return services;
  }

  /** Watched services that have one of these pods. */
  *#servicesWith(pods: ReadonlySet<string>): Generator<string> {
    for (const name of this.#watchers.keys()) {
      const slices = [...this.#slicesFor(name)];
      if (slices.some(({ endpoints }) => endpoints.some(({ pod }) => pod !== undefined && pods.has(pod)))) yield name;
    }
  }

  *#slicesFor(service: string): Generator<Slice> {
    for (const key of this.#slicesOf.get(service) ?? []) {
      const slice = this.#slices.objects.get(key);
      if (slice !== undefined) yield slice;
    }
  }

  *#all(): Generator<Watcher> {
    for (const watchers of [...this.#watchers.values()]) yield* [...watchers];
  }

  #tellAll(): void {
    for (const name of [...this.#watchers.keys()]) this.#tell(name);
  }

  #tell(service: string): void {
    for (const watcher of [...(this.#watchers.get(service) ?? [])]) this.#answer(watcher);
  }

  #first(watcher: Watcher): void {
    if (!this.#watches(watcher)) return;
    this.#answer(watcher);
    const [failure] = this.#failing.values();
    if (failure !== undefined && this.#watches(watcher)) watcher.observer.failed(failure);
  }

  #watches(watcher: Watcher): boolean {
    return !this.#closed && this.#watchers.get(watcher.service.name)?.has(watcher) === true;
  }

  #answer(watcher: Watcher): void {
    if (!this.#ready || !this.#watches(watcher)) return;
    watcher.answer = this.#read(watcher.service);
    this.#repeat(watcher);
  }

  #repeat({ observer, answer }: Watcher): void {
    if (answer instanceof DiscoveryError) observer.failed(answer);
    else if (answer !== undefined) observer.endpoints(answer);
  }

  /** What was told last is still true, so that nobody takes a service that never changes for one that nobody asks about. */
  #confirm(): void {
    if (this.#failing.size > 0) return;
    for (const watcher of this.#all()) if (this.#watches(watcher)) this.#repeat(watcher);
  }

  #read(service: ServiceName): readonly DiscoveredEndpoint[] | DiscoveryError {
    try {
      return this.#options.read(service, this.#join(service));
    } catch (error) {
      if (error instanceof DiscoveryError) return error;
      throw error;
    }
  }

  #join({ namespace, name, port }: ServiceName): readonly RawEndpoint[] {
    const service = this.#services.objects.get(`${namespace}/${name}`);
    // Slices of a Service that was deleted live until somebody has swept them up.
    if (service === undefined) return [];
    const around = { nodes: this.#options.nodes.nodes, pods: this.#pods?.objects ?? NO_PODS };
    return rawEndpoints(`${namespace}/${name}`, service, this.#slicesFor(name), around, port);
  }
}

function nameOf(key: string): string {
  return key.slice(key.indexOf("/") + 1);
}
