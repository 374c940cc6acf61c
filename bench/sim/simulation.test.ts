import { beforeAll, describe, expect, it } from "vitest";
import { projectRoot } from "../../envoy/harness/index.ts";
import { Fleet } from "./fleet.ts";
import { formerScenarios, heldOutScenarios } from "./held-out.ts";
import { buildPicker, type PickerModule, prefixAffinity } from "./picker.ts";
import { heldOutPlan, tuningPlan } from "./plan.ts";
import { plots } from "./plot.ts";
import { rivals } from "./policies.ts";
import type { PolicyFactory } from "./policy.ts";
import { remap } from "./remap.ts";
import { markdown } from "./report.ts";
import { runPlan } from "./run-plan.ts";
import { type Scenario, timingOf } from "./scenario.ts";
import { mainScenarios } from "./scenarios.ts";
import { simulate } from "./simulation.ts";
import { checks } from "./targets.ts";

let picker: PickerModule;
beforeAll(() => {
  picker = buildPicker(projectRoot());
}, 120_000);

/** A few seconds, with few requests. */
const tiny = (scenario: Scenario): Scenario => ({
  ...scenario,
  warmMs: 1_000,
  drainMs: 500,
  endMs: 3_000,
  spans: scenario.spans?.map((span) => ({ ...span, from: 0, to: 2_500 })) ?? [],
  traffic: scenario.traffic.map((one) =>
    one.kind === "open" ? { ...one, rate: Math.min(one.rate, 8) } : { ...one, sessions: 8, thinkMs: 500, rampMs: 500 },
  ),
});

const named = (name: string): Scenario => mainScenarios.find((one) => one.name === name) as Scenario;

/** Six prompts of 2,000 tokens that come again and again: more than one replica can hold, less than two. */
const small: Scenario = {
  name: "small",
  title: "six prompts on two replicas",
  replicas: 2,
  kvBlocks: 120,
  warmMs: 5_000,
  drainMs: 1_000,
  endMs: 30_000,
  traffic: [
    { kind: "open", rate: 6, apps: 6, exponent: 0, system: 1_920, users: 1, prompts: "fixed", input: 80, output: 20 },
  ],
};

const roundRobin = rivals.find(({ name }) => name === "round-robin")?.create as PolicyFactory;

