/** LLMRouter: the configuration of filters/llm-router, checked here with the filter's own limits so that a mistake never reaches Envoy. */
import { isMap } from "yaml";
import { fail } from "../cursor.ts";
import type { LlmRouterSpec, ModelRoute } from "../llm-model.ts";
import { distinct, list, object, optional, positionOf, type Reader, required, withDefault } from "../reader.ts";
import { boolean, text } from "../scalars.ts";
import { defaultDecision } from "./llm-fallback.ts";
import { type Declared, declaredBy, has, modelName, modelPattern, routeName } from "./llm-names.ts";
import { rules } from "./llm-rule.ts";
import { targets } from "./llm-target.ts";
import { trafficFields } from "./llm-traffic.ts";

/** A header that carries a decision: only such headers are taken from clients. */
const decisionHeader: Reader<string> = (cursor) => {
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

const models: Reader<readonly ModelRoute[]> = distinct(
  list(
    object<ModelRoute>({
      model: required(modelPattern),
      route: required(routeName),
      upstreamModel: optional(modelName),
    }),
    { min: 1, max: 1_024 },
  ),
  "model",
  "model",
);

function fields(declared: Declared): Reader<LlmRouterSpec> {
  const decision = withDefault(defaultDecision(declared), "reject");
  return object<LlmRouterSpec>({
    ...trafficFields,
    routeHeader: withDefault(decisionHeader, "x-llm-route"),
    clusterHeader: withDefault(decisionHeader, "x-llm-cluster"),
    responseHeaders: withDefault(boolean, false),
    targets: withDefault(targets, new Map()),
    rules: withDefault(rules(declared), []),
    models: withDefault(models, []),
    onMissingModel: decision,
    onUnknownModel: decision,
    onMalformedBody: decision,
    onBodyTooLarge: decision,
    onBodyUnreadable: decision,
  });
}

/** The spec of an LLMRouter. */
export const llmRouterSpec: Reader<LlmRouterSpec> = (cursor) => {
  const before = cursor.context.diagnostics.count;
  const spec = fields(declaredBy(cursor))(cursor);
  if (isMap(cursor.node) && !has(cursor, "models") && !has(cursor, "rules"))
    fail(cursor, "TM_CONFIG_MISSING_FIELD", "has neither models nor rules", "Add rules, models or both.");
  if (spec !== undefined && spec.routeHeader === spec.clusterHeader) {
    const position = positionOf(spec, spec.clusterHeader === "x-llm-cluster" ? "routeHeader" : "clusterHeader");
    const message = `routeHeader and clusterHeader are both ${spec.routeHeader}`;
    fail({ ...cursor, position }, "TM_CONFIG_CONFLICT", message, "Give them different names.");
  }
  return cursor.context.diagnostics.count > before ? undefined : spec;
};
