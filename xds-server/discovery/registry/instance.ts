/** An instance that has registered: from the body of a request, and from and to the text of a record. */
import { isIP } from "node:net";
import type { Locality } from "../../config/model.ts";
import { ServerError } from "../../errors.ts";
import { MAX_LABEL_KEY_BYTES, MAX_LABEL_VALUE_BYTES, MAX_LABELS, MAX_LOCALITY_BYTES, MAX_WEIGHT } from "../limits.ts";
import type { EndpointHealth } from "../source.ts";
import { DEFAULT_TTL_S, MAX_ID_LENGTH, MAX_SERVICE_LENGTH, MAX_TTL_S, MIN_TTL_S } from "./limits.ts";

export interface Instance {
  /** IPv4 or IPv6, without brackets. */
  readonly address: string;
  readonly port: number;
  /** 0 to 1,000,000; 0 drains. */
  readonly weight: number;
  /** Seconds. */
  readonly ttl: number;
  readonly health: EndpointHealth;
  readonly locality: Locality | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

export const HEALTHS: readonly EndpointHealth[] = ["healthy", "unhealthy", "draining", "degraded", "unknown"];
const FIELDS = ["address", "port", "weight", "ttl", "health", "locality", "labels"];
const PLACES = ["region", "zone", "subZone"] as const;

/** Names of services and ids of instances: what is also part of a path and of a key. */
export const isServiceName = (text: string): boolean => isName(text, MAX_SERVICE_LENGTH);
export const isInstanceId = (text: string): boolean => isName(text, MAX_ID_LENGTH);
const isName = (text: string, max: number) => text.length <= max && /^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/.test(text);

/**
 * All faults at once, each with the path of its field.
 * @param body parsed JSON of anybody
 * @throws ServerError TM_REGISTRY_INVALID
 */
export function readInstance(body: unknown): Instance {
  const faults: string[] = [];
  const check = <T>(good: boolean, value: unknown, fault: string): T => {
    if (!good) faults.push(fault);
    return value as T;
  };
  if (!isObject(body)) throw invalid(["the body is no object"]);
  const { address, port, weight = 1, ttl = DEFAULT_TTL_S, health = "healthy", locality, labels = {} } = body;
  for (const field of Object.keys(body)) check(FIELDS.includes(field), field, `${shown(field)} is no field`);
  const isAddress = typeof address === "string" && isIP(address) !== 0 && !address.includes("%");
  const instance: Instance = {
    address: check(isAddress, address, "address is no IP address"),
    port: check(isWhole(port, 1, 65_535), port, "port is not 1 to 65535"),
    weight: check(isWhole(weight, 0, MAX_WEIGHT), weight, `weight is not 0 to ${MAX_WEIGHT}`),
    ttl: check(isWhole(ttl, MIN_TTL_S, MAX_TTL_S), ttl, `ttl is not ${MIN_TTL_S} to ${MAX_TTL_S} seconds`),
    health: check(
      HEALTHS.some((each) => each === health),
      health,
      `health is none of ${HEALTHS.join(", ")}`,
    ),
    locality: locality === undefined ? undefined : readLocality(locality, faults),
    labels: readLabels(labels, faults),
  };
  if (faults.length > 0) throw invalid(faults);
  return instance;
}

/** @throws ServerError TM_REGISTRY_INVALID */
export function readHealth(health: unknown): EndpointHealth {
  const known = HEALTHS.find((each) => each === health);
  if (known === undefined) throw invalid([`health is none of ${HEALTHS.join(", ")}`]);
  return known;
}

/** Equal instances have equal texts. */
export function encodeInstance({ address, port, weight, ttl, health, locality, labels }: Instance): string {
  const sorted = Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
  return JSON.stringify({ address, port, weight, ttl, health, locality, labels: sorted });
}

/** Undefined for what `encodeInstance` did not make. */
export function decodeInstance(text: string): Instance | undefined {
  try {
    return readInstance(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function readLocality(value: unknown, faults: string[]): Locality | undefined {
  const locality = { region: "", zone: "", subZone: "" };
  if (!isObject(value) || Object.keys(value).some((key) => !PLACES.some((place) => place === key))) {
    faults.push("locality has other fields than region, zone and subZone");
    return undefined;
  }
  for (const place of PLACES) {
    const text = value[place] ?? "";
    if (isText(text, MAX_LOCALITY_BYTES)) locality[place] = text;
    else faults.push(`locality.${place} is no text of at most ${MAX_LOCALITY_BYTES} bytes`);
  }
  return locality;
}

function readLabels(value: unknown, faults: string[]): Readonly<Record<string, string>> {
  const entries = isObject(value) ? Object.entries(value) : undefined;
  const good =
    entries !== undefined &&
    entries.length <= MAX_LABELS &&
    entries.every(([k, v]) => k !== "" && isText(k, MAX_LABEL_KEY_BYTES) && isText(v, MAX_LABEL_VALUE_BYTES));
  if (!good)
    faults.push(
      `labels are not at most ${MAX_LABELS} texts of ${MAX_LABEL_VALUE_BYTES} bytes with names of ${MAX_LABEL_KEY_BYTES}`,
    );
  return good ? Object.fromEntries(entries as [string, string][]) : {};
}

const isWhole = (value: unknown, min: number, max: number): boolean =>
  Number.isInteger(value) && Number(value) >= min && Number(value) <= max;

const isText = (value: unknown, bytes: number): value is string =>
  typeof value === "string" && Buffer.byteLength(value) <= bytes && !/\p{Cc}/u.test(value) && value.isWellFormed();

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const shown = (text: string): string => JSON.stringify(text.slice(0, 60));

const invalid = (faults: readonly string[]): ServerError =>
  new ServerError("TM_REGISTRY_INVALID", faults.slice(0, 10).join("; "));
