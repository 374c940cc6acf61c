/**
 * Scenarios that nobody looks at while constants are chosen. They run only with `--held-out`, once the constants are fixed; from then on a change of a constant
 * needs new ones.
 */
import type { Scenario } from "./scenario.ts";

const measured = { warmMs: 120_000, drainMs: 20_000, endMs: 300_000 };

/** Coding assistants: long repositories in front, many turns, inputs and answers over two orders of magnitude. */
const codeGeneration: Scenario = {
  ...measured,
  name: "H1 code",
  title: "code generation: system 3k to 100k, 2 to 20 turns, in 100 to 10k, out 50 to 4k",
  replicas: 8,
  kvBlocks: 12_000,
  traffic: [
    {
      kind: "chat",
      sessions: 80,
      apps: 60,
      exponent: 0.6,
      system: { from: 3_000, to: 100_000 },
      turns: { from: 2, to: 20 },
      input: { from: 100, to: 10_000 },
      output: { from: 50, to: 4_000 },
      thinkMs: 10_000,
      rampMs: 30_000,
    },
  ],
};

/** Nearly all of the work is decoding, and hardly anything is shared. */
const longReasoning: Scenario = {
  ...measured,
  name: "H2 reasoning",
  title: "long reasoning: system 250, in 1k, out 8k, 4/s",
  replicas: 8,
  kvBlocks: 12_000,
  traffic: [
    {
      kind: "open",
      rate: 4,
      apps: 1,
      exponent: 0,
      system: 250,
      users: 1_000,
      prompts: "fresh",
      input: { mean: 1_000, sigma: 0.3, max: 4_000 },
      output: { mean: 8_000, sigma: 0.3, max: 16_000 },
    },
  ],
};

/** Steady chat, a tenant with long shared prompts that is silent most of the time, and one with unique documents in bursts. */
const mixedTenants: Scenario = {
  ...measured,
  name: "H3 mixed",
  title: "mixed tenants: chat, a bursty batch on shared prompts, bursts of unique documents",
  replicas: 8,
  kvBlocks: 4_800,
  traffic: [
    {
      kind: "chat",
      sessions: 200,
      apps: 10,
      exponent: 0.9,
      system: 1_500,
      turns: 6,
      input: { mean: 150, sigma: 0.8, max: 2_000 },
      output: { mean: 220, sigma: 0.8, max: 2_000 },
      thinkMs: 8_000,
      rampMs: 10_000,
    },
    {
      kind: "open",
      rate: 12,
      bursts: { onMs: 5_000, offMs: 15_000 },
      apps: 40,
      exponent: 0.8,
      system: 4_000,
      users: 10,
      prompts: "fresh",
      input: 300,
      output: 150,
    },
    {
      kind: "open",
      rate: 4,
      bursts: { onMs: 3_000, offMs: 27_000 },
      apps: 1,
      exponent: 0,
      system: 0,
      users: 1_000_000,
      prompts: "fresh",
      input: { mean: 5_000, sigma: 0.5, max: 20_000 },
      output: 100,
    },
  ],
};

/** Shared prefixes again, with another fleet, memory, popularity and rate than those of the tuning set. */
const otherFleet: Scenario = {
  ...measured,
  name: "H4 fleet",
  title: "shared prefixes on 20 small replicas: 400 x 3, Zipf 0.7, 60/s",
  replicas: 20,
  kvBlocks: 2_600,
  traffic: [
    {
      kind: "open",
      rate: 60,
      apps: 400,
      exponent: 0.7,
      system: { mean: 3_000, sigma: 0.4, max: 8_000 },
      users: 3,
      prompts: "fixed",
      input: { mean: 600, sigma: 0.4, max: 2_000 },
      output: { mean: 400, sigma: 0.4, max: 1_500 },
    },
  ],
};

export const heldOutScenarios: readonly Scenario[] = [codeGeneration, longReasoning, mixedTenants, otherFleet];
