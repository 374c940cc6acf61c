/** LLMRouter: the configuration of filters/llm-router, checked here with the filter's own limits so that a mistake never reaches Envoy. */
import { isScalar } from "yaml";
import { fail } from "../cursor.ts";
import type { Fallback, LlmRouterSpec, ModelRoute } from "../model.ts";
import { list, object, optional, positionOf, type Reader, required, withDefault } from "../reader.ts";
import { integer, oneOf, text } from "../scalars.ts";

const DEFAULT_PATHS = ["/chat/completions", "/completions", "/responses", "/embeddings", "/messages"];
const DEFAULT_MAX_BODY_BYTES = 10 * 1024 * 1024;
const MAX_BODY_BYTES = 64 * 1024 * 1024;

const modelName = text({ max: 256 });
const routeName = text({
  max: 256,
  pattern: /^[\x21-\x7e]+$/,
  what: "visible ASCII without spaces (it becomes a header value)",
});

const modelPattern: Reader<string> = (cursor) => {
  const value = modelName(cursor);
  if (value === undefined || !value.slice(0, -1).includes("*")) return value;
  return fail(
    cursor,
    "TM_CONFIG_INVALID_VALUE",
    `${JSON.stringify(value)} has a * before its end`,
    "Use an exact name, a prefix such as gpt-*, or * alone.",
  );
};

const routeHeader: Reader<string> = (cursor) => {
  const value = text({
    max: 64,
    pattern: /^x-llm-[a-z0-9-]+$/,
    what: "a lower-case header name that starts with x-llm-",
  })(cursor);
  if (value !== "x-llm-model") return value;
  return fail(
    cursor,
    "TM_CONFIG_CONFLICT",
    "x-llm-model carries the requested model",
    "Choose another name, for example x-llm-route.",
  );
};

const fallbackRoute = object<Exclude<Fallback, "reject">>({
  route: required(routeName),
  upstreamModel: optional(modelName),
});

const fallback: Reader<Fallback> = (cursor) => {
  if (!isScalar(cursor.node)) return fallbackRoute(cursor);
  if (cursor.node.value === "reject") return "reject";
  return fail(
    cursor,
    "TM_CONFIG_INVALID_VALUE",
    `expected reject or a mapping with route`,
    "Write reject, or {route: NAME}.",
  );
};

const modelRoute: Reader<ModelRoute> = object<ModelRoute>({
  model: required(modelPattern),
  route: required(routeName),
  upstreamModel: optional(modelName),
});

const models: Reader<readonly ModelRoute[]> = (cursor) => {
  const entries = list(modelRoute, { min: 1, max: 1_024 })(cursor);
  if (entries === undefined) return undefined;
  const seen = new Set<string>();
  let duplicates = 0;
  for (const entry of entries) {
    if (seen.has(entry.model)) {
      duplicates++;
      fail(
        { ...cursor, position: positionOf(entry, "model") },
        "TM_CONFIG_DUPLICATE",
        `model ${JSON.stringify(entry.model)} is listed twice`,
      );
    }
    seen.add(entry.model);
  }
  return duplicates > 0 ? undefined : entries;
};

/** The spec of an LLMRouter. */
export const llmRouterSpec: Reader<LlmRouterSpec> = object<LlmRouterSpec>({
  paths: withDefault(
    list(text({ max: 256, pattern: /^\/[\x21-\x7e]*$/, what: "a path suffix that starts with /" }), {
      min: 1,
      max: 32,
    }),
    DEFAULT_PATHS,
  ),
  maxBodyBytes: withDefault(integer({ min: 1, max: MAX_BODY_BYTES }), DEFAULT_MAX_BODY_BYTES),
  routeHeader: withDefault(routeHeader, "x-llm-route"),
  duplicateModel: withDefault(oneOf(["reject", "lastWins"]), "reject"),
  models: required(models),
  onMissingModel: withDefault(fallback, "reject"),
  onUnknownModel: withDefault(fallback, "reject"),
  onMalformedBody: withDefault(fallback, "reject"),
  onBodyTooLarge: withDefault(fallback, "reject"),
  onBodyUnreadable: withDefault(fallback, "reject"),
});
