/** Which policies run in which scenarios, as data: one section of the report each. */
import { formerScenarios, heldOutScenarios } from "./held-out.ts";
import { rivals } from "./policies.ts";
import type { Scenario } from "./scenario.ts";
import { churnScenarios, mainScenarios, staleScenarios, workerScenarios } from "./scenarios.ts";

/** A row of the tables: a policy, how many workers it runs in, and how often these tell each other what they know. */
export interface Row {
  readonly label: string;
  /** `ours`, or the name of a rival. */
  readonly policy: string;
  readonly workers: number;
  /** ms between exchanges of prefixes; 0: at each tick, as the filter does. */
  readonly gossipMs?: number;
}

export interface Section {
  readonly title: string;
  readonly text: string;
  readonly scenarios: readonly Scenario[];
  readonly rows: readonly Row[];
  /** Whether the plots show it. */
  readonly plotted?: true;
}

export type Plan = readonly Section[];

export const ours = (workers: number, gossipMs: number | "none" = 0): Row => {
  if (workers === 1) return { label: "ours", policy: "ours", workers };
  const label = `ours, ${workers} workers`;
  if (gossipMs === "none") return { label: `${label}, no gossip`, policy: "ours", workers };
  return {
    label: gossipMs === 0 ? label : `${label}, gossip ${gossipMs / 1_000} s`,
    policy: "ours",
    workers,
    gossipMs,
  };
};

const rival = (name: string, workers = 1): Row => {
  const title = rivals.find((one) => one.name === name)?.title ?? name;
  return { label: workers === 1 ? title : `${title}, ${workers} processes`, policy: name, workers };
};

const everybody: readonly Row[] = [...rivals.map(({ name }) => rival(name)), ours(1), ours(4)];

export const tuningPlan: Plan = [
  {
    title: "All policies",
    text: "Rivals run in one process with exact counts. S1 to S4.",
    scenarios: mainScenarios,
    rows: everybody,
    plotted: true,
  },
  {
    title: "A replica leaves and comes back",
    text: "S5: latencies of the 20 s before, of the 10 s after it has left, and of the 10 s after it is back with nothing cached. In-flight answers of the one that leaves are finished.",
    scenarios: churnScenarios,
    rows: ["round-robin", "maglev", "chwbl-256", "gie-322", "llm-d", "lmetric"]
      .map((name) => rival(name))
      .concat(ours(1), ours(4)),
  },
  {
    title: "Old reports",
    text: "S6: what engines say about themselves is as old as the last scrape. Ours counts by itself; its workers tell each other within milliseconds.",
    scenarios: staleScenarios,
    rows: [rival("queue-depth"), rival("gie-322"), ours(1), ours(4)],
  },
  {
    title: "Workers",
    text: "S7: several workers, each with its own memory, and rivals in as many processes that do not know of each other's prefixes. Gossip at each tick is what the filter does; slower, or none, shows what it is worth.",
    scenarios: workerScenarios,
    rows: [
      ours(1),
      ours(4),
      ours(4, 1_000),
      ours(4, 5_000),
      ours(4, "none"),
      ours(16),
      ours(16, "none"),
      rival("gie-322", 4),
      rival("lmetric", 4),
    ],
  },
];

export const heldOutPlan: Plan = [
  {
    title: "Held out",
    text: "Written down before any of them was run, and run for the first time with the constants as they are.",
    scenarios: heldOutScenarios,
    rows: [...everybody, ours(16)],
    plotted: true,
  },
  {
    title: "Held out before",
    text: "H1 to H4 were held out for the first constants, H5 to H8 for the second ones. The present ones were chosen with all of them at hand, so they judge nothing any more.",
    scenarios: formerScenarios,
    rows: [...everybody, ours(16)],
    plotted: true,
  },
];
