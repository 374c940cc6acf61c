/** `[NAMESPACE/]NAME[:PORT]`: how a service of Kubernetes is named in a ServiceEntry. */
import { DiscoveryError } from "../errors.ts";

export interface ServiceName {
  readonly namespace: string;
  readonly name: string;
  /** Name or number of a port of the Service. */
  readonly port: string | undefined;
}

const LABEL = "[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?";
const SERVICE = new RegExp(`^(?:(${LABEL})/)?(${LABEL})(?::([a-z0-9][-a-z0-9]{0,62}))?$`);

/**
 * @param namespaces the ones that are read; a bare name is of the first
 * @param defaultPort of names without one
 * @throws DiscoveryError TM_DISCOVERY_FAILED
 */
export function parseServiceName(service: string, namespaces: readonly string[], defaultPort?: string): ServiceName {
  const match = SERVICE.exec(service);
  if (match === null) {
    const shown = JSON.stringify(service.slice(0, 60));
    throw new DiscoveryError("TM_DISCOVERY_FAILED", `${shown} is no service: write [NAMESPACE/]NAME[:PORT]`);
  }
  const [, namespace = namespaces[0] ?? "default", name = "", port = defaultPort] = match;
  if (!namespaces.includes(namespace)) {
    const message = `namespace ${namespace} is none of those that the source reads (${namespaces.join(", ").slice(0, 200)})`;
    throw new DiscoveryError("TM_DISCOVERY_FAILED", message);
  }
  return { namespace, name, port };
}
