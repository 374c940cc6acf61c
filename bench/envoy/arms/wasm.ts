/** The Proxy-Wasm arms: our filters, and the same job in Go. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type JsonObject, wasmFilter } from "../../../envoy/harness/index.ts";
import { models, routeHeader } from "../loads.ts";
import { overrideHost } from "../override-host.ts";
import type { Arm, Surroundings } from "./arm.ts";

const modelList = models.map(({ model, route }) => ({ model, route }));

const routerFile = (root: string): string => join(root, "build/filters/llm-router.wasm");

/** What the probe's requests ask for, and where they go. */
const [probed = { model: "", route: "" }] = models;
const tokensOf = (kind: "input" | "output"): string =>
  `wasmcustom.gen_ai_client_tokens;gen_ai_request_model=${probed.model};gen_ai_operation_name=chat;gen_ai_provider_name=${probed.route};gen_ai_token_type=${kind}`;

const routerWith = (around: Surroundings, more: JsonObject): JsonObject =>
  wasmFilter({
    name: "llm-router",
    file: routerFile(around.root),
    vmId: "bench",
    configuration: { paths: ["/chat/completions"], routeHeader, models: modelList, ...more },
  });

export const llmRouter: Arm = {
  name: "llm-router",
  does: "tokenmesh (AssemblyScript, Proxy-Wasm): holds the request, finds `model`, sets the route header and x-llm-model, strips reserved headers; measures usage and time in histograms and counters",
  routes: true,
  usage: {
    kind: "counters",
    prompt: tokensOf("input"),
    completion: tokensOf("output"),
  },
  httpFilters: (around) => [routerWith(around, {})],
  missing: (root) =>
    existsSync(routerFile(root)) ? undefined : "build/filters/llm-router.wasm is not built: npm run build:filters",
};

/** The same filter where the last of several `model` keys may win, as it does in every other arm: it need not read the middle of a large body. */
export const llmRouterLastWins: Arm = {
  ...llmRouter,
  name: "llm-router lastWins",
  does: "the same with duplicateModel: lastWins: of a body over 64 KiB that ends with `model` only the end is read",
  httpFilters: (around) => [routerWith(around, { duplicateModel: "lastWins" })],
};

/** llm-gateway with the router and further stages. */
export const gatewayWith = ({ root }: Surroundings, stages: JsonObject): JsonObject =>
  wasmFilter({
    name: "llm-gateway",
    file: join(root, "build/filters/llm-gateway.wasm"),
    vmId: "bench",
    configuration: { paths: ["/chat/completions"], router: { routeHeader, models: modelList }, ...stages },
  });

/** The router as the only stage of the gateway. */
export const llmGateway: Arm = {
  ...llmRouter,
  name: "llm-gateway",
  family: "both",
  does: "the same as the only stage of llm-gateway",
  httpFilters: (around) => [gatewayWith(around, {})],
};

/** With the stage that holds requests to budgets. */
export const llmGatewayLimited: Arm = {
  ...llmRouter,
  name: "llm-gateway limited",
  family: "both",
  does: "the same and the stage rateLimit: the whole request is read, a budget of tokens per model reserved and settled, x-ratelimit headers written",
  httpFilters: (around) => [gatewayWith(around, { rateLimit: { rules: [budget] } })],
};

/** With all four stages. No two questions of a run are the same, so the cache looks, stores and does not find. */
export const llmGatewayAll: Arm = {
  ...llmRouter,
  name: "llm-gateway all",
  family: "both",
  does: "the same and the stages promptCache and endpointPicker: the question is read whole and hashed, its answer looked for and stored, one of the route's endpoints picked by the beginning of the prompt",
  httpFilters: (around) => [
    gatewayWith(around, {
      rateLimit: { rules: [budget] },
      promptCache: { rules: [{ name: "all" }] },
      endpointPicker: {
        pools: models.map(({ route }) => ({
          name: route,
          targets: [route],
          endpoints: [{ address: around.upstreams[route] ?? "" }],
        })),
      },
    }),
  ],
  upstreamCluster: overrideHost,
};

const budget = {
  name: "bench",
  key: [{ model: true }],
  limits: [{ unit: "tokens", amount: 1_000_000_000_000, per: "minute" }],
};

export const goFilter: Arm = {
  name: "go",
  does: "Proxy-Wasm filter in Go (proxy-wasm-go-sdk, gjson): holds the request, finds `model` and reads no further, sets the route header; counts usage in two counters",
  routes: true,
  usage: {
    kind: "counters",
    prompt: "wasmcustom.bench_prompt_tokens",
    completion: "wasmcustom.bench_completion_tokens",
  },
  httpFilters: ({ root }) => [
    wasmFilter({
      name: "go",
      rootId: "",
      file: join(root, "build/bench/bin/go-filter.wasm"),
      vmId: "bench",
      configuration: { models: modelList },
    }),
  ],
};
