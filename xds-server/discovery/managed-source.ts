/** One DiscoverySource while it is configured: makes the source, again after failures and changes of its specification, and keeps its services. */
import type { DiscoverySourceSpec } from "../config/discovery-model.ts";
import { Backoff } from "./backoff.ts";
import { DiscoveryError } from "./errors.ts";
import { kindOf } from "./factories.ts";
import type { DiscoveryOptions, EntriesChanged } from "./manager.ts";
import type { DiscoveryMetrics } from "./metrics.ts";
import type { DiscoverySource } from "./source.ts";
import type { SourceView } from "./view.ts";
import { WatchedService } from "./watched-service.ts";

/** Service -> `namespace/name` of the ServiceEntries that name it. */
type Wanted = ReadonlyMap<string, ReadonlySet<string>>;

export class ManagedSource {
  readonly #name: string;
  readonly #options: DiscoveryOptions;
  readonly #metrics: DiscoveryMetrics | undefined;
  readonly #changed: EntriesChanged;
  readonly #services = new Map<string, WatchedService>();
  readonly #backoff: Backoff;
  #spec: DiscoverySourceSpec | undefined;
  #identity = "";
  #source: DiscoverySource | undefined;
  #cancelRetry: (() => void) | undefined;
  readonly #closing = new Set<Promise<void>>();

  /** @param name `namespace/name` */
  constructor(name: string, options: DiscoveryOptions, metrics: DiscoveryMetrics | undefined, changed: EntriesChanged) {
    this.#name = name;
    this.#metrics = metrics;
    this.#options = options;
    this.#changed = changed;
    this.#backoff = new Backoff(options.random);
  }

  get services(): ReadonlyMap<string, WatchedService> {
    return this.#services;
  }

  configure(spec: DiscoverySourceSpec, wanted: Wanted): void {
    for (const [service, watched] of this.#services) {
      if (wanted.has(service)) continue;
      this.#services.delete(service);
      watched.end();
      this.#options.memory?.forget(this.#name, service);
    }
    const identity = identityOf(spec);
    const isOther = identity !== this.#identity;
    this.#spec = spec;
    this.#identity = identity;
    if (isOther) this.#drop();
    const added: WatchedService[] = [];
    for (const [service, entries] of wanted) {
      const known = this.#services.get(service);
      if (known !== undefined) known.configure(spec, entries);
      else {
        const watched = new WatchedService(this.#serviceOptions(service), spec, entries);
        this.#services.set(service, watched);
        added.push(watched);
      }
    }
    if (this.#services.size === 0) this.#drop();
    else if (this.#source === undefined) {
      if (this.#cancelRetry === undefined) this.#start();
    } else for (const watched of added) watched.attach(this.#source);
  }

  /** It is no longer configured. */
  remove(): void {
    for (const service of this.#services.keys()) this.#options.memory?.forget(this.#name, service);
    void this.close();
  }

  async close(): Promise<void> {
    for (const watched of this.#services.values()) watched.end();
    this.#drop();
    await Promise.all(this.#closing);
  }

  view(): SourceView {
    return {
      name: this.#name,
      kind: this.#spec === undefined ? "unknown" : kindOf(this.#spec),
      services: [...this.#services].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, watched]) => watched.view()),
    };
  }

  #serviceOptions(service: string): ConstructorParameters<typeof WatchedService>[0] {
    const { clock, now, memory, inProgress, log } = this.#options;
    const metrics = this.#metrics;
    const source = this.#name;
    let failing = false;
    return {
      source,
      service,
      clock,
      now,
      memory,
      inProgress,
      changed: (entries) => {
        metrics?.changes.inc({ source });
        this.#changed(entries);
      },
      onAnswer: () => {
        metrics?.answers.inc({ source });
        if (failing) log("info", "service discovery answers again", { source, service });
        failing = false;
      },
      onFailure: ({ code, message }) => {
        metrics?.failures.inc({ source, code });
        // One line for an outage, however long it is; the metric counts the attempts.
        if (!failing)
          log("warn", "service discovery failed; the last good endpoints stay", { source, service, code, message });
        failing = true;
      },
    };
  }

  #start(): void {
    const { factory, clock, random, log } = this.#options;
    this.#cancelRetry = undefined;
    if (this.#spec === undefined) return;
    try {
      this.#source = factory(this.#spec, { name: this.#name, clock, random, log });
    } catch (error) {
      const failure = asDiscoveryError(error);
      log("warn", "a DiscoverySource cannot start", {
        source: this.#name,
        code: failure.code,
        message: failure.message,
      });
      this.#metrics?.failures.inc({ source: this.#name, code: failure.code });
      for (const watched of this.#services.values()) watched.failed(failure);
      this.#cancelRetry = clock.after(this.#backoff.next(), () => this.#start());
      return;
    }
    this.#backoff.reset();
    for (const watched of this.#services.values()) watched.attach(this.#source);
  }

  /** Ends the source, if there is one; its services keep what they know. */
  #drop(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    const source = this.#source;
    this.#source = undefined;
    if (source === undefined) return;
    for (const watched of this.#services.values()) watched.detach();
    const closing = source.close().catch((error: unknown) => {
      this.#options.log("warn", "a DiscoverySource did not close well", { source: this.#name, error: String(error) });
    });
    this.#closing.add(closing);
    void closing.then(() => this.#closing.delete(closing));
  }
}

/** What makes it another source; the rest takes effect without a new connection. */
function identityOf({ quiet: _quiet, drain: _drain, ...spec }: DiscoverySourceSpec): string {
  return JSON.stringify(spec, (_key, value: unknown) => (value instanceof Map ? [...value] : value));
}

function asDiscoveryError(error: unknown): DiscoveryError {
  if (error instanceof DiscoveryError) return error;
  return new DiscoveryError("TM_DISCOVERY_FAILED", error instanceof Error ? error.message.slice(0, 300) : "unknown");
}
