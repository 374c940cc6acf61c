/** The result as Markdown. Pure. */
import { pairedDifferences, quantile, type Spread, spread } from "../statistics.ts";
import { micros, table } from "../table.ts";
import type { PickingArm } from "./arms.ts";
import type { PickingSample } from "./measure.ts";
import type { PickingLoad } from "./prompts.ts";

export interface PickingReport {
  /** Machine, versions, rounds. */
  readonly conditions: string;
  readonly loads: readonly Pick<PickingLoad, "name" | "title">[];
  /** The first is what the others are compared with. */
  readonly arms: readonly Pick<PickingArm, "name" | "does">[];
  readonly samples: readonly PickingSample[];
}

/** One arm under one load. */
export interface PickingSummary {
  readonly load: string;
  readonly arm: string;
  readonly requests: number;
  readonly envoyMicros: number;
  readonly helperMicros: number;
  /** CPU time of Envoy and helper over the first arm's in the same round; undefined for the first arm. */
  readonly cpu: Spread | undefined;
  /** Mean time to the first byte over the first arm's in the same round. */
  readonly first: Spread | undefined;
  /** Quantiles of all requests of all rounds. */
  readonly p50Micros: number;
  readonly p99Micros: number;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

export function summarisePicking({ loads, arms, samples }: PickingReport): PickingSummary[] {
  const of = (load: string, arm: string): PickingSample[] =>
    samples.filter((one) => one.load === load && one.arm === arm).sort((a, b) => a.round - b.round);
  return loads.flatMap(({ name: load }) => {
    const base = of(load, arms[0]?.name ?? "");
    return arms.map(({ name: arm }, index): PickingSummary => {
      const own = of(load, arm);
      const over = (figure: (sample: PickingSample) => number): Spread | undefined =>
        index === 0 ? undefined : spread(pairedDifferences(own.map(figure), base.map(figure)));
      const times = own.flatMap(({ firstMicros }) => firstMicros);
      return {
        ...{ load, arm, requests: times.length },
        envoyMicros: quantile(
          own.map(({ envoyMicros }) => envoyMicros),
          0.5,
        ),
        helperMicros: quantile(
          own.map(({ helperMicros }) => helperMicros),
          0.5,
        ),
        cpu: over(({ envoyMicros, helperMicros }) => envoyMicros + helperMicros),
        first: over(({ firstMicros }) => mean(firstMicros)),
        p50Micros: quantile(times, 0.5),
        p99Micros: quantile(times, 0.99),
      };
    });
  });
}

const withQuartiles = (one: Spread | undefined): string =>
  one === undefined ? "-" : `${micros(one.median)} (${micros(one.lowerQuartile)} to ${micros(one.upperQuartile)})`;
const share = (own: Spread | undefined, other: Spread | undefined): string =>
  own === undefined || other === undefined ? "-" : (own.median / other.median).toFixed(2);

export function pickingMarkdown(report: PickingReport): string {
  const summaries = summarisePicking(report);
  const references = ["ext_proc buffered", "ext_proc duplex"];
  const sections = report.loads.flatMap(({ name, title }) => {
    const rows = summaries.filter(({ load }) => load === name);
    const reference = references.map((arm) => rows.find((row) => row.arm === arm));
    const [base] = rows;
    const over = (row: PickingSummary, figure: "p50Micros" | "p99Micros"): string =>
      row === base || base === undefined ? "-" : micros(row[figure] - base[figure]);
    return [
      ...["", `## ${title}`, "", `${micros(base?.requests ?? 0)} requests of each arm.`, ""],
      table(
        ["first byte", "p50", "p99", "p50 over bare", "p99 over bare", "mean over bare", ...references.map(shareOf)],
        rows.map((row) => [
          row.arm,
          micros(row.p50Micros),
          micros(row.p99Micros),
          over(row, "p50Micros"),
          over(row, "p99Micros"),
          withQuartiles(row.first),
          ...reference.map((other) => share(row.first, other?.first)),
        ]),
      ),
      "",
      table(
        ["CPU", "Envoy", "helper", "over bare", ...references.map(shareOf)],
        rows.map((row) => [
          row.arm,
          micros(row.envoyMicros),
          row.helperMicros > 0 ? micros(row.helperMicros) : "-",
          withQuartiles(row.cpu),
          ...reference.map((other) => share(row.cpu, other?.cpu)),
        ]),
      ),
    ];
  });
  return [
    "# What picking an endpoint costs",
    "",
    `µs per request. ${report.conditions}.`,
    "One pool of four endpoints that answer at once. Time from writing a request to the first byte of its streamed answer, at the client. Over bare: median (quartiles) of the differences to `bare` in the same round, of means; p50 and p99 are of all requests together. Of: what an arm adds in relation to what the named one adds.",
    ...sections,
    "",
    "## Arms",
    "",
    ...report.arms.map(({ name, does }) => `- \`${name}\`: ${does}`),
    "",
  ].join("\n");
}

const shareOf = (arm: string): string => `of ${arm}`;
