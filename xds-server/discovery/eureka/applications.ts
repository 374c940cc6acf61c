/**
 * An answer of /apps or /apps/delta -> instances. Everything but the outermost object may be missing, and what is a list may also be its only element.
 * See https://github.com/Netflix/eureka/wiki/Eureka-REST-operations
 */
import type { RawEndpoint } from "../endpoint.ts";
import { DiscoveryError } from "../errors.ts";
import type { EndpointHealth } from "../source.ts";
import { MAX_INSTANCES, MAX_PAIRS } from "./limits.ts";

export type InstanceStatus = "UP" | "DOWN" | "STARTING" | "OUT_OF_SERVICE" | "UNKNOWN";

export interface EurekaInstance {
  /** In capitals, as servers keep it. */
  readonly application: string;
  readonly status: InstanceStatus;
  /** What a delta says of it. */
  readonly deleted: boolean;
  readonly endpoint: RawEndpoint;
}

export interface Applications {
  /** Of the whole registry, in a delta too; undefined when the server does not say it. */
  readonly hash: string | undefined;
  /** Of a delta: another one after each change. It says nothing in a full answer. */
  readonly version: string | undefined;
  readonly instances: readonly EurekaInstance[];
}

type Json = Readonly<Record<string, unknown>>;

/** @throws DiscoveryError TM_DISCOVERY_MALFORMED, _TOO_LARGE */
export function readApplications(body: unknown): Applications {
  const { applications } = object(body);
  if (!isObject(applications))
    throw new DiscoveryError("TM_DISCOVERY_MALFORMED", "the answer has no applications; is this Eureka's REST API?");
  const instances: EurekaInstance[] = [];
  for (const application of list(applications.application)) {
    const { name, instance } = object(application);
    for (const each of list(instance)) {
      if (instances.length >= MAX_INSTANCES)
        throw new DiscoveryError("TM_DISCOVERY_TOO_LARGE", `Eureka has more than ${MAX_INSTANCES} instances`);
      instances.push(instanceOf(text(name), object(each)));
    }
  }
  const { apps__hashcode: hash, versions__delta: version } = applications;
  return {
    hash: typeof hash === "string" ? hash : undefined,
    version: scalar(version)?.slice(0, 32),
    instances,
  };
}

function instanceOf(application: string, json: Json): EurekaInstance {
  const dataCenter = object(object(json.dataCenterInfo).metadata);
  const metadata = pairs(json.metadata);
  const status = STATUSES.find((each) => each === json.status) ?? "UNKNOWN";
  return {
    application: (application || text(json.app)).toUpperCase(),
    status,
    deleted: json.actionType === "DELETED",
    endpoint: {
      // Servers of before instanceId know an instance by its host.
      id: text(json.instanceId) || text(dataCenter["instance-id"]) || text(json.hostName),
      address: text(json.ipAddr) || text(dataCenter["local-ipv4"]) || text(json.hostName),
      port: enabledPort(json.port) ?? enabledPort(json.securePort) ?? 0,
      health: HEALTH[status],
      locality: { zone: metadata.find(([key]) => key === "zone")?.[1] ?? text(dataCenter["availability-zone"]) },
      metadata,
    },
  };
}

const STATUSES = ["UP", "DOWN", "STARTING", "OUT_OF_SERVICE", "UNKNOWN"] as const satisfies readonly InstanceStatus[];

/** OUT_OF_SERVICE is what operators set to take an instance out: it gets nothing new, and finishes what it has. */
const HEALTH: Readonly<Record<InstanceStatus, EndpointHealth>> = {
  UP: "healthy",
  DOWN: "unhealthy",
  STARTING: "unhealthy",
  OUT_OF_SERVICE: "draining",
  UNKNOWN: "unknown",
};

/** `{"$": 8080, "@enabled": "true"}`, or the number alone. */
function enabledPort(value: unknown): number | undefined {
  if (!isObject(value)) return value === undefined ? undefined : Number(scalar(value) ?? Number.NaN);
  return scalar(value["@enabled"]) === "true" ? Number(scalar(value.$) ?? Number.NaN) : undefined;
}

/** Not of an object: one that has a member `toString` cannot be converted. */
function scalar(value: unknown): string | undefined {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : undefined;
}

/** Without `@class`, with which Java says of what kind the map is. */
function pairs(value: unknown): [string, string][] {
  const found: [string, string][] = [];
  for (const [key, each] of Object.entries(object(value)).slice(0, MAX_PAIRS))
    if (typeof each === "string" && !key.startsWith("@")) found.push([key, each]);
  return found;
}

function list(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return value === undefined || value === null ? [] : [value];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function object(value: unknown): Json {
  return isObject(value) ? value : {};
}
