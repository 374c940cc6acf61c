/**
 * The simulator of bench/sim says what real Envoy does: the same requests at the same instants, eight replicas that take the time of the simulated ones, two workers. What is
 * compared is the share of prompt tokens that were in a cache.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { startTraffic } from "../../bench/sim/arrivals.ts";
import { EventQueue } from "../../bench/sim/event-queue.ts";
import { buildPicker, prefixAffinity } from "../../bench/sim/picker.ts";
import { BLOCK_TOKENS, type Request } from "../../bench/sim/request.ts";
import { type Scenario, timingOf } from "../../bench/sim/scenario.ts";
import { simulate } from "../../bench/sim/simulation.ts";
import { defaultVersion, projectRoot } from "../../envoy/harness/index.ts";
import type { Replica } from "../../envoy/replica/index.ts";
import { BYTES_PER_TOKEN } from "../../envoy/replica/tokens.ts";
import {
  addressesOf,
  MODEL,
  oneListener,
  type PickedGateway,
  pickedCluster,
  poolOf,
  startPicking,
  startReplicas,
} from "./endpoint-gateway.ts";
import { http1 } from "./http-client.ts";

const WORKERS = 2;
const SEED = 1;
/** Points of hit rate that the two may be apart. */
const APART = 3;

/** Forty prefixes with five users each, like S1 of the simulator, in a time that a test can take. */
const scenario: Scenario = {
  name: "agreement",
  title: "shared prefixes, 40 x 5",
  replicas: 8,
  kvBlocks: 4_800,
  warmMs: 8_000,
  drainMs: 0,
  endMs: 28_000,
  traffic: [
    {
      kind: "open",
      rate: 14,
      apps: 40,
      exponent: 0.5,
      system: 6_000,
      users: 5,
      prompts: "fixed",
      input: 1_200,
      output: 40,
    },
  ],
};

/** What arrives, and when: it does not depend on where it goes. */
function requestsOf({ traffic, endMs }: Scenario): Request[] {
  const queue = new EventQueue();
  const requests: Request[] = [];
  startTraffic(traffic, { queue, seed: SEED, workers: WORKERS, send: (request) => void requests.push(request) });
  queue.runUntil(endMs);
  return requests;
}

/** A text that has a block in common with another one where their chains have; what is behind the last whole block is the request's own. */
function textOf({ id, blocks, promptBlocks, promptTokens }: Request): string {
  const bytes = BLOCK_TOKENS * BYTES_PER_TOKEN;
  const whole = blocks.slice(0, promptBlocks).map((block) => `${block} `.repeat(16).slice(0, bytes).padEnd(bytes, "."));
  const rest = (promptTokens - promptBlocks * BLOCK_TOKENS) * BYTES_PER_TOKEN;
  return whole.join("") + `${id}~`.repeat(rest).slice(0, rest);
}

let replicas: Replica[];
let gateway: PickedGateway;

beforeAll(async () => {
  replicas = await startReplicas("r", scenario.replicas, { timing: timingOf(scenario), keepRequests: 1 });
  const targets = addressesOf(replicas);
  gateway = await startPicking({
    version: defaultVersion(),
    concurrency: WORKERS,
    listeners: [oneListener({ pools: [poolOf("models", targets)] })],
    clusters: [pickedCluster("models", targets)],
  });
});
afterAll(async () => {
  await gateway?.envoy.stop();
  await Promise.all(replicas.map((replica) => replica.close()));
});

/** Prompt tokens of an answer, and those of them that were cached. */
async function ask(request: Request): Promise<readonly [prompt: number, cached: number]> {
  // On a connection of its own, so that any worker may get it.
  const { status, body } = await http1(gateway.url, {
    path: "/v1/chat/completions",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: MODEL,
      messages: [{ role: "user", content: textOf(request) }],
      max_tokens: request.outputTokens,
    }),
    timeoutMs: 60_000,
  });
  if (status !== 200) throw new Error(`status ${status}: ${body.toString()}`);
  const { usage } = JSON.parse(body.toString()) as {
    usage: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } };
  };
  return [usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens];
}

it("hits as often as the simulator says, within 3 points", { timeout: 120_000 }, async () => {
  const startedAt = performance.now();
  const asked = requestsOf(scenario).map(async (request) => {
    await new Promise((resolve) => setTimeout(resolve, startedAt + request.arrivedAt - performance.now()));
    return { request, tokens: await ask(request) };
  });
  const counted = (await Promise.all(asked)).filter(({ request }) => request.arrivedAt >= scenario.warmMs);
  const sum = (place: 0 | 1) => counted.reduce((total, { tokens }) => total + tokens[place], 0);
  const real = (100 * sum(1)) / sum(0);
  const policy = prefixAffinity(buildPicker(projectRoot()));
  const run = { scenario, policy, seed: SEED, workers: WORKERS, engine: "reserving" } as const;
  const simulated = simulate({ ...run, gossipMs: 0 }).hit;
  // What it would be if the workers did not tell each other what is cached where: the two would not agree then.
  expect(simulate(run).hit).toBeLessThan(simulated - APART);
  console.log(
    `hit rate: ${real.toFixed(1)} % on Envoy, ${simulated.toFixed(1)} % in the simulator (${counted.length} requests)`,
  );
  const connections = await gateway.envoy.admin.stats("worker_\\d+.downstream_cx_total");
  expect([...connections].filter(([name, count]) => /^listener\.(?!admin)/.test(name) && count > 0).length).toBe(
    WORKERS,
  );
  expect(real).toBeGreaterThan(simulated - APART);
  expect(real).toBeLessThan(simulated + APART);
});
