/** The results as Markdown. Pure. */
import { table, micros as whole } from "../envoy/table.ts";
import type { Latencies, Measures } from "./measures.ts";
import type { Plan } from "./plan.ts";
import type { Remap } from "./remap.ts";
import type { Result } from "./run-plan.ts";
import type { Scenario } from "./scenario.ts";
import { checks } from "./targets.ts";

/** `moved`: by policy, for each number of replicas. */
export function markdown(
  plan: Plan,
  results: readonly Result[],
  seeds: readonly number[],
  moved: readonly { readonly label: string; readonly remaps: readonly Remap[] }[] = [],
): string {
  const sections = plan.flatMap(({ title, text, scenarios }) => {
    const own = results.filter(({ section }) => section === title);
    return own.length === 0
      ? []
      : ["", `## ${title}`, "", text, ...scenarios.flatMap((one) => scenarioTable(one, own))];
  });
  return [
    "# Endpoint picking against simulated replicas",
    "",
    `Virtual time, mean of ${seeds.length === 1 ? "one seed" : `${seeds.length} seeds`}. A replica takes 8 ms + 0.0488 ms per prompt token + 0.11 ms per decoding sequence for an iteration; KV blocks of 64 tokens.`,
    "Hit: cached share of all prompt tokens. TTFT: time to the first token. Imbalance: largest in-flight count over the mean, median of one-second samples. Served: most requests of one replica over the mean.",
    "Collapsed: fewer than half of the requests got a first token before the run ended; the other figures mean nothing then.",
    ...targetTable(results),
    ...sections,
    ...(moved.length === 0 ? [] : remapTable(moved)),
    "",
  ].join("\n");
}

function scenarioTable(scenario: Scenario, results: readonly Result[]): string[] {
  const own = results.filter((one) => one.scenario === scenario.name);
  if (own.length === 0) return [];
  const { name, title, replicas, kvBlocks } = scenario;
  const head = ["", `### ${name}: ${title}`, "", `${replicas} replicas of ${whole(kvBlocks)} blocks.`, ""];
  const spans = scenario.spans ?? [];
  if (spans.length > 0) {
    const columns = ["policy", ...spans.map((span) => `${span.name}: hit % / p50 / p99 ms`)];
    const rows = own.map(({ row, mean }) => [row.label, ...spans.map((span) => spanCell(mean.spans[span.name]))]);
    return [...head, table(columns, rows)];
  }
  const columns = [
    "policy",
    "hit %",
    "TTFT p50",
    "p90",
    "p99 ms",
    "p99 of seeds",
    "TPOT ms",
    "imbalance",
    "served",
    "answered %",
  ];
  return [
    ...head,
    table(
      columns,
      own.map((one) => [one.row.label, ...cells(one)]),
    ),
  ];
}

function cells({ mean, runs }: Result): string[] {
  if (mean.collapsed) return ["collapsed", "", "", "", "", "", "", "", whole(mean.answered)];
  const { hit, ttft50, ttft90, ttft99, tpot, imbalance, served, answered } = mean;
  return [
    hit.toFixed(1),
    ...[ttft50, ttft90, ttft99].map(whole),
    spread(runs),
    Number.isNaN(tpot) ? "" : tpot.toFixed(1),
    imbalance.toFixed(2),
    served.toFixed(2),
    whole(answered),
  ];
}

/** Of p99: the lowest and the highest of the seeds. */
function spread(runs: readonly Measures[]): string {
  const values = runs.map(({ ttft99 }) => ttft99);
  return `${whole(Math.min(...values))} to ${whole(Math.max(...values))}`;
}

const spanCell = (one: Latencies | undefined): string =>
  one === undefined ? "" : `${whole(one.hit)} / ${whole(one.ttft50)} / ${whole(one.ttft99)}`;

function remapTable(moved: readonly { readonly label: string; readonly remaps: readonly Remap[] }[]): string[] {
  const rows = moved.flatMap(({ label, remaps }) =>
    remaps.map(({ replicas, ideal, leave, join, balance }) => [
      label,
      String(replicas),
      ...[ideal, leave, join].map((share) => share.toFixed(1)),
      balance.toFixed(2),
    ]),
  );
  const columns = ["policy", "replicas", "keys of the one %", "moved on leave %", "on join %", "balance"];
  const text = "With nothing in flight and nothing cached. Balance: most keys of one replica over the mean.";
  return ["", "## Keys that move", "", text, "", table(columns, rows)];
}

function targetTable(results: readonly Result[]): string[] {
  const all = checks(results);
  if (all.length === 0) return [];
  const rows = all.map(({ scenario, policy, target, value, reached }) => [
    scenario,
    policy,
    target,
    value >= 10 ? value.toFixed(1) : value.toFixed(2),
    reached ? "yes" : "**no**",
  ]);
  return ["", "## Targets", "", table(["scenario", "policy", "target", "value", "reached"], rows)];
}
