/** The part of the result that is about budgets: what each arm takes in Envoy and in the processes behind it, and how long its answers take. Pure. */
import type { Report } from "./report.ts";
import type { Spread } from "./statistics.ts";
import type { Summary } from "./summary.ts";
import { micros, table } from "./table.ts";

/** What the others are measured against. */
const reference = "global ratelimit";

const withQuartiles = (spread: Spread | undefined): string =>
  spread === undefined
    ? "-"
    : `${micros(spread.median)} (${micros(spread.lowerQuartile)} to ${micros(spread.upperQuartile)})`;

/** Lines of Markdown; none when no load about budgets was run. */
export function limitsSection({ arms, loads, summaries }: Report): string[] {
  const limitsLoads = loads.filter(({ family }) => family === "limits");
  if (limitsLoads.length === 0) return [];
  const names = arms.filter(({ family }) => family !== "routing").map(({ name }) => name);
  const of = (load: string): Summary[] =>
    names.flatMap((name) => summaries.filter((one) => one.load === load && one.arm === name));
  const cpu = loads
    .filter(({ family }) => family !== "routing")
    .flatMap(({ name, title }) => ["", `### CPU per request, µs: ${title}`, "", cpuTable(of(name))]);
  const times = limitsLoads.flatMap(({ name, title }) => [
    "",
    `### Time to the whole answer, µs: ${title}`,
    "",
    timeTable(of(name)),
  ]);
  return [
    "## Budgets of tokens",
    "",
    `Medians; differences to \`bare\` in the same round, with quartiles. Share: of what \`${reference}\` adds in Envoy and its helpers together.`,
    ...cpu,
    ...times,
  ];
}

function cpuTable(rows: readonly Summary[]): string {
  const added = rows.find(({ arm }) => arm === reference)?.overBare?.median;
  const helpersOf = ({ helpers }: Summary): string =>
    Object.entries(helpers)
      .map(([name, value]) => `${name} ${micros(value)}`)
      .join(", ") || "-";
  const share = ({ arm, overBare }: Summary): string =>
    arm === "bare" || overBare === undefined || !added ? "-" : (overBare.median / added).toFixed(2);
  return table(
    ["arm", "Envoy", "helpers", "all over bare", "share"],
    rows.map((row) => [
      row.arm,
      micros(row.envoyMicros),
      helpersOf(row),
      row.arm === "bare" ? "-" : withQuartiles(row.overBare),
      share(row),
    ]),
  );
}

const timeTable = (rows: readonly Summary[]): string =>
  table(
    ["arm", "median", "99th percentile", "median over bare", "99th percentile over bare"],
    rows.map((row) => [
      row.arm,
      micros(row.p50Micros),
      micros(row.p99Micros),
      ...(row.arm === "bare" ? ["-", "-"] : [withQuartiles(row.p50OverBare), withQuartiles(row.p99OverBare)]),
    ]),
  );
