/** What an EndpointPicker must agree about with others: its pools' services are there and have addresses, its targets are the router's, each pool gets requests. */
import type { Diagnostics } from "./diagnostics.ts";
import type { PickerPool } from "./endpoint-picker-model.ts";
import {
  ADAPTER_LABEL,
  isUnixSocket,
  MODEL_LABEL,
  namesOf,
  scaledWeights,
  selectedEndpoints,
} from "./endpoint-selection.ts";
import { appliesTo, fullName } from "./gateway-scope.ts";
import type { ModelParts } from "./kind-registry.ts";
import type { Endpoint, EndpointPicker, LlmRouter, Subset } from "./model.ts";
import { isTargetOf, poolDestination, poolTargets, targetNames } from "./picker-targets.ts";
import { positionOf } from "./reader.ts";
import type { DestinationFault, LinkedService, ServiceLinks } from "./service-links.ts";
import { closest } from "./spelling.ts";

/** What the filter has room for: endpoints of a pool, points of a ring over all of them, names at an endpoint, bytes of one. */
const MAX_ENDPOINTS = 256;
const MAX_RING_POINTS = 1 << 18;
const MAX_NAMES = { [MODEL_LABEL]: 16, [ADAPTER_LABEL]: 64 };
const MAX_NAME_BYTES = 256;

export interface PickerContext {
  readonly parts: ModelParts;
  readonly services: ServiceLinks;
  readonly diagnostics: Diagnostics;
}

/** Where a part of a pool's destination stands. */
export function poolPosition(pool: PickerPool): (part: DestinationFault["part"]) => ReturnType<typeof positionOf> {
  return (part) => (part === "subset" ? positionOf(pool.subset ?? pool, "name") : positionOf(pool, part));
}

/** All that concerns one picker, besides the faults of its destinations. */
export function checkPicker(picker: EndpointPicker, context: PickerContext): void {
  for (const pool of picker.spec.pools) {
    const service = context.services.find(poolDestination(pool), picker.metadata.namespace);
    if (service === undefined) continue;
    checkAddresses(pool, service, context);
    warnOfLoadBalancer(picker, pool, service, context);
  }
  checkTargets(picker, context);
}

function checkAddresses(pool: PickerPool, { host, entry, rule }: LinkedService, { diagnostics }: PickerContext): void {
  const at = positionOf(pool, "host");
  if (entry.resolution !== "STATIC") {
    const needs = addressNeeds(pool);
    const message = `${host} has resolution ${entry.resolution}: its addresses are known to Envoy alone`;
    if (needs !== undefined) {
      const remedy = "Give the ServiceEntry resolution STATIC, or use policy prefix-affinity or consistent-hash.";
      diagnostics.add("TM_CONFIG_CONFLICT", positionOf(pool, needs), `${message}, and ${needs} needs them`, remedy);
    } else diagnostics.warn("TM_CONFIG_NO_ADDRESSES", at, `${message}, which goes by x-llm-prefix`);
    return;
  }
  const named = rule?.subsets.find(({ name }) => name === pool.subset?.name);
  const endpoints = selectedEndpoints(entry, named?.labels ?? pool.subset?.labels);
  const which = pool.subset?.name ?? (pool.subset?.labels === undefined ? "" : "with these labels");
  if (endpoints.length === 0) {
    const what = which === "" ? "no endpoints" : `no endpoints ${named === undefined ? which : `in subset ${which}`}`;
    const remedy = "Add endpoints to the ServiceEntry, or correct the labels.";
    diagnostics.warn("TM_CONFIG_NO_ADDRESSES", at, `${host} has ${what}`, remedy);
  }
  if (endpoints.length > MAX_ENDPOINTS) {
    const message = `${host} has ${endpoints.length} endpoints, a pool at most ${MAX_ENDPOINTS}`;
    diagnostics.add("TM_CONFIG_INVALID_VALUE", at, message, "Divide it into subsets, with a pool for each.");
  }
  const socket = endpoints.find(isUnixSocket);
  if (socket !== undefined) {
    const message = `${host} has endpoint ${socket.address}, which a header cannot name`;
    diagnostics.add("TM_CONFIG_CONFLICT", at, message, "Use an endpoint with an IP address.");
  }
  for (const endpoint of endpoints) checkLabels(endpoint, diagnostics);
  checkRing(pool, endpoints, diagnostics);
}

function checkLabels(endpoint: Endpoint, diagnostics: Diagnostics): void {
  const at = positionOf(endpoint, "labels");
  for (const [label, max] of Object.entries(MAX_NAMES)) {
    const names = namesOf(endpoint, label);
    if (names.length > max) {
      const message = `has ${names.length} labels that begin with ${label}, at most ${max} are allowed`;
      diagnostics.add("TM_CONFIG_INVALID_VALUE", at, message);
    }
    const wrong = names.find((name) => Buffer.byteLength(name) > MAX_NAME_BYTES || /\p{Cc}/u.test(name));
    if (wrong === undefined) continue;
    const message = `label ${label}${JSON.stringify(wrong.slice(0, 80))} is not the name of a model or adapter`;
    const remedy = `Use at most ${MAX_NAME_BYTES} bytes without control characters.`;
    diagnostics.add("TM_CONFIG_INVALID_VALUE", at, message, remedy);
  }
}

