/**
 * Services of Kubernetes: list and watch of Services and EndpointSlices in the namespaces that are watched, of Nodes for regions and zones, and of pods where their labels
 * are wanted. Two or three connections per namespace, whatever the number of services.
 */
import type { KubernetesDiscovery, MetadataMapping } from "../../config/discovery-model.ts";
import {
  ANSWER_TIMEOUT_MS,
  ApiClient,
  asApiError,
  type Cluster,
  openCluster,
  type Timing,
} from "../../kubernetes/index.ts";
import { Backoff } from "../backoff.ts";
import type { SourceContext } from "../context.ts";
import { type RawEndpoint, readEndpoints } from "../endpoint.ts";
import { DiscoveryError } from "../errors.ts";
import type { DiscoveredEndpoint, DiscoverySource, ServiceObserver } from "../source.ts";
import { apiFailure } from "./failure.ts";
import { NamespaceView } from "./namespace-view.ts";
import { NodeTable } from "./node-table.ts";
import { parseServiceName, type ServiceName } from "./service-name.ts";

export interface ConnectionOptions {
  /** How to find the cluster; the pod around this program, or the kubeconfig of the specification, by default. */
  open?(): Promise<Cluster>;
  /** From a question to its whole answer, ms. */
  readonly answerTimeoutMs?: number;
}

/** A watch, from the moment it was asked for; `end` is there as soon as its namespace is read. */
interface Pending {
  readonly service: string;
  readonly observer: ServiceObserver;
  end: (() => void) | undefined;
}

interface Connection {
  readonly client: ApiClient;
  readonly namespaces: readonly string[];
  readonly nodes: NodeTable;
}

export class KubernetesSource implements DiscoverySource {
  readonly kind = "kubernetes";
  readonly #spec: KubernetesDiscovery;
  readonly #mapping: MetadataMapping;
  readonly #context: SourceContext;
  readonly #timing: Timing;
  readonly #backoff: Backoff;
  readonly #answerTimeoutMs: number;
  readonly #watches = new Set<Pending>();
  readonly #views = new Map<string, NamespaceView>();
  /** Views that nobody watches and that have not ended yet. */
  readonly #ending = new Set<Promise<void>>();
  #connection: Connection | undefined;
  /** Why there is no connection yet. */
  #failure: DiscoveryError | undefined;
  #cancel: (() => void) | undefined;
  #opening: Promise<void>;
  #closed = false;

  constructor(
    spec: KubernetesDiscovery,
    mapping: MetadataMapping,
    context: SourceContext,
    { open = () => openCluster(spec), answerTimeoutMs = ANSWER_TIMEOUT_MS }: ConnectionOptions = {},
  ) {
    this.#spec = spec;
    this.#mapping = mapping;
    this.#context = context;
    const { clock, random } = context;
    this.#timing = { now: () => clock.now(), after: (ms, run) => clock.after(ms, run), random };
    this.#backoff = new Backoff(random);
    this.#answerTimeoutMs = answerTimeoutMs;
    this.#opening = this.#open(open);
  }

  watch(service: string, observer: ServiceObserver): () => void {
    const watch: Pending = { service, observer, end: undefined };
    this.#watches.add(watch);
    queueMicrotask(() => {
      if (!this.#watches.has(watch) || watch.end !== undefined) return;
      if (this.#connection !== undefined) this.#begin(watch, this.#connection);
      else if (this.#failure !== undefined) observer.failed(this.#failure);
    });
    return () => {
      if (!this.#watches.delete(watch)) return;
      watch.end?.();
      this.#sweep();
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    this.#watches.clear();
    await this.#opening;
    const views = [...this.#views.values()];
    this.#views.clear();
    await Promise.all([...views.map((view) => view.close()), ...this.#ending, this.#connection?.nodes.close()]);
    this.#connection?.client.close();
  }

  async #open(open: () => Promise<Cluster>): Promise<void> {
    try {
      const cluster = await open();
      if (this.#closed) return;
      this.#connection = this.#connect(cluster);
      for (const watch of [...this.#watches]) if (watch.end === undefined) this.#begin(watch, this.#connection);
    } catch (error) {
      if (this.#closed) return;
      this.#failure = apiFailure(asApiError(error));
      for (const { observer } of [...this.#watches]) observer.failed(this.#failure);
      // A kubeconfig that is put there later, or corrected, counts without a restart.
      this.#cancel = this.#context.clock.after(this.#backoff.next(), () => {
        this.#opening = this.#open(open);
      });
    }
  }

  #connect(cluster: Cluster): Connection {
    const client = new ApiClient(cluster, this.#answerTimeoutMs);
    const { name, log } = this.#context;
    const everywhere = (tell: (view: NamespaceView) => void) => {
      for (const view of [...this.#views.values()]) tell(view);
    };
    const nodes = new NodeTable(
      this.#spec.nodes
        ? {
            client,
            timing: this.#timing,
            changed: () => everywhere((view) => view.nodesChanged()),
            failed: (error) => everywhere((view) => view.nodesFailed(apiFailure(error))),
            denied: ({ message }) =>
              log("warn", "endpoints have no region: this server may not read nodes", {
                source: name,
                reason: message,
              }),
          }
        : undefined,
    );
    const { namespaces } = this.#spec;
    return { client, nodes, namespaces: namespaces.length > 0 ? namespaces : [cluster.namespace] };
  }

  #begin(watch: Pending, connection: Connection): void {
    try {
      const service = parseServiceName(watch.service, connection.namespaces, this.#spec.port);
      watch.end = this.#view(service.namespace, connection).watch(service, watch.observer);
    } catch (error) {
      if (!(error instanceof DiscoveryError)) throw error;
      watch.end = () => {};
      watch.observer.failed(error);
    }
  }

  #view(namespace: string, { client, nodes }: Connection): NamespaceView {
    const existing = this.#views.get(namespace);
    if (existing !== undefined) return existing;
    const { pods } = this.#spec;
    const read = (service: ServiceName, raw: readonly RawEndpoint[]) => this.#read(service, raw);
    const view = new NamespaceView({ client, timing: this.#timing, namespace, pods, nodes, read });
    this.#views.set(namespace, view);
    return view;
  }

  #read(service: ServiceName, raw: readonly RawEndpoint[]): readonly DiscoveredEndpoint[] {
    const { endpoints, skipped, reasons } = readEndpoints(raw, this.#mapping);
    if (skipped > 0) {
      const what = `${service.namespace}/${service.name}`;
      this.#context.log("warn", "endpoints were left out", {
        source: this.#context.name,
        service: what,
        skipped,
        reasons,
      });
    }
    return endpoints;
  }

  /** Ends what is read for nobody. */
  #sweep(): void {
    for (const [namespace, view] of this.#views) {
      if (view.size > 0) continue;
      this.#views.delete(namespace);
      const ended = view.close().finally(() => this.#ending.delete(ended));
      this.#ending.add(ended);
    }
  }
}
