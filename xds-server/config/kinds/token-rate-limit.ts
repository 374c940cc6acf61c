/** TokenRateLimit: the configuration of filters/token-rate-limit, checked here with the filter's own limits so that a mistake never reaches Envoy. */
import type { TokenRateLimitSpec } from "../rate-limit-model.ts";
import { object, optional, type Reader, required, withDefault } from "../reader.ts";
import { boolean, integer } from "../scalars.ts";
import { declaredBy } from "./llm-names.ts";
import { trafficFields } from "./llm-traffic.ts";
import { rateLimitRules } from "./rate-limit-rule.ts";
import { checkService, rateLimitService } from "./rate-limit-service.ts";

const maxKeys = integer({ min: 1_024, max: 1_048_576 });

/** The spec of a TokenRateLimit. */
export const tokenRateLimitSpec: Reader<TokenRateLimitSpec> = (cursor) => {
  const spec = object<TokenRateLimitSpec>({
    ...trafficFields,
    rules: required(rateLimitRules(declaredBy(cursor))),
    maxKeys: withDefault(maxKeys, 65_536),
    includeUsage: withDefault(boolean, true),
    service: optional(rateLimitService),
  })(cursor);
  if (spec !== undefined) checkService(cursor, spec);
  return spec;
};
