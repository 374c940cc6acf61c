/** `match` of a rule: the conditions on a request. */
import { fail } from "../cursor.ts";
import type { LlmApi, LlmHeaderMatch, LlmMatch } from "../llm-model.ts";
import { exactlyOne, list, object, optional, type Reader, required } from "../reader.ts";
import { boolean, integer, oneOf, text } from "../scalars.ts";
import {
  type Declared,
  IDENTIFIER,
  IDENTIFIER_RULE,
  modelPattern,
  needsTenant,
  pathStart,
  requestHeader,
} from "./llm-names.ts";
import { patternFault } from "./pattern.ts";

const APIS = [
  "openai.chat",
  "openai.completions",
  "openai.responses",
  "openai.embeddings",
  "openai.other",
  "anthropic.messages",
  "gemini.generate",
] as const satisfies readonly LlmApi[];

const headerValue = text({ max: 256, pattern: /^[\x20-\x7e]+$/, what: "visible ASCII or spaces" });

const headerMatch: Reader<LlmHeaderMatch> = exactlyOne(
  object<LlmHeaderMatch>({
    name: required(requestHeader),
    exact: optional(headerValue),
    prefix: optional(headerValue),
    present: optional(boolean),
  }),
  "exact",
  "prefix",
  "present",
);

type PromptTokens = NonNullable<LlmMatch["promptTokens"]>;

const tokenBounds = object<PromptTokens>({
  atLeast: optional(integer({ min: 0, max: 100_000_000 })),
  below: optional(integer({ min: 1, max: 100_000_000 })),
});

const promptTokens: Reader<PromptTokens> = (cursor) => {
  const bounds = tokenBounds(cursor);
  if (bounds === undefined) return undefined;
  const { atLeast, below } = bounds;
  if (atLeast === undefined && below === undefined)
    return fail(cursor, "TM_CONFIG_MISSING_FIELD", "has neither atLeast nor below", "Add one of them.");
  if (atLeast === undefined || below === undefined || atLeast < below) return bounds;
  const message = `atLeast ${atLeast} is not less than below ${below}: nothing matches`;
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", message, "Give atLeast the smaller number.");
};

const lastUserMessage: Reader<string> = (cursor) => {
  const pattern = text({ max: 512 })(cursor);
  if (pattern === undefined) return undefined;
  const fault = patternFault(pattern);
  if (fault === undefined) return pattern;
  // What is wrong, where, and behind the colon what to do.
  const [, message = fault, remedy] = /^(.* at byte \d+): (.*)$/s.exec(fault) ?? [];
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", message, remedy);
};

/** `match` of a rule. */
export function match(declared: Declared): Reader<LlmMatch> {
  return object<LlmMatch>({
    models: optional(list(modelPattern, { min: 1, max: 64 })),
    provider: optional(text({ max: 64, pattern: IDENTIFIER, what: IDENTIFIER_RULE })),
    apis: optional(list(oneOf(APIS), { min: 1, max: APIS.length })),
    paths: optional(list(pathStart, { min: 1, max: 32 })),
    headers: optional(list(headerMatch, { min: 1, max: 16 })),
    tenants: optional(needsTenant(declared, list(text({ max: 256 }), { min: 1, max: 64 }), () => true)),
    promptTokens: optional(promptTokens),
    stream: optional(boolean),
    tools: optional(boolean),
    images: optional(boolean),
    session: optional(boolean),
    lastUserMessage: optional(lastUserMessage),
  });
}
