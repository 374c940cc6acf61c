/** All scenarios, the replicas that they run against, and the gateway's configuration. */
import type { JsonObject } from "../../../envoy/harness/index.ts";
import type { ReplicaOptions } from "../../../envoy/replica/index.ts";
import { aiSdkScenarios } from "./ai-sdk-scenarios.ts";
import { anthropicScenarios } from "./anthropic-scenarios.ts";
import { geminiScenarios } from "./gemini-scenarios.ts";
import { openaiMediaScenarios } from "./openai-media-scenarios.ts";
import { openaiScenarios } from "./openai-scenarios.ts";
import { CLIENT_MODELS, type ModelNames, type Scenario, UPSTREAM_MODELS } from "./scenario.ts";

export const SCENARIOS: readonly Scenario[] = [
  ...openaiScenarios,
  ...openaiMediaScenarios,
  ...anthropicScenarios,
  ...geminiScenarios,
  ...aiSdkScenarios,
];

/** One name for all, so that an answer does not tell which replica it came from; no prefix cache, so that it does not tell what was asked before. */
export const TWIN: ReplicaOptions = { name: "twin", models: Object.values(UPSTREAM_MODELS), prefixCache: false };

/** `spec` of LLMRouter: every alias is turned into the name that the replicas know. */
export const ALIASES: JsonObject = {
  models: (Object.keys(CLIENT_MODELS) as (keyof ModelNames)[]).map((use) => ({
    model: CLIENT_MODELS[use],
    route: use === "claude" ? "claude" : "gpt",
    upstreamModel: UPSTREAM_MODELS[use],
  })),
};
