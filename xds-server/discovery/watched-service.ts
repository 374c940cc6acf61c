/** One service of one source while it is watched: its state with a timer, and its endpoints in the form that the control plane builds from. */
import type { Endpoint, ServiceEntry } from "../config/model.ts";
import type { Clock } from "./clock.ts";
import type { EndpointMemory } from "./endpoint-memory.ts";
import type { DiscoveryError } from "./errors.ts";
import { DRAIN_CHECK_MS } from "./limits.ts";
import { ServiceState, type ServiceTiming } from "./service-state.ts";
import type { DiscoveredEndpoint, DiscoverySource, ServiceObserver } from "./source.ts";
import { endpointView, type ServiceView } from "./view.ts";

export interface WatchedServiceOptions {
  readonly source: string;
  readonly service: string;
  readonly clock: Clock;
  readonly now: () => number;
  readonly memory: EndpointMemory | undefined;
  readonly inProgress: ((address: string, port: number) => number | undefined) | undefined;
  readonly changed: (entries: ReadonlySet<string>) => void;
  readonly onAnswer: () => void;
  readonly onFailure: (error: DiscoveryError) => void;
}

export class WatchedService {
  readonly #options: WatchedServiceOptions;
  readonly #state: ServiceState;
  #entries: ReadonlySet<string>;
  #unwatch: (() => void) | undefined;
  #cancel: (() => void) | undefined;
  #saved: readonly DiscoveredEndpoint[] | undefined;
  #lists = new Map<string, readonly Endpoint[]>();
  #ended = false;

  constructor(options: WatchedServiceOptions, timing: ServiceTiming, entries: ReadonlySet<string>) {
    this.#options = options;
    this.#entries = entries;
    this.#state = new ServiceState(timing, options.clock.now());
    void this.#remember();
  }

  get state(): ServiceState {
    return this.#state;
  }

  configure(timing: ServiceTiming, entries: ReadonlySet<string>): void {
    this.#entries = entries;
    this.#state.retime(timing);
    this.#advance();
  }

  /** The answers of this source count from now on; those of a former one no longer. */
  attach(source: DiscoverySource): void {
    this.detach();
    const { service, clock, onAnswer, onFailure } = this.#options;
    let attached = true;
    const observer: ServiceObserver = {
      endpoints: (all) => {
        if (!attached) return;
        onAnswer();
        this.#state.answer(all, clock.now());
        this.#advance();
      },
      failed: (error) => {
        if (!attached) return;
        onFailure(error);
        this.failed(error);
      },
    };
    const unwatch = source.watch(service, observer);
    this.#unwatch = () => {
      attached = false;
      unwatch();
    };
  }

  detach(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#state.unconfirmed(this.#options.clock.now());
  }

  failed(error: DiscoveryError): void {
    this.#state.failed(error, this.#options.clock.now());
    this.#advance();
  }

  end(): void {
    this.#ended = true;
    this.detach();
    this.#cancel?.();
  }

  /** In the form of the configuration: every port of the ServiceEntry is the endpoint's port of its name, or else its only one. */
  endpointsFor({ ports }: ServiceEntry): readonly Endpoint[] | undefined {
    const { current } = this.#state;
    if (current === undefined) return undefined;
    const names = ports.map(({ name }) => name);
    const key = names.join("\n");
    let list = this.#lists.get(key);
    if (list === undefined) {
      list = current.map((endpoint) => configured(endpoint, names));
      this.#lists.set(key, list);
    }
    return list;
  }

  view(): ServiceView {
    const { error, condition, current = [] } = this.#state;
    return {
      service: this.#options.service,
      entries: [...this.#entries].sort(),
      condition,
      ageSeconds: Math.round(this.#state.age(this.#options.clock.now()) / 1_000),
      ...(error && { error: { code: error.code, message: error.message } }),
      endpoints: current.map(endpointView),
    };
  }

  #advance(): void {
    if (this.#ended) return;
    const { clock, inProgress, changed, memory, source, service } = this.#options;
    const now = clock.now();
    const isChanged = this.#state.advance(now, ({ address, port }) => inProgress?.(address, port) === 0);
    this.#cancel?.();
    this.#cancel = undefined;
    const { answered } = this.#state;
    if (answered !== undefined && answered !== this.#saved) {
      this.#saved = answered;
      memory?.save(source, service, answered);
    }
    const deadline = this.#state.nextDeadline() ?? Number.POSITIVE_INFINITY;
    const check = this.#state.drains && inProgress !== undefined ? now + DRAIN_CHECK_MS : Number.POSITIVE_INFINITY;
    const next = Math.min(deadline, check);
    if (Number.isFinite(next)) this.#cancel = clock.after(Math.max(0, next - now), () => this.#advance());
    if (!isChanged) return;
    this.#lists = new Map();
    changed(this.#entries);
  }

  async #remember(): Promise<void> {
    const { memory, source, service, clock, now } = this.#options;
    const found = await memory?.load(source, service);
    if (found === undefined) return;
    const age = Math.max(0, now() - found.at);
    this.#state.remember(found.endpoints, clock.now() - age);
    this.#advance();
  }
}

function configured(endpoint: DiscoveredEndpoint, names: readonly string[]): Endpoint {
  const { address, port, ports, labels, weight, health, locality } = endpoint;
  return {
    address,
    ports: new Map(names.map((name) => [name, ports?.get(name) ?? port])),
    labels,
    weight,
    locality,
    health,
  };
}
