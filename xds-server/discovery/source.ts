/**
 * What every kind of service discovery looks like from outside: a source is asked for services by name and says, for each, all endpoints it has now. Whoever listens keeps
 * the last good answer; a source never invents one.
 */
import type { Locality } from "../config/model.ts";
import type { DiscoveryError } from "./errors.ts";

export type EndpointHealth = "healthy" | "unhealthy" | "draining" | "degraded" | "unknown";

/** One endpoint of a service, checked and bounded: {@link readEndpoints} makes them. */
export interface DiscoveredEndpoint {
  /** Of this instance, as long as it is registered; unique in its service. */
  readonly id: string;
  /** IPv4 or IPv6, without brackets. */
  readonly address: string;
  readonly port: number;
  /** Ports by the name that a ServiceEntry gives them, where the source knows several; `port` counts for the others. */
  readonly ports?: ReadonlyMap<string, number>;
  /** 1 to 1,000,000. */
  readonly weight: number;
  readonly health: EndpointHealth;
  readonly locality?: Locality;
  /** `model.tokenmesh.io/...`, `accelerator` and the like. */
  readonly labels: ReadonlyMap<string, string>;
}

/** Where the answers of one watch go. Never called from within `watch` itself, nor after the watch has ended. */
export interface ServiceObserver {
  /**
   * All endpoints of the service at this moment; a service without any is an empty list. A source that cannot tell "none" from "I do not know yet", as a registry just
   * after its start, calls {@link failed} with TM_DISCOVERY_EMPTY instead: an empty list is believed and drains everything.
   */
  endpoints(all: readonly DiscoveredEndpoint[]): void;
  /** The source does not answer, or not sensibly; what it said before stays. It goes on trying by itself, and says {@link endpoints} again as soon as it can, changed or not. */
  failed(error: DiscoveryError): void;
}

export interface DiscoverySource {
  /** `dns`, `consul` and so on, for messages and metrics. */
  readonly kind: string;
  /**
   * Tells `observer` what there is, and again on each change, until the function that is returned is called. Several watches of one service are allowed; each hears its
   * first answer.
   * @param service as the source names services; one that it does not have has no endpoints
   */
  watch(service: string, observer: ServiceObserver): () => void;
  /** Ends all watches, connections and timers. */
  close(): Promise<void>;
}
