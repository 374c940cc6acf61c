/** The annotation of a ServiceEntry that takes its endpoints from a DiscoverySource: `tokenmesh.io/endpoints-from: SOURCE[/SERVICE]`. */
import type { ServiceEntry } from "./model.ts";

export const ENDPOINTS_FROM_ANNOTATION = "tokenmesh.io/endpoints-from";

export interface EndpointsFrom {
  /** Name of a DiscoverySource of the ServiceEntry's namespace. */
  readonly source: string;
  /** As the source names services; the first label of the host by default. */
  readonly service: string;
}

/** What the annotation says; undefined without it. An empty name of a source is one that nobody has. */
export function endpointsFrom({
  metadata,
  hosts,
}: Pick<ServiceEntry, "metadata" | "hosts">): EndpointsFrom | undefined {
  const value = metadata.annotations?.get(ENDPOINTS_FROM_ANNOTATION)?.trim();
  if (value === undefined) return undefined;
  const slash = value.indexOf("/");
  if (slash >= 0) return { source: value.slice(0, slash), service: value.slice(slash + 1) };
  return { source: value, service: hosts[0]?.split(".")[0] ?? "" };
}
