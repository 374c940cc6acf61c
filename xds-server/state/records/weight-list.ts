/** Weights as one text: which endpoint of which cluster has which. Pure. */
import { isIP } from "node:net";
import { ServerError } from "../../errors.ts";
import { MAX_NAME_LENGTH, MAX_VALUE_BYTES, MAX_WEIGHT, MAX_WEIGHT_CHANGES, MAX_WEIGHTS } from "./limits.ts";

export interface EndpointWeight {
  /** Name of the Envoy cluster. */
  readonly cluster: string;
  /** As the configuration or the discovery has it. */
  readonly address: string;
  /** 0 for a Unix socket. */
  readonly port: number;
  /** 0 to MAX_WEIGHT; 0: it drains. */
  readonly weight: number;
}

export interface WeightChange extends Omit<EndpointWeight, "weight"> {
  /** null: the endpoint gets the weight of its configuration again. */
  readonly weight: number | null;
}

/** Weight by endpoint (`address:port`), by cluster. */
export type WeightsByCluster = ReadonlyMap<string, ReadonlyMap<string, number>>;

export const endpointName = (address: string, port: number): string =>
  // Asked for thousands of endpoints, most of them IPv4.
  address.includes(":") && isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;

/** @throws ServerError TM_WEIGHT_INVALID, naming the change */
export function checkChanges(changes: readonly WeightChange[]): void {
  if (changes.length === 0) throw invalid("there is no change");
  if (changes.length > MAX_WEIGHT_CHANGES)
    throw invalid(`${changes.length} changes are more than ${MAX_WEIGHT_CHANGES}`);
  const seen = new Set<string>();
  for (const [index, { cluster, address, port, weight }] of changes.entries()) {
    const fail = (what: string) => invalid(`changes[${index}]: ${what}`);
    if (!isName(cluster)) throw fail("cluster is no name");
    if (!isAddress(address)) throw fail("address is no address");
    if (!Number.isInteger(port) || port < 0 || port > 65_535) throw fail("port is not 0 to 65535");
    if (weight !== null && (!Number.isInteger(weight) || weight < 0 || weight > MAX_WEIGHT))
      throw fail(`weight is not a whole number from 0 to ${MAX_WEIGHT}`);
    const name = JSON.stringify([cluster, endpointName(address, port)]);
    if (seen.has(name)) throw fail(`${endpointName(address, port)} of ${cluster} stands twice`);
    seen.add(name);
  }
}

/** @throws ServerError TM_WEIGHT_INVALID for more weights than one record takes */
export function withChanges(weights: WeightsByCluster, changes: readonly WeightChange[]): WeightsByCluster {
  const next = new Map(weights);
  // Each is copied once, however many changes are about it.
  const copies = new Map<string, Map<string, number>>();
  for (const { cluster, address, port, weight } of changes) {
    const endpoints = copies.get(cluster) ?? new Map(next.get(cluster));
    copies.set(cluster, endpoints);
    if (weight === null) endpoints.delete(endpointName(address, port));
    else endpoints.set(endpointName(address, port), weight);
    if (endpoints.size === 0) next.delete(cluster);
    else next.set(cluster, endpoints);
  }
  let count = 0;
  for (const endpoints of next.values()) count += endpoints.size;
  if (count > MAX_WEIGHTS) throw invalid(`${count} weights are more than ${MAX_WEIGHTS}`);
  return next;
}

/** @throws ServerError TM_WEIGHT_INVALID for more than one record takes */
export function encodeWeights(weights: WeightsByCluster): string {
  const clusters = [...weights].map(([cluster, endpoints]) => `${JSON.stringify(cluster)}:${clusterText(endpoints)}`);
  const text = `{${clusters.join()}}`;
  if (Buffer.byteLength(text) > MAX_VALUE_BYTES) throw invalid("the weights of all clusters are too many");
  return text;
}

const clusterTexts = new WeakMap<ReadonlyMap<string, number>, string>();

/** A change is about a few of what may be thousands. */
function clusterText(endpoints: ReadonlyMap<string, number>): string {
  const text = clusterTexts.get(endpoints) ?? JSON.stringify(Object.fromEntries(endpoints));
  clusterTexts.set(endpoints, text);
  return text;
}

/** Undefined for what `encodeWeights` did not make. */
export function decodeWeights(text: string): WeightsByCluster | undefined {
  const parsed = parseJson(text);
  if (!isObject(parsed)) return undefined;
  const weights = new Map<string, ReadonlyMap<string, number>>();
  for (const [cluster, endpoints] of Object.entries(parsed)) {
    if (!isObject(endpoints)) return undefined;
    const entries = Object.entries(endpoints);
    if (!entries.every(([, weight]) => Number.isInteger(weight) && Number(weight) >= 0)) return undefined;
    weights.set(cluster, new Map(entries as [string, number][]));
  }
  return weights;
}

/** In no order. */
export function listWeights(weights: WeightsByCluster): readonly EndpointWeight[] {
  return [...weights].flatMap(([cluster, endpoints]) =>
    [...endpoints].map(([name, weight]) => {
      const port = Number(name.slice(name.lastIndexOf(":") + 1));
      return { cluster, address: addressOf(name), port, weight };
    }),
  );
}

/** Of an `endpointName`. */
function addressOf(name: string): string {
  return name.slice(0, name.lastIndexOf(":")).replace(/^\[(.*)\]$/, "$1");
}

const addresses = new WeakMap<ReadonlyMap<string, number>, ReadonlySet<string>>();

/** The addresses with a weight of their own, so that a name is put together for those only. */
export function addressesOf(endpoints: ReadonlyMap<string, number>): ReadonlySet<string> {
  const set = addresses.get(endpoints) ?? new Set([...endpoints.keys()].map(addressOf));
  addresses.set(endpoints, set);
  return set;
}

/** Clusters whose endpoints have other weights. */
export function changedClusters(before: WeightsByCluster, after: WeightsByCluster): ReadonlySet<string> {
  const changed = new Set<string>();
  for (const cluster of before.keys()) if (!after.has(cluster)) changed.add(cluster);
  for (const [cluster, endpoints] of after) if (!same(before.get(cluster), endpoints)) changed.add(cluster);
  return changed;
}

function same(one: ReadonlyMap<string, number> | undefined, other: ReadonlyMap<string, number> | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined || one.size !== other.size) return false;
  for (const [name, weight] of one) if (other.get(name) !== weight) return false;
  return true;
}

/** A path may have spaces. */
const isAddress = (text: unknown): boolean =>
  isName(typeof text === "string" && text.startsWith("unix://") ? text.replaceAll(" ", "_") : text);

const isName = (text: unknown): boolean =>
  typeof text === "string" &&
  text.length > 0 &&
  text.length <= MAX_NAME_LENGTH &&
  !/[\s\p{Cc}]/u.test(text) &&
  text.isWellFormed();

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const invalid = (message: string): ServerError => new ServerError("TM_WEIGHT_INVALID", message);
