/** The member `promptCache` of llm-gateway, and all of prompt-cache besides the traffic. */
import { fullName } from "../config/gateway-scope.ts";
import type { PromptCache } from "../config/model.ts";
import type { CacheRule, SimilarQuestions, SingleFlight } from "../config/prompt-cache-model.ts";
import { type Json, type JsonObject, keyPartJson, matchJson, priceJson } from "./plugin-configuration.ts";

/** A cache, and the cluster of this server's service for answers, which knows what is to be forgotten, too: undefined when Envoys cannot ask it. */
export interface CacheConfiguration {
  readonly document: PromptCache;
  readonly answersCluster: string | undefined;
}

/** Some rule of it has streams read along at this server, or given again as they came. */
export function readsAlong({ document, answersCluster }: CacheConfiguration): boolean {
  const comesHere = ({ singleFlight, paced }: CacheRule) => singleFlight?.live === true || paced !== undefined;
  return answersCluster !== undefined && document.spec.rules.some(comesHere);
}

export function cacheJson({ document, answersCluster: cluster }: CacheConfiguration): JsonObject {
  const { tenantHeader, rules, maxBytes, maxEntryBytes, maxRecordingBytes, secret, ignore, service } = document.spec;
  return {
    // Two documents can be in one VM, and all are in one service.
    scope: fullName(document.metadata),
    tenantHeader,
    maxBytes,
    maxEntryBytes,
    maxRecordingBytes,
    secret,
    ignore,
    service: service && cluster && { cluster, timeoutMs: service.timeoutMs, ttlMs: service.ttlMs },
    purges: cluster && { cluster },
    rules: rules.map((rule) => ruleJson(rule, cluster !== undefined)),
  };
}

function ruleJson(rule: CacheRule, asks: boolean): Json {
  const { temperature, tools, choices } = rule.cache;
  return {
    name: rule.name,
    match: rule.match && matchJson(rule.match),
    key: rule.key.map(keyPartJson),
    headers: rule.headers,
    missingKey: rule.missingKey,
    ttlMs: rule.ttlMs,
    staleWhileRevalidateMs: rule.staleWhileRevalidateMs,
    staleIfErrorMs: rule.staleIfErrorMs,
    cache: { temperature, tools, choices },
    transcode: rule.transcode,
    singleFlight: rule.singleFlight === undefined ? false : flightJson(rule.singleFlight, asks),
    semantic: asks ? semanticJson(rule.semantic) : undefined,
    paced: asks ? rule.paced && { speed: rule.paced.speed, maxGapMs: rule.paced.maxGapMs } : undefined,
    clientControl: rule.clientControl,
    showKey: rule.showKey,
    hitTokens: rule.hitTokens,
    prices: rule.prices?.map(priceJson),
  };
}

/** Only this server knows what is similar: without it the filter refuses the rule. */
function semanticJson(semantic: SimilarQuestions | undefined): Json | undefined {
  return semantic && (semantic.threshold === undefined || { threshold: semantic.threshold });
}

/** `live` only where it is wanted: filters from before do not know it. */
function flightJson({ waitMs, live }: SingleFlight, asks: boolean): Json {
  return live && asks ? { waitMs, live } : { waitMs };
}
