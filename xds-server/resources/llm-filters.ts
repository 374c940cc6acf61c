/** Which LLM filters a configuration needs: what applies to a Gateway is one filter of it, so that a request is read once. */
import { appliesTo } from "../config/gateway-scope.ts";
import type { Gateway, LlmRouter, Model, TokenRateLimit } from "../config/model.ts";

/** A module of `filters/`; its root id is the same. */
export type FilterCode = "llm-router" | "token-rate-limit" | "llm-gateway";

export const FILTER_CODES: readonly FilterCode[] = ["llm-router", "token-rate-limit", "llm-gateway"];

/** A router, a limiter, or both. */
export type LlmFilter =
  | { readonly router: LlmRouter; readonly limit: TokenRateLimit | undefined }
  | { readonly router: undefined; readonly limit: TokenRateLimit };

/** Both are stages of the gateway module. Alone each has a module of its own, which is smaller. */
export function codeOf({ router, limit }: LlmFilter): FilterCode {
  if (router === undefined) return "token-rate-limit";
  return limit === undefined ? "llm-router" : "llm-gateway";
}

/** The filter of a Gateway; undefined when no document applies to it. Parsing has made sure that there is at most one of each kind. */
export function filterOf(gateway: Gateway, { llmRouters, tokenRateLimits }: Model): LlmFilter | undefined {
  const router = llmRouters.find(({ metadata, gateways }) => appliesTo(metadata, gateways, gateway));
  const limit = tokenRateLimits.find(({ metadata, gateways }) => appliesTo(metadata, gateways, gateway));
  return combined(router, limit);
}

/** Every filter that some Gateway has, once, and one for each document that no Gateway has yet: its faults show before it is needed. */
export function llmFilters(model: Model): readonly LlmFilter[] {
  const filters: LlmFilter[] = [];
  const add = (filter: LlmFilter | undefined): void => {
    const known = ({ router, limit }: LlmFilter) => router === filter?.router && limit === filter?.limit;
    if (filter !== undefined && !filters.some(known)) filters.push(filter);
  };
  for (const gateway of model.gateways) add(filterOf(gateway, model));
  for (const router of model.llmRouters)
    if (!filters.some((each) => each.router === router)) add(combined(router, undefined));
  for (const limit of model.tokenRateLimits)
    if (!filters.some((each) => each.limit === limit)) add(combined(undefined, limit));
  return filters;
}

function combined(router: LlmRouter | undefined, limit: TokenRateLimit | undefined): LlmFilter | undefined {
  if (router !== undefined) return { router, limit };
  return limit === undefined ? undefined : { router, limit };
}
