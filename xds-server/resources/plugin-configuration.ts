/**
 * The JSON that the filters read: the spec with its defaults written out, so that the filter and this server cannot disagree about
 * them, and with the names of clusters in place of services. Fields come in a fixed order, whatever order the file has: the same configuration
 * is the same bytes.
 */
import { llmClusterName } from "../config/llm-cluster-name.ts";
import type {
  LlmCredential,
  LlmDefault,
  LlmMatch,
  LlmMetrics,
  LlmRouterSpec,
  LlmRule,
  LlmTarget,
} from "../config/llm-model.ts";
import type { LlmRouter } from "../config/model.ts";
import type {
  AmountFrom,
  KeyPart,
  LlmTraffic,
  MetadataPath,
  ModelPrice,
  RateLimit,
  RateLimitRule,
  RateLimitService,
  TokenRateLimitSpec,
  TokenRates,
} from "../config/rate-limit-model.ts";

/** A value of JSON; what is undefined is left out. */
export type Json = string | number | boolean | undefined | readonly Json[] | { readonly [key: string]: Json };

export type JsonObject = { readonly [key: string]: Json };

/** For llm-router. */
export function pluginConfiguration(router: LlmRouter): string {
  const { paths, maxBodyBytes, tokensPerByte, duplicateModel, responseHeaders, accessLog, metrics } = router.spec;
  const json: Json = {
    paths,
    maxBodyBytes,
    ...routerHeaders(router.spec),
    tokensPerByte,
    duplicateModel,
    responseHeaders,
    accessLog,
    metrics: metricsJson(metrics),
    ...decisions(router),
  };
  return JSON.stringify(json);
}

/** A limiter, and the cluster of its Rate Limit Service: undefined without one. */
export interface LimitConfiguration {
  readonly spec: TokenRateLimitSpec;
  readonly serviceCluster: string | undefined;
}

/** What stands in llm-gateway, a member for each; undefined for a stage that does not run. */
export interface GatewayStages {
  readonly router: LlmRouter | undefined;
  readonly promptCache: JsonObject | undefined;
  readonly rateLimit: JsonObject | undefined;
  readonly endpointPicker: JsonObject | undefined;
}

/** For llm-gateway. The traffic is that of one of them: the others say the same, or nothing (config/traffic-conflicts.ts). */
export function gatewayConfiguration(traffic: LlmTraffic, stages: GatewayStages): string {
  const { router, ...others } = stages;
  return JSON.stringify({ ...trafficJson(traffic), router: router && routerJson(router), ...others });
}

function routerJson(router: LlmRouter): JsonObject {
  const { responseHeaders } = router.spec;
  return { ...routerHeaders(router.spec), responseHeaders, ...decisions(router) };
}

/** For a module with one stage: its members stand beside the traffic. */
export function stageConfiguration(traffic: LlmTraffic, stage: JsonObject): string {
  return JSON.stringify({ ...trafficJson(traffic), ...stage });
}

function routerHeaders({ routeHeader, clusterHeader, tenantHeader }: LlmRouterSpec): JsonObject {
  return { routeHeader, clusterHeader, tenantHeader };
}

function decisions(router: LlmRouter): JsonObject {
  const { spec } = router;
  const targets = [...spec.targets].map(([name, target]) => [name, targetJson(router, name, target)] as const);
  return {
    targets: targets.length > 0 ? Object.fromEntries(targets) : undefined,
    rules: spec.rules.length > 0 ? spec.rules.map(ruleJson) : undefined,
    models:
      spec.models.length > 0
        ? spec.models.map(({ model, route, upstreamModel }) => ({ model, route, upstreamModel }))
        : undefined,
    onMissingModel: decisionJson(spec.onMissingModel),
    onUnknownModel: decisionJson(spec.onUnknownModel),
    onMalformedBody: decisionJson(spec.onMalformedBody),
    onBodyTooLarge: decisionJson(spec.onBodyTooLarge),
    onBodyUnreadable: decisionJson(spec.onBodyUnreadable),
  };
}

/** What belongs to no stage: filters/pipeline/traffic-config.ts. */
function trafficJson({
  paths,
  maxBodyBytes,
  tokensPerByte,
  duplicateModel,
  accessLog,
  metrics,
}: LlmTraffic): JsonObject {
  return { paths, maxBodyBytes, tokensPerByte, duplicateModel, accessLog, metrics: metricsJson(metrics) };
}

