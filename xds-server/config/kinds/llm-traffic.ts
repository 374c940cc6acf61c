/** The fields of every LLM filter: which requests are LLM calls, how much of them is held, what is measured. */
import type { LlmMetrics } from "../llm-model.ts";
import type { LlmTraffic } from "../rate-limit-model.ts";
import { type Field, list, object, optional, type Reader, withDefault } from "../reader.ts";
import { boolean, integer, number, oneOf, text } from "../scalars.ts";
import { modelName, requestHeader } from "./llm-names.ts";

const GEMINI_METHODS = [":generateContent", ":streamGenerateContent"];
const DEFAULT_PATHS = [
  "/chat/completions",
  "/completions",
  "/responses",
  "/embeddings",
  "/messages",
  "/messages/count_tokens",
  "/audio/transcriptions",
  "/audio/translations",
  "/audio/speech",
  "/images/generations",
  "/images/edits",
  "/images/variations",
  ...GEMINI_METHODS,
];
const DEFAULT_MAX_BODY_BYTES = 10 * 1024 * 1024;
const MAX_BODY_BYTES = 64 * 1024 * 1024;
const DEFAULT_METRICS: LlmMetrics = { enabled: true, models: undefined };

const pathSuffix = text({
  max: 256,
  pattern: new RegExp(`^(/[\\x21-\\x7e]*|${GEMINI_METHODS.join("|")})$`),
  what: `a path suffix that starts with /, or ${GEMINI_METHODS.join(" or ")}`,
});

const metrics: Reader<LlmMetrics> = object<LlmMetrics>({
  enabled: withDefault(boolean, true),
  models: optional(list(modelName, { max: 64 })),
});

export const trafficFields: { readonly [K in keyof LlmTraffic]: Field<LlmTraffic[K]> } = {
  paths: withDefault(list(pathSuffix, { min: 1, max: 32 }), DEFAULT_PATHS),
  maxBodyBytes: withDefault(integer({ min: 1, max: MAX_BODY_BYTES }), DEFAULT_MAX_BODY_BYTES),
  tenantHeader: optional(requestHeader),
  tokensPerByte: withDefault(number({ above: 0, max: 4 }), 0.25),
  duplicateModel: withDefault(oneOf(["reject", "lastWins"]), "reject"),
  accessLog: withDefault(boolean, false),
  metrics: withDefault(metrics, DEFAULT_METRICS),
};
