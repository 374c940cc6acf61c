/** Which LLM filters a configuration needs: what applies to a Gateway is one filter of it, so that a request is read once. */
import { appliesTo } from "../config/gateway-scope.ts";
import type { EndpointPicker, Gateway, LlmRouter, Model, TokenRateLimit } from "../config/model.ts";
import type { LlmTraffic } from "../config/rate-limit-model.ts";

/** A module of `filters/`; its root id is the same. */
export type FilterCode = "llm-router" | "token-rate-limit" | "hash-ring" | "llm-gateway";

export const FILTER_CODES: readonly FilterCode[] = ["llm-router", "token-rate-limit", "hash-ring", "llm-gateway"];

/** The documents of one Gateway; at least one is there. */
export interface LlmFilter {
  readonly router: LlmRouter | undefined;
  readonly limit: TokenRateLimit | undefined;
  readonly picker: EndpointPicker | undefined;
  /** What is read of requests: the router says it, without one the limiter, and the picker when it is alone (config/traffic-conflicts.ts). */
  readonly traffic: LlmTraffic;
}

/** All are stages of the gateway module. Alone each has a module of its own, which is smaller. */
export function codeOf({ router, limit, picker }: LlmFilter): FilterCode {
  if ([router, limit, picker].filter((each) => each !== undefined).length > 1) return "llm-gateway";
  if (router !== undefined) return "llm-router";
  return limit !== undefined ? "token-rate-limit" : "hash-ring";
}

/** The filter of a Gateway; undefined when no document applies to it. Parsing has made sure that there is at most one of each kind. */
export function filterOf(
  gateway: Gateway,
  { llmRouters, tokenRateLimits, endpointPickers }: Model,
): LlmFilter | undefined {
  const applies = ({ metadata, gateways }: LlmRouter | TokenRateLimit | EndpointPicker) =>
    appliesTo(metadata, gateways, gateway);
  return combined(llmRouters.find(applies), tokenRateLimits.find(applies), endpointPickers.find(applies));
}

/** Every filter that some Gateway has, once, and one for each document that no Gateway has yet: its faults show before it is needed. */
export function llmFilters(model: Model): readonly LlmFilter[] {
  const filters: LlmFilter[] = [];
  const add = (filter: LlmFilter | undefined): void => {
    const known = ({ router, limit, picker }: LlmFilter) =>
      router === filter?.router && limit === filter?.limit && picker === filter?.picker;
    if (filter !== undefined && !filters.some(known)) filters.push(filter);
  };
  for (const gateway of model.gateways) add(filterOf(gateway, model));
  for (const router of model.llmRouters)
    if (!filters.some((each) => each.router === router)) add(combined(router, undefined, undefined));
  for (const limit of model.tokenRateLimits)
    if (!filters.some((each) => each.limit === limit)) add(combined(undefined, limit, undefined));
  for (const picker of model.endpointPickers)
    if (!filters.some((each) => each.picker === picker)) add(combined(undefined, undefined, picker));
  return filters;
}

function combined(
  router: LlmRouter | undefined,
  limit: TokenRateLimit | undefined,
  picker: EndpointPicker | undefined,
): LlmFilter | undefined {
  const first = router ?? limit ?? picker;
  return first && { router, limit, picker, traffic: first.spec };
}
