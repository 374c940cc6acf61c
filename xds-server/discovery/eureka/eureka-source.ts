/** Services of Eureka: one registry is kept for all of them, read once and then followed by deltas. */
import type { DiscoverySourceSpec, EurekaDiscovery } from "../../config/discovery-model.ts";
import { Backoff } from "../backoff.ts";
import type { SourceContext, SourceFactory } from "../context.ts";
import { DiscoveryError } from "../errors.ts";
import { faultOfServiceName, JsonClient, pause, readAuthorities } from "../registry-client/index.ts";
import type { DiscoverySource, ServiceObserver } from "../source.ts";
import { ApplicationWatch } from "./application-watch.ts";
import { EurekaServers } from "./eureka-servers.ts";
import { InstanceRegistry } from "./instance-registry.ts";
import { CHECK_AFTER_MS, FULL_EVERY_MS, GRACE_MS, MAX_DELTA_AGE_MS, MAX_REGISTRY_BYTES, POLL_MS } from "./limits.ts";

export interface EurekaTimes {
  /** How long instances stay that are missing from a full answer without having been said to be gone, ms. */
  readonly graceMs?: number;
  /** Of one question, ms. */
  readonly answerMs?: number;
}

interface Loop {
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

/** How things stand with the servers: nothing heard yet, the last answer good, or failed. */
type State = "new" | "good" | DiscoveryError;

export class EurekaSource implements DiscoverySource {
  readonly kind = "eureka";
  readonly #context: SourceContext;
  readonly #spec: DiscoverySourceSpec;
  readonly #graceMs: number;
  readonly #client: JsonClient;
  readonly #servers: EurekaServers;
  readonly #watches = new Map<string, ApplicationWatch>();
  readonly #backoff: Backoff;
  readonly #registry = new InstanceRegistry();
  #state: State = "new";
  #answeredAt = Number.NEGATIVE_INFINITY;
  #readAllAt = Number.NEGATIVE_INFINITY;
  /** Of the last delta. */
  #version: string | undefined;
  /** Something has changed since everything was read. */
  #unchecked = false;
  /** When the registry was first seen without any instance, and had not said that they went. */
  #emptySince: number | undefined;
  #loop: Loop | undefined;
  #closed = false;

