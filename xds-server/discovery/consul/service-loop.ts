/** The questions for one service: one after the other, each held by Consul until there is something new. */
import type { ConsulDiscovery, DiscoverySourceSpec } from "../../config/discovery-model.ts";
import { Backoff } from "../backoff.ts";
import type { SourceContext } from "../context.ts";
import type { RawEndpoint } from "../endpoint.ts";
import { DiscoveryError } from "../errors.ts";
import {
  EndpointReader,
  faultOfServiceName,
  type JsonClient,
  pause,
  RemovalHold,
  refusal,
  ServiceObservers,
} from "../registry-client/index.ts";
import { BlockingIndex } from "./blocking-index.ts";
import { readHealthService } from "./health-service.ts";
import { BURST, WITHOUT_INDEX_MS } from "./limits.ts";
import { QuestionPace } from "./question-pace.ts";
import type { QuestionSlots } from "./question-slots.ts";
import { headersOf, timeoutOf, urlOf } from "./service-question.ts";

/** What all services of a source share. */
export interface SourceParts {
  readonly spec: DiscoverySourceSpec;
  readonly consul: ConsulDiscovery;
  readonly context: SourceContext;
  readonly graceMs: number;
  readonly answerMs: number;
  readonly client: JsonClient;
  readonly slots: QuestionSlots;
  /** How long Consul waits for a change before it answers, ms; as many services as there are decide. */
  readonly waitMs: () => number;
}

/** Asks for one service until it is ended. */
export class ServiceLoop {
  readonly observers = new ServiceObservers();
  readonly ended: Promise<void>;
  readonly #service: string;
  readonly #parts: SourceParts;
  readonly #stop = new AbortController();
  readonly #index = new BlockingIndex();
  readonly #backoff: Backoff;
  readonly #hold: RemovalHold;
  readonly #pace: QuestionPace;
  readonly #reader: EndpointReader;
  #current: readonly RawEndpoint[] = [];
  #stopHold = () => {};

  constructor(service: string, parts: SourceParts) {
    this.#service = service;
    this.#parts = parts;
    const { clock, random } = parts.context;
    this.#backoff = new Backoff(random);
    this.#reader = new EndpointReader(service, parts.spec.metadata, parts.context);
    this.#hold = new RemovalHold(parts.graceMs);
    this.#pace = new QuestionPace(BURST, Math.max(1, parts.spec.poll.min), clock.now());
    this.ended = this.#run();
  }

  end(): void {
    this.observers.clear();
    this.#stopHold();
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const { clock } = this.#parts.context;
    const { signal } = this.#stop;
    const fault = faultOfServiceName(this.#service);
    if (fault !== undefined) {
      this.observers.failed(fault); // nobody is there yet: who comes hears it soon; asking would not help
      return;
    }
    while (!signal.aborted) {
      await pause(clock, this.#pace.next(clock.now()), signal);
      const waitMs = await this.#turn();
      if (waitMs > 0) await pause(clock, waitMs, signal);
    }
  }

  /** One question. @returns ms to wait before the next */
  async #turn(): Promise<number> {
    const { slots } = this.#parts;
    const release = await slots.take(this.#stop.signal);
    if (release === undefined) return 0;
    try {
      const waitMs = await this.#ask();
      this.#backoff.reset();
      return waitMs;
    } catch (error) {
      if (this.#stop.signal.aborted) return 0;
      this.#index.askAtOnce();
      this.#stopHold(); // the end of a grace period is no news while nobody can say what there is
      this.observers.failed(asDiscoveryError(error));
      return this.#backoff.next();
    } finally {
      release();
    }
  }

  async #ask(): Promise<number> {
    const { client, consul, context, waitMs, answerMs } = this.#parts;
    const blocking = { index: this.#index.parameter, waitMs: waitMs() };
    const url = urlOf(consul, this.#service, blocking);
    const timeoutMs = timeoutOf(blocking, answerMs);
    const answer = await client.get({ url, headers: headersOf(consul), timeoutMs, signal: this.#stop.signal });
    if (this.#stop.signal.aborted) return 0;
    if (answer.status !== 200) throw refusal(url, answer, `the question for ${this.#service}`);
    const instances = readHealthService(answer.body);
    if (instances.length === 0) refuseDoubtfulNone(this.#service, (name) => answer.header(name));
    const step = this.#index.follow(answer.header("x-consul-index"));
    if (step.backwards) {
      this.#hold.doubt(context.clock.now());
      context.log("warn", "Consul has lost its state: endpoints that are missing stay for a while", {
        source: context.name,
        service: this.#service,
      });
    }
    this.#current = instances;
    this.#tell();
    return step.missing ? Math.min(WITHOUT_INDEX_MS, this.#parts.spec.poll.max) : 0;
  }

  #tell(): void {
    const { clock } = this.#parts.context;
    const endpoints = this.#hold.apply(this.#current, clock.now());
    this.#stopHold();
    const { deadline } = this.#hold;
    this.#stopHold = deadline === undefined ? () => {} : clock.after(deadline - clock.now(), () => this.#tellAgain());
    this.observers.endpoints(this.#reader.read(endpoints));
  }

  /** The grace period is over, and nothing new was said. */
  #tellAgain(): void {
    try {
      this.#tell();
    } catch (error) {
      this.observers.failed(asDiscoveryError(error));
    }
  }
}

/** Consul leaves out what a token may not read, and a server without a leader may not know what there is: neither is a service without instances. */
function refuseDoubtfulNone(service: string, header: (name: string) => string | undefined): void {
  if (header("x-consul-results-filtered-by-acls") === "true")
    throw new DiscoveryError("TM_DISCOVERY_DENIED", `Consul shows the token nothing of ${service}`);
  if (header("x-consul-knownleader") === "false")
    throw new DiscoveryError("TM_DISCOVERY_EMPTY", `Consul has no leader and no instance of ${service}`);
}

function asDiscoveryError(error: unknown): DiscoveryError {
  if (error instanceof DiscoveryError) return error;
  return new DiscoveryError("TM_DISCOVERY_FAILED", error instanceof Error ? error.message.slice(0, 200) : "unknown");
}
