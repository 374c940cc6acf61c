/**
 * An answer of /v1/health/service/NAME -> instances. Everything in it but the shape of the list may be missing.
 * See https://developer.hashicorp.com/consul/api-docs/health#list-service-instances-for-service
 */
import type { RawEndpoint } from "../endpoint.ts";
import { DiscoveryError } from "../errors.ts";
import { MAX_ENDPOINTS } from "../limits.ts";
import type { EndpointHealth } from "../source.ts";
import { MAX_PAIRS } from "./limits.ts";

type Json = Readonly<Record<string, unknown>>;

/** @throws DiscoveryError TM_DISCOVERY_MALFORMED, _TOO_LARGE */
export function readHealthService(body: unknown): readonly RawEndpoint[] {
  if (!Array.isArray(body)) throw malformed("the answer is not a list of instances");
  if (body.length > MAX_ENDPOINTS)
    throw new DiscoveryError("TM_DISCOVERY_TOO_LARGE", `the service has more than ${MAX_ENDPOINTS} instances`);
  return body.map((entry: unknown) => {
    const { Node: node, Service: service, Checks: checks } = object(entry);
    if (!isObject(node) || !isObject(service)) throw malformed("an instance without Node or Service");
    return instance(node, service, Array.isArray(checks) ? checks : []);
  });
}

function instance(node: Json, service: Json, checks: readonly unknown[]): RawEndpoint {
  const state = stateOf(checks);
  const weights = object(service.Weights);
  const locality = isObject(service.Locality) ? service.Locality : object(node.Locality);
  return {
    // An ID is unique on its agent alone.
    id: `${text(node.Node)}/${text(service.ID) || text(service.Service)}`,
    address: text(service.Address) || text(node.Address),
    port: typeof service.Port === "number" ? service.Port : 0,
    weight: weight(state === "warning" ? weights.Warning : weights.Passing),
    health: HEALTH[state],
    locality: { region: text(locality.Region), zone: text(locality.Zone) },
    metadata: [...nodeMeta(node.Meta), ...tags(service.Tags), ...pairs(service.Meta)],
  };
}

type State = "passing" | "warning" | "critical" | "maintenance" | "unknown";

/**
 * An instance in `warning` gets traffic, with the weight that its registration has for this: so does Consul's own DNS and Service Mesh. Marked as degraded, Envoy would
 * take all traffic off it, and a warning of a few would put their load on the others.
 */
const HEALTH: Readonly<Record<State, EndpointHealth>> = {
  passing: "healthy",
  warning: "healthy",
  critical: "unhealthy",
  maintenance: "draining",
  unknown: "unknown",
};

/** The worst of its checks, those of its node among them; without any it is passing, as Consul has it. */
function stateOf(checks: readonly unknown[]): State {
  let worst: State = "passing";
  for (const check of checks) {
    const { CheckID: id, Status: status } = object(check);
    const state = stateOfCheck(text(id), text(status));
    if (SEVERITY.indexOf(state) > SEVERITY.indexOf(worst)) worst = state;
  }
  return worst;
}

const SEVERITY: readonly State[] = ["passing", "warning", "unknown", "critical", "maintenance"];

function stateOfCheck(id: string, status: string): State {
  // `consul maint` registers these: somebody takes the instance out on purpose.
  if (status === "critical" && (id === "_node_maintenance" || id.startsWith("_service_maintenance:")))
    return "maintenance";
  return status === "passing" || status === "warning" || status === "critical" ? status : "unknown";
}

/** Keys that begin with `consul-` are Consul's own. */
function nodeMeta(meta: unknown): [string, string][] {
  return pairs(meta).filter(([key]) => !key.startsWith("consul-"));
}

/** `key=value` is a pair, and any other tag one with the value "true". */
function tags(list: unknown): [string, string][] {
  if (!Array.isArray(list)) return [];
  return list.slice(0, MAX_PAIRS).flatMap((tag: unknown): [string, string][] => {
    if (typeof tag !== "string" || tag === "") return [];
    const at = tag.indexOf("=");
    return at > 0 ? [[tag.slice(0, at), tag.slice(at + 1)]] : [[tag, "true"]];
  });
}

function pairs(value: unknown): [string, string][] {
  const found: [string, string][] = [];
  for (const [key, each] of Object.entries(object(value)).slice(0, MAX_PAIRS))
    if (typeof each === "string") found.push([key, each]);
  return found;
}

function weight(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 ? value : undefined;
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

function malformed(what: string): DiscoveryError {
  return new DiscoveryError("TM_DISCOVERY_MALFORMED", what);
}