  constructor(spec: DiscoverySourceSpec, eureka: EurekaDiscovery, context: SourceContext, times: EurekaTimes = {}) {
    this.#spec = spec;
    this.#context = context;
    this.#graceMs = times.graceMs ?? GRACE_MS;
    this.#client = new JsonClient(context.clock, {
      maxBytes: MAX_REGISTRY_BYTES,
      authorities: readAuthorities(eureka.caFile),
    });
    this.#servers = new EurekaServers(eureka, this.#client, times.answerMs);
    this.#backoff = new Backoff(context.random);
  }

  watch(service: string, observer: ServiceObserver): () => void {
    const fault = faultOfServiceName(service);
    if (this.#closed) return () => {};
    if (fault !== undefined) return refuse(observer, fault);
    const name = service.toUpperCase();
    const watch = this.#watches.get(name) ?? this.#newWatch(name);
    const leave = watch.observers.add(observer);
    this.#loop ??= this.#start();
    return () => {
      leave();
      if (watch.observers.size > 0 || this.#watches.get(name) !== watch) return;
      watch.end();
      this.#watches.delete(name);
      if (this.#watches.size === 0) this.#end();
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const watch of this.#watches.values()) watch.end();
    this.#watches.clear();
    const ended = this.#end();
    this.#client.close();
    await ended;
  }

  #newWatch(name: string): ApplicationWatch {
    const watch = new ApplicationWatch(name, this.#spec.metadata, this.#context, this.#graceMs);
    this.#watches.set(name, watch);
    queueMicrotask(() => this.#tell(name, watch)); // never from within `watch`
    return watch;
  }

  #start(): Loop {
    const stop = new AbortController();
    return { stop, ended: this.#run(stop.signal) };
  }

  #end(): Promise<void> | undefined {
    const loop = this.#loop;
    this.#loop = undefined;
    this.#state = "new"; // nobody keeps the registry true any more
    loop?.stop.abort();
    return loop?.ended;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#context;
    const { min, max } = this.#spec.poll;
    const interval = Math.min(max, Math.max(min, POLL_MS));
    while (!signal.aborted) {
      let waitMs = interval * (0.9 + 0.2 * random());
      try {
        const complete = await this.#ask(signal);
        this.#backoff.reset();
        if (!complete) waitMs = 0; // what was missed is read at once
      } catch (error) {
        if (signal.aborted) return;
        this.#fail(asDiscoveryError(error));
        waitMs = this.#backoff.next();
      }
      await pause(clock, waitMs, signal);
    }
  }

  /** One question. @returns whether the registry is complete */
  async #ask(signal: AbortSignal): Promise<boolean> {
    const asked = this.#context.clock.now();
    const answer = await this.#servers.ask(this.#wantsDelta(asked), signal);
    if (signal.aborted) return true;
    const sizeBefore = this.#registry.size;
    const step = answer.delta ? this.#registry.apply(answer) : this.#registry.replace(answer);
    for (const { application, endpoint } of step.deleted) this.#watches.get(application)?.gone(endpoint.id);
    if (!step.complete) {
      this.#readAllAt = Number.NEGATIVE_INFINITY;
      return false;
    }
    if (!answer.delta) this.#readAll(asked, answer.moved, sizeBefore);
    else if (answer.version !== this.#version) {
      this.#unchecked = this.#version !== undefined;
      this.#version = answer.version;
    }
    if (this.#registry.size > 0) this.#emptySince = undefined;
    this.#answeredAt = asked;
    this.#state = "good";
    for (const [name, watch] of this.#watches) this.#tell(name, watch, step.changed.has(name));
    return true;
  }

  #wantsDelta(now: number): boolean {
    const fullEvery = this.#unchecked ? CHECK_AFTER_MS : FULL_EVERY_MS;
    return this.#state === "good" && now - this.#answeredAt < MAX_DELTA_AGE_MS && now - this.#readAllAt < fullEvery;
  }

  /** Whoever left while deltas were followed was said to have left. Whoever is only missing may not have come back yet to a server that was started anew. */
  #readAll(asked: number, moved: boolean, sizeBefore: number): void {
    const followed = this.#state === "good" && !moved;
    this.#readAllAt = asked;
    this.#unchecked = false;
    if (this.#servers.haveDeltas || !followed) for (const watch of this.#watches.values()) watch.doubt();
    if (this.#registry.size === 0 && (sizeBefore > 0 || !followed)) this.#emptySince ??= asked;
  }

  /** @param changed false when the instances are the same as at the last time */
  #tell(name: string, watch: ApplicationWatch, changed = true): void {
    if (this.#state === "new" || this.#watches.get(name) !== watch) return;
    if (this.#state !== "good") watch.failed(this.#state);
    else if (this.#mayBeNew()) {
      const what = "Eureka has no instance at all; it may have been started just now";
      watch.failed(new DiscoveryError("TM_DISCOVERY_EMPTY", what));
    } else watch.tell(changed ? this.#registry.instancesOf(name) : undefined);
  }

  /** The registry is without any instance, and no delta has emptied it. */
  #mayBeNew(): boolean {
    return this.#emptySince !== undefined && this.#context.clock.now() - this.#emptySince < this.#graceMs;
  }

  #fail(error: DiscoveryError): void {
    this.#state = error;
    for (const watch of this.#watches.values()) watch.failed(error);
  }
}

/** Asking would not help. */
function refuse(observer: ServiceObserver, fault: DiscoveryError): () => void {
  let ended = false;
  queueMicrotask(() => {
    if (!ended) observer.failed(fault);
  });
  return () => {
    ended = true;
  };
}

function asDiscoveryError(error: unknown): DiscoveryError {
  if (error instanceof DiscoveryError) return error;
  return new DiscoveryError("TM_DISCOVERY_FAILED", error instanceof Error ? error.message.slice(0, 200) : "unknown");
}

/** A source of kind eureka. */
export const eurekaSource: SourceFactory = (spec, context) => {
  if (spec.eureka === undefined)
    throw new DiscoveryError("TM_DISCOVERY_FAILED", `${context.name} is not of kind eureka`);
  return new EurekaSource(spec, spec.eureka, context);
};
