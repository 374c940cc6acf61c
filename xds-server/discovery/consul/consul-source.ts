/** Services of Consul, by blocking queries: Consul answers when something changed, so changes arrive in milliseconds and a quiet service costs a question a minute. */
import type { ConsulDiscovery, DiscoverySourceSpec } from "../../config/discovery-model.ts";
import type { SourceContext, SourceFactory } from "../context.ts";
import { DiscoveryError } from "../errors.ts";
import { ANSWER_TIMEOUT_MS } from "../limits.ts";
import { JsonClient, readAuthorities } from "../registry-client/index.ts";
import type { DiscoverySource, ServiceObserver } from "../source.ts";
import { GRACE_MS, MAX_QUESTIONS, ROUND_MS, WAIT_MS } from "./limits.ts";
import { QuestionSlots } from "./question-slots.ts";
import { ServiceLoop, type SourceParts } from "./service-loop.ts";

export interface ConsulTimes {
  /** How long endpoints stay that are missing after Consul has lost its state, ms. */
  readonly graceMs?: number;
  /** From a question to its answer, besides what Consul is asked to wait, ms. */
  readonly answerMs?: number;
}

export class ConsulSource implements DiscoverySource {
  readonly kind = "consul";
  readonly #parts: SourceParts;
  readonly #services = new Map<string, ServiceLoop>();
  #closed = false;

  constructor(spec: DiscoverySourceSpec, consul: ConsulDiscovery, context: SourceContext, times: ConsulTimes = {}) {
    const { clock } = context;
    this.#parts = {
      spec,
      consul,
      context,
      graceMs: times.graceMs ?? GRACE_MS,
      answerMs: times.answerMs ?? ANSWER_TIMEOUT_MS,
      client: new JsonClient(clock, { authorities: readAuthorities(consul.caFile) }),
      slots: new QuestionSlots(MAX_QUESTIONS),
      waitMs: () => waitFor(this.#services.size, Math.min(WAIT_MS, spec.poll.max)),
    };
  }

  watch(service: string, observer: ServiceObserver): () => void {
    if (this.#closed) return () => {};
    const loop = this.#services.get(service) ?? this.#start(service);
    const leave = loop.observers.add(observer);
    return () => {
      leave();
      if (loop.observers.size > 0 || this.#services.get(service) !== loop) return;
      this.#services.delete(service);
      loop.end();
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    const loops = [...this.#services.values()];
    this.#services.clear();
    for (const loop of loops) loop.end();
    this.#parts.client.close();
    await Promise.all(loops.map(({ ended }) => ended));
  }

  #start(service: string): ServiceLoop {
    const loop = new ServiceLoop(service, this.#parts);
    this.#services.set(service, loop);
    return loop;
  }
}

/** With more services than questions at once, each waits shorter, so that all get their turn. */
export function waitFor(services: number, waitMs: number): number {
  return services <= MAX_QUESTIONS ? waitMs : Math.min(waitMs, (ROUND_MS * MAX_QUESTIONS) / services);
}

/** A source of kind consul. */
export const consulSource: SourceFactory = (spec, context) => {
  if (spec.consul === undefined)
    throw new DiscoveryError("TM_DISCOVERY_FAILED", `${context.name} is not of kind consul`);
  return new ConsulSource(spec, spec.consul, context);
};
