/** What a source gets besides its specification, and how it is made. */
import type { DiscoverySourceSpec } from "../config/discovery-model.ts";
import type { Logger } from "../log.ts";
import type { Clock } from "./clock.ts";
import type { DiscoverySource } from "./source.ts";

export interface SourceContext {
  /** `namespace/name` of the DiscoverySource, for messages. */
  readonly name: string;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
  readonly log: Logger;
}

/**
 * Makes a source of one kind; it may begin its work at once.
 * @throws DiscoveryError for what cannot work, such as a token file that is not there; the manager tries again
 */
export type SourceFactory = (spec: DiscoverySourceSpec, context: SourceContext) => DiscoverySource;