function checkRing({ hash }: PickerPool, endpoints: readonly Endpoint[], diagnostics: Diagnostics): void {
  if (hash?.points === undefined) return;
  const weightOf = scaledWeights(endpoints);
  const points = endpoints.reduce((sum, endpoint) => sum + weightOf(endpoint) * (hash.points ?? 0), 0);
  if (points <= MAX_RING_POINTS) return;
  const message = `the ring has ${points} points, at most ${MAX_RING_POINTS} are allowed`;
  const remedy = "Use fewer points, smaller weights of the endpoints, or method rendezvous.";
  diagnostics.add("TM_CONFIG_INVALID_VALUE", positionOf(hash, "points"), message, remedy);
}

/** The first field that has no meaning without addresses. */
function addressNeeds(pool: PickerPool): (keyof PickerPool & string) | undefined {
  const { policy, subset, shed, maxInflight, onNone, loraAffinity } = pool;
  if (policy !== "prefix-affinity" && policy !== "consistent-hash") return "policy";
  if (subset !== undefined && (subset.name === undefined || subset.header !== undefined || subset.metadata))
    return "subset";
  if (shed !== undefined) return "shed";
  if (maxInflight !== undefined) return "maxInflight";
  if (onNone === "refuse") return "onNone";
  return loraAffinity ? "loraAffinity" : undefined;
}

/** Clusters of a pool have the picker as their load balancer. */
function warnOfLoadBalancer(
  { metadata }: EndpointPicker,
  pool: PickerPool,
  { host, rule }: LinkedService,
  { diagnostics }: PickerContext,
): void {
  if (rule === undefined) return;
  const isPicked = ({ name }: Subset) => pool.subset?.name === undefined || pool.subset.name === name;
  for (const { trafficPolicy } of [rule, ...rule.subsets.filter(isPicked)]) {
    const balancer = trafficPolicy?.loadBalancer;
    if (balancer === undefined || balancer.simple === "UNSPECIFIED") continue;
    const message = `EndpointPicker ${fullName(metadata)} picks the endpoints of ${host}, not ${balancer.simple}`;
    diagnostics.warn("TM_CONFIG_OVERRIDDEN", positionOf(balancer, "simple"), message);
  }
}

/** A picker can be at several Gateways, with another router at each: what is wrong at one is wrong. */
function checkTargets(picker: EndpointPicker, context: PickerContext): void {
  const { parts } = context;
  if (parts.damaged.has("LLMRouter") || parts.damaged.has("Gateway")) return;
  const routers = new Set<LlmRouter | undefined>();
  for (const gateway of parts.gateways) {
    if (!appliesTo(picker.metadata, picker.gateways, gateway)) continue;
    const router = parts.llmRouters.find((each) => appliesTo(each.metadata, each.gateways, gateway));
    if (routers.has(router)) continue;
    routers.add(router);
    if (router === undefined) needsRouter(picker, fullName(gateway.metadata), context);
    else for (const pool of picker.spec.pools) checkNames(pool, picker.metadata.namespace, router, context);
    checkReached(picker, router, context);
  }
}

function needsRouter({ spec }: EndpointPicker, gateway: string, { diagnostics }: PickerContext): void {
  for (const pool of spec.pools) {
    if (pool.targets === undefined) continue;
    const message = `Gateway ${gateway} has no LLMRouter, whose targets these would be`;
    diagnostics.add("TM_CONFIG_CONFLICT", positionOf(pool, "targets"), message, "Remove targets, or add an LLMRouter.");
  }
}

function checkNames(pool: PickerPool, namespace: string, router: LlmRouter, context: PickerContext): void {
  const { diagnostics, services, parts } = context;
  const known = targetNames(router);
  const id = fullName(router.metadata);
  const find: ServiceLinks["find"] = (destination, from) => services.find(destination, from);
  const at = positionOf(pool, "targets");
  for (const name of pool.targets ?? []) {
    if (!known.has(name)) {
      const guess = closest(name, [...known]);
      const remedy = guess === undefined ? "Name one of its targets, or a route." : `Did you mean ${guess}?`;
      const message = `LLMRouter ${id} has no target or route ${JSON.stringify(name)}`;
      diagnostics.add("TM_CONFIG_UNKNOWN_REFERENCE", at, message, remedy);
      continue;
    }
    const cluster = router.spec.targets.get(name)?.cluster;
    if (cluster === undefined || parts.damaged.has("ServiceEntry")) continue;
    if (find(poolDestination(pool), namespace) === undefined || isTargetOf(pool, namespace, router, name, find))
      continue;
    const message = `target ${name} of LLMRouter ${id} is ${cluster}, and the pool is ${pool.host}`;
    diagnostics.add("TM_CONFIG_CONFLICT", at, message, "Name targets of the pool's own service.");
  }
}

/** A pool that takes every request leaves none to those behind it. */
function checkReached(picker: EndpointPicker, router: LlmRouter | undefined, context: PickerContext): void {
  const { pools } = picker.spec;
  const { namespace } = picker.metadata;
  const find: ServiceLinks["find"] = (destination, from) => context.services.find(destination, from);
  const all = pools.find(
    (pool) => pool.match === undefined && poolTargets(pool, namespace, router, find) === undefined,
  );
  const behind = all && pools[pools.indexOf(all) + 1];
  if (all === undefined || behind === undefined) return;
  const message = `pool ${behind.name} gets no requests: pool ${all.name} before it takes all`;
  const remedy = `Give ${all.name} targets or a match, or put it last.`;
  context.diagnostics.add("TM_CONFIG_CONFLICT", positionOf(behind, "name"), message, remedy);
}
