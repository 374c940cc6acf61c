/**
 * The JSON that the llm-router filter reads: the spec with its defaults written out, so that the filter and this server cannot disagree about
 * them, and with the names of clusters in place of services. Fields come in a fixed order, whatever order the file has: the same configuration
 * is the same bytes.
 */
import { llmClusterName } from "../config/llm-cluster-name.ts";
import type { LlmCredential, LlmDefault, LlmMatch, LlmRule, LlmTarget } from "../config/llm-model.ts";
import type { LlmRouter } from "../config/model.ts";

/** A value of JSON; what is undefined is left out. */
type Json = string | number | boolean | undefined | readonly Json[] | { readonly [key: string]: Json };

export function pluginConfiguration(router: LlmRouter): string {
  const { spec } = router;
  const targets = [...spec.targets].map(([name, target]) => [name, targetJson(router, name, target)] as const);
  const json: Json = {
    paths: spec.paths,
    maxBodyBytes: spec.maxBodyBytes,
    routeHeader: spec.routeHeader,
    clusterHeader: spec.clusterHeader,
    tenantHeader: spec.tenantHeader,
    tokensPerByte: spec.tokensPerByte,
    duplicateModel: spec.duplicateModel,
    responseHeaders: spec.responseHeaders,
    accessLog: spec.accessLog,
    metrics: { enabled: spec.metrics.enabled, models: spec.metrics.models },
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
  return JSON.stringify(json);
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

function matchJson(match: LlmMatch): Json {
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
