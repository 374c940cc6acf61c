/** Names of services become part of a URL; what cannot be one is not asked for. */
import { DiscoveryError } from "../errors.ts";
import { MAX_SERVICE_BYTES } from "../limits.ts";

/** Letters, digits and `.`, `_`, `-`, `:`, `@` after the first, which covers what Consul and Eureka clients register in practice. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._:@-]*$/;

/** Why this cannot be the name of a service; undefined when it can. */
export function faultOfServiceName(service: string): DiscoveryError | undefined {
  if (service.length <= MAX_SERVICE_BYTES && NAME.test(service)) return undefined;
  return new DiscoveryError(
    "TM_DISCOVERY_FAILED",
    `${JSON.stringify(service.slice(0, 60))} is not a name of a service: at most ${MAX_SERVICE_BYTES} letters, digits, dots, dashes`,
  );
}
