/** All arms, in the order of the tables; `bare` first, because everything is compared with it. */
import { aiProtocolManager } from "./ai-protocol-manager.ts";
import type { Arm } from "./arm.ts";
import { bare } from "./bare.ts";
import { extProc } from "./ext-proc.ts";
import { globalRatelimit } from "./global-ratelimit.ts";
import { jsonToMetadata } from "./json-to-metadata.ts";
import { llmGatewayLeased, llmGatewayStrict, llmGatewayStrictEnvoy } from "./limits.ts";
import { localRatelimit } from "./local-ratelimit.ts";
import { lua } from "./lua.ts";
import { goFilter, llmGateway, llmGatewayAll, llmGatewayLimited, llmRouter, llmRouterLastWins } from "./wasm.ts";

export const arms: readonly Arm[] = [
  bare,
  llmRouter,
  llmRouterLastWins,
  llmGateway,
  llmGatewayLimited,
  llmGatewayAll,
  llmGatewayLeased,
  llmGatewayStrict,
  llmGatewayStrictEnvoy,
  localRatelimit,
  globalRatelimit,
  goFilter,
  lua,
  aiProtocolManager,
  jsonToMetadata,
  extProc,
];
export type { Arm, Charges, Surroundings, UsageSource } from "./arm.ts";
