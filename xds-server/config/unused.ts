/** Documents that are right and take effect nowhere. No error: a Gateway may come later, and the filter is built for it already. */
import { ERRORS } from "../errors.ts";
import type { ConfigError } from "./diagnostics.ts";
import { appliesTo, fullName } from "./gateway-scope.ts";
import type { Model } from "./model.ts";
import { positionOf } from "./reader.ts";

const CODE = "TM_CONFIG_UNUSED";

/** One warning for each LLMRouter, TokenRateLimit, EndpointPicker and PromptCache that no Gateway has; the model must have been read from files. */
export function unusedDocuments({
  gateways,
  llmRouters,
  tokenRateLimits,
  endpointPickers,
  promptCaches,
}: Model): readonly ConfigError[] {
  const kinds = {
    LLMRouter: llmRouters,
    TokenRateLimit: tokenRateLimits,
    EndpointPicker: endpointPickers,
    PromptCache: promptCaches,
  };
  return Object.entries(kinds).flatMap(([kind, documents]) =>
    documents
      .filter((each) => !gateways.some((gateway) => appliesTo(each.metadata, each.gateways, gateway)))
      .map(({ metadata }) => {
        const message = `${kind} ${fullName(metadata)} is in no Gateway`;
        const { file, line, column } = positionOf(metadata, "name");
        return { code: CODE, message, remedy: ERRORS[CODE].remedy, file, line, column };
      }),
  );
}
