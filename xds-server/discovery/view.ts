/** What people see of service discovery, as plain JSON: the admin API and the command line show it. */

import type { ServiceCondition } from "./service-state.ts";
import type { DiscoveredEndpoint } from "./source.ts";

export interface EndpointView {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly health: string;
  readonly locality?: { readonly region: string; readonly zone: string; readonly subZone: string };
  readonly labels: Readonly<Record<string, string>>;
}

export interface ServiceView {
  readonly service: string;
  /** `namespace/name` of the ServiceEntries that take their endpoints from it. */
  readonly entries: readonly string[];
  readonly condition: ServiceCondition;
  /** For how long nobody has confirmed the endpoints, seconds. */
  readonly ageSeconds: number;
  readonly error?: { readonly code: string; readonly message: string };
  readonly endpoints: readonly EndpointView[];
}

export interface SourceView {
  /** `namespace/name` of the DiscoverySource. */
  readonly name: string;
  readonly kind: string;
  readonly services: readonly ServiceView[];
}

export function endpointView({ labels, ports: _, ...rest }: DiscoveredEndpoint): EndpointView {
  return { ...rest, labels: Object.fromEntries(labels) };
}
