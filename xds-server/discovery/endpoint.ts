/** What a source has read of instances -> endpoints: the one door where everything is checked and bounded, for all kinds of sources. */
import { BlockList, isIP } from "node:net";
import type { MetadataMapping } from "../config/discovery-model.ts";
import type { Locality } from "../config/model.ts";
import { DiscoveryError } from "./errors.ts";
import {
  MAX_ENDPOINTS,
  MAX_ID_BYTES,
  MAX_LABEL_KEY_BYTES,
  MAX_LABEL_VALUE_BYTES,
  MAX_LABELS,
  MAX_LOCALITY_BYTES,
  MAX_PORTS,
  MAX_REASONS,
  MAX_WEIGHT,
} from "./limits.ts";
import type { DiscoveredEndpoint, EndpointHealth } from "./source.ts";

/** An instance as a registry has it; nothing is checked. */
export interface RawEndpoint {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly ports?: ReadonlyMap<string, number> | undefined;
  /** As the source itself has it; one in the metadata goes before. 0 is draining: an instance that should get nothing new. */
  readonly weight?: number | undefined;
  readonly health: EndpointHealth;
  /** As the source itself has it; parts of it in the metadata go before. */
  readonly locality?: Partial<Locality> | undefined;
  /** What the mapping of the DiscoverySource reads. */
  readonly metadata?: Iterable<readonly [string, string]> | undefined;
  /** Become labels as they are, before the metadata. */
  readonly labels?: Iterable<readonly [string, string]> | undefined;
}

export interface ReadEndpoints {
  /** Sorted by address and port, each pair once. */
  readonly endpoints: readonly DiscoveredEndpoint[];
  /** Instances that were left out. */
  readonly skipped: number;
  /** Of the first few, for people. */
  readonly reasons: readonly string[];
}

/**
 * The endpoints of a service. Instances without a usable address or port are left out; labels that are too long too. O(n log n).
 * @throws DiscoveryError TM_DISCOVERY_TOO_LARGE for more than MAX_ENDPOINTS; TM_DISCOVERY_MALFORMED when there are instances and none is usable, which is no
 * service without instances
 */
export function readEndpoints(raw: Iterable<RawEndpoint>, mapping: MetadataMapping): ReadEndpoints {
  const found = new Map<string, DiscoveredEndpoint>();
  const reasons: string[] = [];
  let count = 0;
  let skipped = 0;
  for (const each of raw) {
    if (++count > MAX_ENDPOINTS)
      throw new DiscoveryError("TM_DISCOVERY_TOO_LARGE", `the service has more than ${MAX_ENDPOINTS} endpoints`);
    const fault = faultOf(each);
    if (fault !== undefined) {
      skipped++;
      if (reasons.length < MAX_REASONS) reasons.push(fault);
      continue;
    }
    const endpoint = endpointOf(each, mapping);
    const key = `${endpoint.address} ${endpoint.port}`;
    const other = found.get(key);
    // Envoy knows an endpoint by its address alone. Of two registrations the better one counts: the other is what a crash has left behind.
    if (other === undefined || better(endpoint, other)) found.set(key, endpoint);
  }
  if (count > 0 && found.size === 0)
    throw new DiscoveryError("TM_DISCOVERY_MALFORMED", `none of ${count} instances is usable: ${reasons.join(", ")}`);
  return { endpoints: [...found.values()].sort(byAddress), skipped, reasons };
}

/** Addresses of no host: what programs register that do not know theirs (Envoy would connect to itself), multicast, reserved. */
const NO_HOST = new BlockList();
NO_HOST.addSubnet("0.0.0.0", 8);
NO_HOST.addSubnet("224.0.0.0", 3);
NO_HOST.addAddress("::", "ipv6");
NO_HOST.addSubnet("ff00::", 8, "ipv6");

function faultOf({ id, address, port }: RawEndpoint): string | undefined {
  const family = isIP(address);
  if (family === 0 || address.includes("%")) return `address ${shown(address)} is not an IP address`;
  if (NO_HOST.check(address, family === 6 ? "ipv6" : "ipv4")) return `address ${shown(address)} is not that of a host`;
  if (!isPort(port)) return `port ${shown(String(port))} is not one`;
  return id === "" || Buffer.byteLength(id) > MAX_ID_BYTES ? `an id of ${Buffer.byteLength(id)} bytes` : undefined;
}