function metricsJson({ enabled, models }: LlmMetrics): Json {
  return { enabled, models };
}

function targetJson(router: LlmRouter, name: string, target: LlmTarget): Json {
  const { route, cluster, upstreamModel, host, pathPrefix, credential } = target;
  return {
    route,
    cluster: cluster === undefined ? undefined : llmClusterName(router, name),
    upstreamModel,
    host,
    pathPrefix: pathPrefix && { from: pathPrefix.from, to: pathPrefix.to },
    credential: credential && credentialJson(credential),
  };
}

function credentialJson({ header, prefix, env, value }: LlmCredential): Json {
  return { header, prefix, env, value };
}

function ruleJson({ name, match, targets, stickyBy, fallback }: LlmRule): Json {
  return {
    name,
    match: match && matchJson(match),
    targets: targets.map(({ target, weight }) => ({ target, weight })),
    stickyBy,
    fallback: fallback && {
      targets: fallback.targets,
      statuses: fallback.statuses,
      firstByteTimeout: fallback.firstByteTimeout === undefined ? undefined : `${fallback.firstByteTimeout}ms`,
    },
  };
}

export function matchJson(match: LlmMatch): Json {
  const { promptTokens, headers } = match;
  return {
    models: match.models,
    provider: match.provider,
    apis: match.apis,
    paths: match.paths,
    headers: headers?.map(({ name, exact, prefix, present }) => ({ name, exact, prefix, present })),
    tenants: match.tenants,
    promptTokens: promptTokens && { atLeast: promptTokens.atLeast, below: promptTokens.below },
    stream: match.stream,
    tools: match.tools,
    images: match.images,
    session: match.session,
    lastUserMessage: match.lastUserMessage,
  };
}

function decisionJson(decision: LlmDefault): Json {
  if (decision === "reject") return decision;
  return { route: decision.route, upstreamModel: decision.upstreamModel, target: decision.target };
}

/** The member `rateLimit` of llm-gateway. */
export function rateLimits({ spec, serviceCluster }: LimitConfiguration): JsonObject {
  const { tenantHeader, rules, maxKeys, includeUsage, service } = spec;
  return {
    tenantHeader,
    rules: rules.map(rateLimitRuleJson),
    maxKeys,
    includeUsage,
    service: service && serviceJson(service, serviceCluster),
  };
}

function serviceJson(service: RateLimitService, cluster: string | undefined): Json {
  const { domain, protocol, timeoutMs, override, refunds } = service;
  return { cluster, domain, protocol, timeoutMs, override, refunds };
}

function rateLimitRuleJson(rule: RateLimitRule): Json {
  const { name, match, key, missingKey, limits, weights, prices, shadow } = rule;
  const { mode, onFailure, leasePercent, queueMs, overrun } = rule;
  return {
    name,
    match: match && matchJson(match),
    key: key.map(keyPartJson),
    missingKey,
    limits: limits.map(limitJson),
    weights: weights && ratesJson(weights),
    prices: prices?.map(priceJson),
    shadow,
    mode,
    onFailure,
    leasePercent,
    queueMs,
    overrun,
  };
}

export function keyPartJson(part: KeyPart): Json {
  const { header, apiKey, claim, payloadKey, metadata, clientAddress, model, tenant, session, constant } = part;
  const path = metadata && metadataJson(metadata);
  return { header, apiKey, claim, payloadKey, metadata: path, clientAddress, model, tenant, session, constant };
}

function limitJson({ unit, amount, amountFrom, per, rolling, timeZone }: RateLimit): Json {
  return { unit, amount, amountFrom: amountFrom && amountFromJson(amountFrom), per, rolling, timeZone };
}

function amountFromJson({ header, metadata }: AmountFrom): Json {
  return { header, metadata: metadata && metadataJson(metadata) };
}

function metadataJson({ namespace, path }: MetadataPath): Json {
  return { namespace, path };
}

export function priceJson(price: ModelPrice): Json {
  return { model: price.model, ...ratesJson(price) };
}

function ratesJson({ input, cachedInput, cacheWrite, output, reasoning }: TokenRates): JsonObject {
  return { input, cachedInput, cacheWrite, output, reasoning };
}
