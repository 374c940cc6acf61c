/** The result as Markdown. Pure. */
import { type Interval, median, medianInterval } from "../statistics.ts";
import { micros, table } from "../table.ts";
import type { CachingArm } from "./arms.ts";
import type { CachingSample } from "./measure.ts";
import type { CachingLoad } from "./traffic.ts";

/** Loads, and the arms that are compared under them; the first arm is what the others are compared with. */
export interface CachingGroup {
  readonly loads: readonly Pick<CachingLoad, "name" | "title" | "requests" | "connections">[];
  readonly arms: readonly Pick<CachingArm, "name" | "does">[];
}

export interface CachingReport {
  /** Machine, versions, rounds. */
  readonly conditions: string;
  readonly hits: CachingGroup;
  readonly misses: CachingGroup;
  readonly samples: readonly CachingSample[];
  /** Calls of the model server for a hundred equal requests at once. */
  readonly together: readonly { readonly arm: string; readonly calls: number }[];
}

export interface Ratio extends Interval {
  readonly median: number;
}

/** One arm under one load. */
export interface CachingSummary {
  readonly load: string;
  readonly arm: string;
  /** Medians over the rounds, in µs: CPU per request by process, quantiles of the time to the whole answer. */
  readonly cpuMicros: Readonly<Record<string, number>>;
  readonly p50Micros: number;
  readonly p99Micros: number;
  /** Of all processes' CPU, and of the median time, to those of the first arm in the same round: median and 95 % interval; undefined for that arm. */
  readonly cpuRatio: Ratio | undefined;
  readonly p50Ratio: Ratio | undefined;
  /** Differences to the arm before it, in µs; undefined for the first. */
  readonly cpuOver: Ratio | undefined;
  readonly p50Over: Ratio | undefined;
}

/** A hit should take no more than this of what the least answer takes. */
export const goal = 1.5;

const total = ({ cpuMicros }: CachingSample): number => Object.values(cpuMicros).reduce((sum, each) => sum + each, 0);
const p50 = ({ p50Micros }: CachingSample): number => p50Micros;

const within = (values: readonly number[]): Ratio => ({ median: median(values), ...medianInterval(values) });

/** In the order of groups, loads and arms. Throws when two arms were not measured in the same rounds. */
export function summariseCaching({ hits, misses, samples }: CachingReport): CachingSummary[] {
  const of = (load: string, arm: string | undefined): CachingSample[] =>
    samples.filter((one) => one.load === load && one.arm === arm).sort((a, b) => a.round - b.round);
  return [hits, misses].flatMap(({ loads, arms }) =>
    loads.flatMap(({ name: load }) =>
      arms.map(({ name: arm }, index): CachingSummary => {
        const own = of(load, arm);
        const compared = (
          other: number,
          figure: (sample: CachingSample) => number,
          compare: (value: number, base: number) => number,
        ): Ratio | undefined => {
          if (index === 0) return undefined;
          const base = of(load, arms[other]?.name);
          if (base.some(({ round }, at) => round !== own[at]?.round) || base.length !== own.length) {
            throw new Error(`${arm} and ${arms[other]?.name} were not measured in the same rounds`);
          }
          return within(own.map((sample, at) => compare(figure(sample), figure(base[at] ?? sample))));
        };
        const ratio = (value: number, base: number): number => value / base;
        const difference = (value: number, base: number): number => value - base;
        const medianOf = (figure: (sample: CachingSample) => number): number => median(own.map(figure));
        return {
          ...{ load, arm },
          cpuMicros: Object.fromEntries(
            Object.keys(own[0]?.cpuMicros ?? {}).map((name) => [name, medianOf((one) => one.cpuMicros[name] ?? 0)]),
          ),
          p50Micros: medianOf(p50),
          p99Micros: medianOf(({ p99Micros }) => p99Micros),
          cpuRatio: compared(0, total, ratio),
          p50Ratio: compared(0, p50, ratio),
          cpuOver: compared(index - 1, total, difference),
          p50Over: compared(index - 1, p50, difference),
        };
      }),
    ),
  );
}

const figures = (one: Ratio | undefined, write: (value: number) => string): string =>
  one === undefined ? "-" : `${write(one.median)} (${bound(one.lower, write)} to ${bound(one.upper, write)})`;
/** Too few rounds bound nothing. */
const bound = (value: number, write: (value: number) => string): string =>
  Number.isFinite(value) ? write(value) : "?";
const times = (value: number): string => value.toFixed(2);

const cpuCell = ({ cpuMicros }: CachingSummary): string => {
  const parts = Object.entries(cpuMicros);
  const sum = micros(parts.reduce((all, [, each]) => all + each, 0));
  return parts.length < 2 ? sum : `${sum} = ${parts.map(([name, each]) => `${name} ${micros(each)}`).join(" + ")}`;
};

