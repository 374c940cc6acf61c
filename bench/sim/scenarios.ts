/**
 * The tuning set: constants of the picker may be chosen by looking at these. Whether they are any good is decided by `held-out.ts`.
 * Shapes from published benchmarks: 150 prompts x 5 users of the llm-d project, multi-turn chat as in KubeAI's, one hot prompt among many apps, unique prompts.
 */
import type { FleetChange, Scenario, Span } from "./scenario.ts";
import type { ChatTraffic, OpenTraffic } from "./traffic.ts";

const measured = { warmMs: 80_000, drainMs: 10_000, endMs: 200_000 };

/** 750 prompts that come again and again: 150 system prompts of 6,000 tokens with 5 questions of 1,200 each. Together 73 % of the fleet's KV memory. */
const shared = (rate: number): OpenTraffic => ({
  kind: "open",
  rate,
  apps: 150,
  exponent: 0,
  system: 6_000,
  users: 5,
  prompts: "fixed",
  input: 1_200,
  output: 500,
});

const sharedPrefix = (rate: number): Scenario => ({
  ...measured,
  name: `S1@${rate}`,
  title: `shared prefixes, 150 x 5, ${rate}/s`,
  replicas: 8,
  kvBlocks: 4_800,
  traffic: [shared(rate)],
});

const chatTraffic: ChatTraffic = {
  kind: "chat",
  sessions: 500,
  apps: 20,
  exponent: 0.9,
  system: 1_000,
  turns: { from: 4, to: 12 },
  input: { mean: 150, sigma: 0.8, max: 2_000 },
  output: { mean: 220, sigma: 0.8, max: 2_000 },
  thinkMs: 8_000,
  rampMs: 10_000,
};

const chat: Scenario = {
  ...measured,
  name: "S2",
  title: "multi-turn chat, 500 sessions, 20 apps",
  replicas: 8,
  kvBlocks: 1_600,
  traffic: [chatTraffic],
};

const skew: Scenario = {
  ...measured,
  warmMs: 40_000,
  endMs: 120_000,
  name: "S3",
  title: "skew: 300 apps, the first has a fifth of 120/s",
  replicas: 32,
  kvBlocks: 4_800,
  traffic: [
    {
      kind: "open",
      rate: 120,
      apps: 300,
      exponent: 1.1,
      system: 6_000,
      users: 20,
      prompts: "fresh",
      input: 150,
      output: 250,
    },
  ],
};

const unique: Scenario = {
  ...measured,
  name: "S4",
  title: "unique prompts, 40/s",
  replicas: 8,
  kvBlocks: 4_800,
  traffic: [
    {
      kind: "open",
      rate: 40,
      apps: 1,
      exponent: 0,
      system: 0,
      users: 1_000_000,
      prompts: "fresh",
      input: { mean: 2_000, sigma: 0.6, max: 16_000 },
      output: { mean: 200, sigma: 0.5, max: 1_000 },
    },
  ],
};

const changes: readonly FleetChange[] = [
  { at: 100_000, slot: 3, what: "leave" },
  { at: 145_000, slot: 3, what: "join" },
];

const spans: readonly Span[] = [
  { name: "before", from: 80_000, to: 100_000 },
  { name: "after leave", from: 100_000, to: 110_000 },
  { name: "after join", from: 145_000, to: 155_000 },
];

const churnShared: Scenario = {
  ...sharedPrefix(20),
  name: "S5 shared",
  title: "a replica leaves at 100 s and is back, empty, at 145 s; shared prefixes, 20/s",
  changes,
  spans,
};

const churnChat: Scenario = {
  ...chat,
  name: "S5 chat",
  title: "a replica leaves at 100 s and is back, empty, at 145 s; chat",
  changes,
  spans,
};

const stale = (scrapeMs: number): Scenario => ({
  ...unique,
  name: `S6 ${scrapeMs} ms`,
  title: `unique prompts, engine reports scraped every ${scrapeMs} ms`,
  scrapeMs,
});

/** Compared for every policy. */
export const mainScenarios: readonly Scenario[] = [15, 30, 45].map(sharedPrefix).concat(chat, skew, unique);

export const churnScenarios: readonly Scenario[] = [churnShared, churnChat];

export const staleScenarios: readonly Scenario[] = [50, 200, 1_000, 5_000].map(stale);

/** With several workers, and with what they tell each other. */
export const workerScenarios: readonly Scenario[] = [sharedPrefix(45), chat, skew];
