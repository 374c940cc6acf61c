/** Which LLM filters a configuration needs: what applies to a Gateway is one filter of it, so that a request is read once. */
import { appliesTo } from "../config/gateway-scope.ts";
import type { EndpointPicker, Gateway, LlmRouter, Model, PromptCache, TokenRateLimit } from "../config/model.ts";
import type { LlmTraffic } from "../config/rate-limit-model.ts";

/** A module of `filters/`; its root id is the same. */
export type FilterCode = "llm-router" | "token-rate-limit" | "prompt-cache" | "hash-ring" | "llm-gateway";

export const FILTER_CODES: readonly FilterCode[] = [
  "llm-router",
  "token-rate-limit",
  "prompt-cache",
  "hash-ring",
  "llm-gateway",
];

/** The documents of one Gateway; at least one is there. */
export interface LlmFilter extends Documents {
  /** What is read of requests: the first of them says it, in this order (config/traffic-conflicts.ts). */
  readonly traffic: LlmTraffic;
}

interface Documents {
  readonly router: LlmRouter | undefined;
  readonly limit: TokenRateLimit | undefined;
  readonly cache: PromptCache | undefined;
  readonly picker: EndpointPicker | undefined;
}

const NONE: Documents = { router: undefined, limit: undefined, cache: undefined, picker: undefined };

/** All are stages of the gateway module. Alone each has a module of its own, which is smaller. */
export function codeOf({ router, limit, cache, picker }: LlmFilter): FilterCode {
  if ([router, limit, cache, picker].filter((each) => each !== undefined).length > 1) return "llm-gateway";
  if (router !== undefined) return "llm-router";
  if (limit !== undefined) return "token-rate-limit";
  return cache !== undefined ? "prompt-cache" : "hash-ring";
}

/** The filter of a Gateway; undefined when no document applies to it. Parsing has made sure that there is at most one of each kind. */
export function filterOf(gateway: Gateway, model: Model): LlmFilter | undefined {
  const applies = ({ metadata, gateways }: LlmRouter | TokenRateLimit | PromptCache | EndpointPicker) =>
    appliesTo(metadata, gateways, gateway);
  return combined({
    router: model.llmRouters.find(applies),
    limit: model.tokenRateLimits.find(applies),
    cache: model.promptCaches.find(applies),
    picker: model.endpointPickers.find(applies),
  });
}

/** Every filter that some Gateway has, once, and one for each document that no Gateway has yet: its faults show before it is needed. */
export function llmFilters(model: Model): readonly LlmFilter[] {
  const filters: LlmFilter[] = [];
  const isKnown = ({ router, limit, cache, picker }: LlmFilter) =>
    filters.some(
      (each) => router === each.router && limit === each.limit && cache === each.cache && picker === each.picker,
    );
  for (const gateway of model.gateways) {
    const filter = filterOf(gateway, model);
    if (filter !== undefined && !isKnown(filter)) filters.push(filter);
  }
  const alone = (documents: Partial<Documents>) => combined({ ...NONE, ...documents }) ?? [];
  const built = (document: object) =>
    filters.some(({ router, limit, cache, picker }) =>
      [router, limit, cache, picker].some((each) => each === document),
    );
  return [
    ...filters,
    ...model.llmRouters.filter((router) => !built(router)).flatMap((router) => alone({ router })),
    ...model.tokenRateLimits.filter((limit) => !built(limit)).flatMap((limit) => alone({ limit })),
    ...model.promptCaches.filter((cache) => !built(cache)).flatMap((cache) => alone({ cache })),
    ...model.endpointPickers.filter((picker) => !built(picker)).flatMap((picker) => alone({ picker })),
  ];
}

function combined(documents: Documents): LlmFilter | undefined {
  const { router, limit, cache, picker } = documents;
  const first = router ?? limit ?? cache ?? picker;
  return first && { ...documents, traffic: first.spec };
}