export function cachingMarkdown(report: CachingReport): string {
  const { hits, misses, together } = report;
  const summaries = summariseCaching(report);
  const rows = ({ arms }: CachingGroup, loads: CachingGroup["loads"], cell: (one: CachingSummary) => string) =>
    arms.map(({ name }) => [
      name,
      ...loads.map(({ name: load }) => {
        const one = summaries.find((summary) => summary.arm === name && summary.load === load);
        return one === undefined ? "" : cell(one);
      }),
    ]);
  const counts = [...new Set(hits.loads.map(({ connections }) => connections))];
  const sections = counts.flatMap((connections) => {
    const loads = hits.loads.filter((load) => load.connections === connections);
    const head = (what: string): string[] => [what, ...loads.map(({ title }) => title.split(",")[0] ?? "")];
    const [base] = hits.arms;
    return [
      ...["", `## Hits, ${connections} connection${connections === 1 ? "" : "s"}`, ""],
      `${micros(loads[0]?.requests ?? 0)} requests of each arm, answer and round. Times ${base?.name ?? ""} in the same round, median (95 % interval):`,
      ...[
        "",
        table(
          head("CPU"),
          rows(hits, loads, ({ cpuRatio }) => figures(cpuRatio, times)),
        ),
      ],
      ...[
        "",
        table(
          head("time to the whole answer"),
          rows(hits, loads, ({ p50Ratio }) => figures(p50Ratio, times)),
        ),
      ],
      ...["", "µs per request: CPU, and p50 / p99 of the time to the whole answer.", ""],
      table(head("CPU"), rows(hits, loads, cpuCell)),
      "",
      table(
        head("p50 / p99"),
        rows(hits, loads, ({ p50Micros, p99Micros }) => `${micros(p50Micros)} / ${micros(p99Micros)}`),
      ),
    ];
  });
  const missHead = (what: string): string[] => [what, ...misses.loads.map(({ title }) => title)];
  return [
    "# What giving an answer again costs",
    "",
    `${report.conditions}.`,
    "",
    "Chat questions of 4 KB, and answers that a model server has given once before. CPU time is user + system of Envoy and of everything else that an arm has. Time: from writing a request to the last byte of its answer, at the client.",
    "Every answer was seen to be the same bytes before it was timed, and to be marked as stored; while hits were timed the model server got no call.",
    "",
    ...goalLines(hits, summaries),
    ...sections,
    ...["", "## Misses", ""],
    "Every question is new, every answer is stored (seen in the filter's counters). µs per request over the arm in the row above, in the same round: median (95 % interval).",
    ...[
      "",
      table(
        missHead("CPU"),
        rows(misses, misses.loads, ({ cpuOver }) => figures(cpuOver, micros)),
      ),
    ],
    ...[
      "",
      table(
        missHead("time to the whole answer"),
        rows(misses, misses.loads, ({ p50Over }) => figures(p50Over, micros)),
      ),
    ],
    ...["", "µs per request: CPU, and p50 / p99.", ""],
    table(missHead("CPU"), rows(misses, misses.loads, cpuCell)),
    "",
    table(
      missHead("p50 / p99"),
      rows(misses, misses.loads, ({ p50Micros, p99Micros }) => `${micros(p50Micros)} / ${micros(p99Micros)}`),
    ),
    ...["", "## A hundred at once", ""],
    "Calls of the model server when a hundred clients ask at once for the same stream, which nobody has asked for before:",
    "",
    table(
      ["arm", "calls"],
      together.map(({ arm, calls }) => [arm, `${calls}`]),
    ),
    ...["", "## Arms", ""],
    ...[...hits.arms, ...misses.arms].map(({ name, does }) => `- \`${name}\`: ${does}`),
    "",
  ].join("\n");
}

/** How our own arms stand to the goal. */
function goalLines({ arms, loads }: CachingGroup, summaries: readonly CachingSummary[]): string[] {
  const ours = arms.filter(({ name }) => name === "prompt-cache" || name === "llm-gateway");
  return ours.map(({ name }) => {
    const own = summaries.filter((one) => one.arm === name && loads.some(({ name: load }) => load === one.load));
    const kept = (figure: "cpuRatio" | "p50Ratio"): number =>
      own.filter((one) => (one[figure]?.median ?? Number.POSITIVE_INFINITY) <= goal).length;
    return `- \`${name}\` is within ${goal} x ${arms[0]?.name ?? ""} under ${kept("cpuRatio")} of ${own.length} loads in CPU, and under ${kept("p50Ratio")} of ${own.length} in time.`;
  });
}