describe("simulate", () => {
  it("gives the same figures for the same seed, and others for another", () => {
    for (const policy of [prefixAffinity(picker), ...rivals.map(({ create }) => create)]) {
      const run = (seed: number) => simulate({ scenario: small, policy, seed, workers: 2, gossipMs: 100 });
      expect(run(1)).toEqual(run(1));
      expect(run(2).requests).not.toBe(run(1).requests);
    }
  });

  it("finds no cached tokens in unique prompts, and the bare time of an idle replica", () => {
    const alone: Scenario = {
      ...small,
      traffic: [
        {
          kind: "open",
          rate: 0.5,
          apps: 1,
          exponent: 0,
          system: 0,
          users: 9,
          prompts: "fresh",
          input: 1_000,
          output: 11,
        },
      ],
    };
    const { hit, ttft50, tpot, collapsed } = simulate({ scenario: alone, policy: roundRobin, seed: 1 });
    expect(hit).toBe(0);
    expect(ttft50).toBeCloseTo(8 + 0.0488 * 1_000, 6);
    expect(tpot).toBeCloseTo(8 + 0.11, 6);
    expect(collapsed).toBe(false);
  });

  it("says that a fleet collapses which gets twice what it can compute", () => {
    const flood: Scenario = {
      ...small,
      traffic: [
        {
          kind: "open",
          rate: 80,
          apps: 1,
          exponent: 0,
          system: 0,
          users: 9,
          prompts: "fresh",
          input: 4_000,
          output: 5,
        },
      ],
    };
    expect(simulate({ scenario: flood, policy: roundRobin, seed: 1 }).collapsed).toBe(true);
  });

  it("sends nothing to who has left, and answers what it had", () => {
    const churn: Scenario = {
      ...small,
      changes: [
        { at: 10_000, slot: 1, what: "leave" },
        { at: 20_000, slot: 1, what: "join" },
      ],
      spans: [{ name: "alone", from: 10_500, to: 20_000 }],
    };
    for (const policy of [prefixAffinity(picker), ...rivals.map(({ create }) => create)]) {
      const { answered, spans } = simulate({ scenario: churn, policy, seed: 1 });
      expect(answered).toBe(100);
      expect(spans.alone?.requests).toBeGreaterThan(30);
    }
  });

  it("does not take answers of the one before for those of the empty one in its place", () => {
    const quick: Scenario = {
      ...small,
      traffic: small.traffic.map((one) => ({ ...one, rate: 1, output: 800 })),
      changes: [
        { at: 15_000, slot: 1, what: "leave" },
        { at: 15_100, slot: 1, what: "join" },
      ],
    };
    let least = 0;
    const watching: PolicyFactory = (context) => {
      const policy = roundRobin(context);
      return {
        pick: (request) => {
          least = Math.min(least, ...context.fleet.inflight, context.fleet.totalInflight);
          return policy.pick(request);
        },
      };
    };
    simulate({ scenario: quick, policy: watching, seed: 1 });
    expect(least).toBe(0);
    simulate({ scenario: quick, policy: prefixAffinity(picker), seed: 1, workers: 2, gossipMs: 100 });
  });

  it("counts nothing for an engine that has just come", () => {
    const fleet = new Fleet(2, timingOf(small));
    fleet.count(0, 1);
    fleet.count(1, 1);
    fleet.leave(1);
    expect(fleet.totalInflight).toBe(1);
    fleet.join(1);
    expect([...fleet.inflight, fleet.totalInflight]).toEqual([1, 0, 1]);
    expect(fleet.live).toEqual([0, 1]);
  });

  it("has no other traffic for another policy in an open loop", () => {
    const seen: number[][] = [];
    for (const { create } of rivals.slice(0, 3)) {
      const own: number[] = [];
      const listening: PolicyFactory = (context) => {
        const policy = create(context);
        return {
          ...policy,
          pick: (request) => {
            own.push(request.arrivedAt, request.blocks.length);
            return policy.pick(request);
          },
        };
      };
      simulate({ scenario: small, policy: listening, seed: 3 });
      seen.push(own);
    }
    expect(seen[1]).toEqual(seen[0]);
    expect(seen[2]).toEqual(seen[0]);
  });

  it("runs the model of envoy/replica in place of its own", () => {
    const { hit } = simulate({ scenario: small, policy: prefixAffinity(picker), seed: 1, engine: "reserving" });
    expect(hit).toBeGreaterThan(80);
  });
});

describe("our policy", () => {
  it("keeps prompts where they are cached, which round robin cannot", () => {
    const ours = simulate({ scenario: small, policy: prefixAffinity(picker), seed: 1 });
    const theirs = simulate({ scenario: small, policy: roundRobin, seed: 1 });
    expect(ours.hit).toBeGreaterThan(85);
    expect(ours.hit).toBeGreaterThan(theirs.hit + 20);
  });

  it("learns from other workers, and only by gossip", () => {
    const scenario: Scenario = { ...small, replicas: 6, traffic: small.traffic.map((one) => ({ ...one, apps: 12 })) };
    const run = (gossipMs?: number) =>
      simulate({
        scenario,
        policy: prefixAffinity(picker),
        seed: 1,
        workers: 6,
        ...(gossipMs === undefined ? {} : { gossipMs }),
      });
    expect(run(100).hit).toBeGreaterThan(run().hit);
  });

  it("hears of the others as the filter does: loads within milliseconds, prefixes within a tick or the next batch", () => {
    const scenario: Scenario = { ...small, replicas: 4, traffic: small.traffic.map((one) => ({ ...one, rate: 20 })) };
    const run = (workers: number) =>
      simulate({ scenario, policy: prefixAffinity(picker), seed: 1, workers, gossipMs: 0 });
    const [alone, many] = [run(1), run(8)];
    expect(many.hit).toBeGreaterThan(alone.hit - 2);
    expect(many.imbalance).toBeLessThan(alone.imbalance + 0.3);
  });

  it("can be tried with other constants", () => {
    const constants = {
      bound: 1,
      leastInflight: 1,
      threshold: 0.99,
      slackTokens: 0,
      queueTokens: 0,
      requestTokens: 1_000,
    };
    const run = (policy: PolicyFactory) => simulate({ scenario: small, policy, seed: 1 });
    expect(run(prefixAffinity(picker, constants))).not.toEqual(run(prefixAffinity(picker)));
  });
});

