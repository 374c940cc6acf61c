/** Which endpoints of a service are meant, and what their labels say to an EndpointPicker. */
import type { Endpoint, ServiceEntry, ServicePort } from "./model.ts";

/** Endpoints that have all of the labels; without labels all, in the order of the file. */
export function selectedEndpoints(
  { endpoints }: ServiceEntry,
  labels: ReadonlyMap<string, string> | undefined,
): readonly Endpoint[] {
  if (labels === undefined) return endpoints;
  return endpoints.filter((each) => [...labels].every(([key, value]) => each.labels.get(key) === value));
}

export function endpointPort({ ports }: Endpoint, port: ServicePort): number {
  return ports.get(port.name) ?? port.targetPort ?? port.number;
}

/** As {@link endpointPort}; 0 for a socket, which has none. What endpoints are shown by, and weights are for. */
export function addressedPort(endpoint: Endpoint, port: ServicePort): number {
  return isUnixSocket(endpoint) ? 0 : endpointPort(endpoint, port);
}

/** `unix:///path`, which no header can name. */
export function isUnixSocket({ address }: Endpoint): boolean {
  return address.startsWith("unix://");
}

/** Before the names of models that an endpoint serves, in keys of its labels, whatever the values; without such it serves all. */
export const MODEL_LABEL = "model.tokenmesh.io/";
/** Likewise of the LoRA adapters that it has. */
export const ADAPTER_LABEL = "adapter.tokenmesh.io/";

/** In byte order. */
export function namesOf({ labels }: Endpoint, prefix: string): readonly string[] {
  return [...labels.keys()]
    .filter((key) => key.startsWith(prefix) && key.length > prefix.length)
    .map((key) => key.slice(prefix.length))
    .sort();
}

/** The filter counts no further. */
const MAX_WEIGHT = 1_000;

/** The smallest whole weights of the same proportions; where they are over 1,000, the nearest. */
export function scaledWeights(endpoints: readonly Endpoint[]): (endpoint: Endpoint) => number {
  const weights = endpoints.map(({ weight }) => weight);
  const divisor = weights.reduce(greatestDivisor, 0) || 1;
  const scale = Math.min(1, (MAX_WEIGHT * divisor) / Math.max(1, ...weights)) / divisor;
  return ({ weight }) => Math.max(1, Math.round(weight * scale));
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

/** Its endpoints get only what those of lower numbers cannot take: `tokenmesh.io/priority: "1"`. */
export const PRIORITY_LABEL = "tokenmesh.io/priority";

/** 0 for a label that is none: a discovery source may say anything. */
export function priorityOf({ labels }: Endpoint): number {
  const label = labels.get(PRIORITY_LABEL);
  return label !== undefined && isPriority(label) ? Number(label) : 0;
}

/** A whole number from 0 to 127. */
export function isPriority(label: string): boolean {
  return /^(0|[1-9]\d{0,2})$/.test(label) && Number(label) <= 127;
}

/** The priorities of the endpoints as 0, 1, 2, ...: Envoy wants none left out. */
export function rankedPriorities(endpoints: readonly Endpoint[]): (endpoint: Endpoint) => number {
  const all = [...new Set(endpoints.map(priorityOf))].sort((a, b) => a - b);
  return all.length < 2 ? () => 0 : (endpoint) => Math.max(0, all.indexOf(priorityOf(endpoint)));
}

/** It finishes what it has and gets no more. */
export function isDraining({ labels, health }: Endpoint): boolean {
  return health === "draining" || labels.get("tokenmesh.io/draining") === "true";
}
