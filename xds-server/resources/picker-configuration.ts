/** The member `endpointPicker` of llm-gateway, and all of hash-ring besides the traffic. */
import type { EndpointPickerSpec, PickKeyPart, PrefixAffinity } from "../config/endpoint-picker-model.ts";
import type { Locality } from "../config/model.ts";
import type { PickerEndpoint, ResolvedPool } from "./picker-pools.ts";
import { type Json, type JsonObject, matchJson } from "./plugin-configuration.ts";

/** A picker, its pools with their endpoints, and the cluster of the loads feed: undefined without one. */
export interface PickerConfiguration {
  readonly spec: EndpointPickerSpec;
  readonly pools: readonly ResolvedPool[];
  readonly feedCluster: string | undefined;
}

export function pickerJson({ spec, pools, feedCluster }: PickerConfiguration): JsonObject {
  const { tenantHeader, servedHeader, feed } = spec;
  return {
    tenantHeader,
    servedHeader,
    feed:
      feedCluster === undefined || feed === undefined
        ? undefined
        : { cluster: feedCluster, intervalMs: feed.intervalMs, maxAgeMs: feed.maxAgeMs },
    pools: pools.map(poolJson),
  };
}

function poolJson({ pool, targets, endpoints }: ResolvedPool): Json {
  const { hash, shed, subset } = pool;
  const hints = subset?.header === undefined && subset?.metadata !== true ? undefined : subset;
  return {
    name: pool.name,
    targets,
    match: pool.match && matchJson(pool.match),
    policy: pool.policy,
    key: pool.key?.map(keyPartJson),
    hash: hash && { function: hash.function, method: hash.method, points: hash.points },
    bound: pool.bound,
    leastInflight: pool.leastInflight,
    affinity: pool.affinity && affinityJson(pool.affinity),
    maxInflight: pool.maxInflight,
    slowStartMs: pool.slowStartMs,
    loraAffinity: pool.loraAffinity,
    preferLocality: pool.preferLocality,
    orca: pool.orca,
    onNone: pool.onNone,
    shed: shed && { header: shed.header, values: shed.values, waiting: shed.waiting, kvPercent: shed.kvPercent },
    subset: hints && { header: hints.header, metadata: hints.metadata },
    endpoints: endpoints?.map(endpointJson),
  };
}

function keyPartJson({ header, cookie, path, user, session, prefix }: PickKeyPart): Json {
  return { header, cookie, path, user, session, prefix };
}

function affinityJson({ threshold, slackTokens, queueTokens, requestTokens, prefixTokens }: PrefixAffinity): Json {
  return { threshold, slackTokens, queueTokens, requestTokens, prefixTokens };
}

function endpointJson(endpoint: PickerEndpoint): Json {
  const { address, weight, priority, locality, health, models, adapters, draining } = endpoint;
  return {
    address,
    weight,
    priority: priority > 0 ? priority : undefined,
    health,
    locality: locality && localityText(locality),
    models: models.length > 0 ? models : undefined,
    adapters: adapters.length > 0 ? adapters : undefined,
    draining: draining ? true : undefined,
  };
}

/** `region[/zone[/sub-zone]]` */
function localityText({ region, zone, subZone }: Locality): string {
  return [region, zone, subZone].filter((each) => each !== "").join("/");
}