describe("remap", () => {
  it("moves the keys of the one that leaves and no others, ours and Maglev nearly so", () => {
    const mine = remap(prefixAffinity(picker), 8, 8_000);
    expect(mine.leave).toBe(mine.ideal);
    expect(mine.join).toBe(mine.ideal);
    expect(mine.balance).toBeLessThan(1.1);
    const maglev = remap(rivals.find(({ name }) => name === "maglev")?.create as PolicyFactory, 8, 8_000);
    expect(maglev.leave).toBeGreaterThan(maglev.ideal);
    expect(maglev.leave).toBeLessThan(2 * maglev.ideal);
    expect(remap(roundRobin, 8, 8_001).leave).toBeGreaterThan(50);
  });
});

describe("the plans", () => {
  it("run from scenario to report, held-out ones in tiny sizes only", () => {
    for (const plan of [tuningPlan, heldOutPlan]) {
      const most = plan === heldOutPlan ? 4 : 1;
      const small = plan.map((section) => ({ ...section, scenarios: section.scenarios.slice(0, most).map(tiny) }));
      const only = { policy: ["ours", "lmetric", "queue-depth"], workers: [1, 4] };
      const results = runPlan(small, { module: picker, seeds: [1], only });
      const report = markdown(small, results, [1]);
      for (const { title, scenarios } of small) {
        expect(report).toContain(`## ${title}`);
        for (const { name } of scenarios) expect(report).toContain(`### ${name}:`);
      }
      expect(report).not.toContain("NaN");
      for (const { svg } of plots(small, results)) expect(svg).not.toContain("NaN");
    }
  }, 120_000);

  it("hold every held-out prompt in the memory of its replicas", () => {
    const longest = (length: unknown): number =>
      typeof length === "number"
        ? length
        : Math.max(...Object.values(length as Record<string, number>).filter((one) => one > 1));
    for (const { traffic, kvBlocks } of [...heldOutScenarios, ...formerScenarios]) {
      for (const one of traffic) {
        const turns = one.kind === "open" ? 1 : typeof one.turns === "number" ? one.turns * 8 : one.turns.to;
        const most = longest(one.system) + turns * (longest(one.input) + longest(one.output));
        expect(most / 64).toBeLessThan(kvBlocks);
      }
    }
  });

  it("check targets against the best rival that did not collapse", () => {
    const scenario = tiny(named("S4"));
    const plan = [{ title: "one", text: "", scenarios: [scenario], rows: tuningPlan[0]?.rows ?? [] }];
    const results = runPlan(plan, {
      module: picker,
      seeds: [1],
      only: { policy: ["ours", "round-robin"], workers: [1] },
    });
    const [theirs, mine] = results.map(({ mean }) => mean.ttft99);
    expect(checks(results)).toEqual([
      expect.objectContaining({ scenario: "S4", value: mine, reached: (mine ?? 0) <= 1.1 * (theirs ?? 0) }),
    ]);
  });
});