function endpointOf(raw: RawEndpoint, mapping: MetadataMapping): DiscoveredEndpoint {
  const metadata = new Map(raw.metadata ?? []);
  const value = (key: string | undefined) => (key === undefined ? undefined : metadata.get(key));
  const weight = wholeNumber(value(mapping.weight)) ?? raw.weight ?? 1;
  const none = !(weight > 0);
  const locality = localityOf(
    value(mapping.region) ?? raw.locality?.region,
    value(mapping.zone) ?? raw.locality?.zone,
    value(mapping.subZone) ?? raw.locality?.subZone,
  );
  const ports = [...(raw.ports ?? [])].filter(([, port]) => isPort(port)).slice(0, MAX_PORTS);
  return {
    id: raw.id,
    address: raw.address.toLowerCase(),
    port: raw.port,
    ...(ports.length > 0 && { ports: new Map(ports) }),
    weight: none ? 1 : Math.min(MAX_WEIGHT, Math.max(1, Math.round(weight))),
    health: none && raw.health !== "unhealthy" ? "draining" : raw.health,
    ...(locality && { locality }),
    labels: labelsOf(raw.labels ?? [], metadata, mapping),
  };
}

function localityOf(region = "", zone = "", subZone = ""): Locality | undefined {
  const [r, z, s] = [region, zone, subZone].map((part) => (fits(part, MAX_LOCALITY_BYTES) ? part : ""));
  return r || z || s ? { region: r ?? "", zone: z ?? "", subZone: s ?? "" } : undefined;
}

function labelsOf(
  own: Iterable<readonly [string, string]>,
  metadata: ReadonlyMap<string, string>,
  mapping: MetadataMapping,
): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  const add = (name: string, value: string | undefined) => {
    if (value === undefined || name === "" || labels.has(name) || labels.size >= MAX_LABELS) return;
    if (fits(name, MAX_LABEL_KEY_BYTES) && fits(value, MAX_LABEL_VALUE_BYTES)) labels.set(name, value);
  };
  // What somebody asked for by name must not fall to the bound on the number.
  for (const [label, key] of mapping.labels ?? []) add(label, metadata.get(key));
  for (const [name, value] of own) add(name, value);
  const said = new Set([mapping.region, mapping.zone, mapping.subZone, mapping.weight]);
  if (mapping.labels === undefined) for (const [key, value] of metadata) if (!said.has(key)) add(key, value);
  return new Map([...labels].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const RANK: Readonly<Record<EndpointHealth, number>> = {
  healthy: 0,
  unknown: 1,
  degraded: 2,
  draining: 3,
  unhealthy: 4,
};

function better(a: DiscoveredEndpoint, b: DiscoveredEndpoint): boolean {
  return RANK[a.health] - RANK[b.health] < 0 || (a.health === b.health && a.id < b.id);
}

/** The order of all lists of endpoints. */
export function byAddress(a: DiscoveredEndpoint, b: DiscoveredEndpoint): number {
  return a.address < b.address ? -1 : a.address > b.address ? 1 : a.port - b.port;
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** At most so many bytes, and nothing that would break a line of a log or a header. */
function fits(text: string, bytes: number): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return Buffer.byteLength(text) <= bytes && !/[\u0000-\u001f\u007f]/.test(text);
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 60));
}

/** Every key becomes the label of its name, and nothing else. */
export const NO_MAPPING: MetadataMapping = {
  region: undefined,
  zone: undefined,
  subZone: undefined,
  weight: undefined,
  labels: undefined,
};

/** Whether two answers say the same; both as {@link readEndpoints} makes them. O(n). */
export function sameEndpoints(a: readonly DiscoveredEndpoint[], b: readonly DiscoveredEndpoint[]): boolean {
  return a.length === b.length && a.every((each, index) => sameEndpoint(each, b[index] as DiscoveredEndpoint));
}

export function sameEndpoint(a: DiscoveredEndpoint, b: DiscoveredEndpoint): boolean {
  if (a.id !== b.id || a.address !== b.address || a.port !== b.port) return false;
  if (a.weight !== b.weight || a.health !== b.health || !sameMap(a.labels, b.labels)) return false;
  const [x, y] = [a.locality, b.locality];
  const sameLocality = x === y || (x?.region === y?.region && x?.zone === y?.zone && x?.subZone === y?.subZone);
  return sameLocality && sameMap(a.ports ?? new Map(), b.ports ?? new Map());
}

function sameMap<V>(a: ReadonlyMap<string, V>, b: ReadonlyMap<string, V>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}
