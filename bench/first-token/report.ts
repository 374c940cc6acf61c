/** The result as Markdown. Pure. */
import { micros, table } from "../envoy/report.ts";
import { contains, type Interval, median, medianInterval, pairedDifferences, quantile } from "../envoy/statistics.ts";
import type { Sample } from "./measure.ts";
import type { Profile } from "./profiles.ts";

export interface Report {
  /** Machine, versions, size of the request. */
  readonly conditions: string;
  readonly results: readonly Result[];
}

export interface Result {
  readonly profile: Profile;
  /** The first is what the others are compared with; samples at the same index are of the same round. */
  readonly arms: readonly { readonly name: string; readonly samples: readonly Sample[] }[];
}

export const markdown = ({ conditions, results }: Report): string =>
  [
    "# Time to the first byte of a streamed answer",
    "",
    `µs at the client, one request at a time. ${conditions}.`,
    "Added: the median of the differences to the first arm in the same round, with their quartiles and the 95 % confidence interval of that median (sign test).",
    ...results.flatMap(section),
    "",
  ].join("\n");

function section({ profile, arms }: Result): string[] {
  const [base, ...others] = arms;
  if (base === undefined) return [];
  const waits = base.samples.some(({ upstreamMicros }) => upstreamMicros > 0);
  const ways = waits ? [atClient, withoutUpstream] : [atClient];
  const added = others.map(({ name, samples }) => ({
    name,
    ways: ways.map((way) => differences(way(samples), way(base.samples))),
  }));
  const columns = ["added", "quartiles", "95 % interval"];
  const rows = arms.map(({ name, samples }) => {
    const cells = [0.5, 0.9, 0.99].map((fraction) => micros(quantile(atClient(samples), fraction)));
    const own = added.find((one) => one.name === name)?.ways.flatMap(cellsOf) ?? [];
    return [name, ...cells, ...columns.map((_, index) => own[index] ?? "")];
  });
  const lines = [
    ...["", `## ${profile.name}`, "", profile.does, `${micros(base.samples.length)} requests of each arm.`, ""],
    table(["arm", "median", "p90", "p99", ...columns], rows),
    ...["", ...added.map(({ name, ways: [client] }) => `- ${name}: ${verdict(client)}`)],
  ];
  if (!waits) return lines;
  return [
    ...lines,
    "",
    "The same without the time that the upstream itself waited, which it reports with each answer. A client cannot see this, but it shows what the jitter hides:",
    "",
    table(
      ["arm", ...columns],
      added.map(({ name, ways: [, rest] }) => [name, ...(rest === undefined ? [] : cellsOf(rest))]),
    ),
    ...["", ...added.map(({ name, ways: [, rest] }) => `- ${name}: ${verdict(rest)}`)],
  ];
}

const atClient = (samples: readonly Sample[]): number[] => samples.map((sample) => sample.micros);
const withoutUpstream = (samples: readonly Sample[]): number[] =>
  samples.map((sample) => sample.micros - sample.upstreamMicros);

interface Added {
  readonly median: number;
  readonly quartiles: Interval;
  readonly interval: Interval;
}

function differences(values: readonly number[], base: readonly number[]): Added {
  const added = pairedDifferences(values, base);
  return {
    median: median(added),
    quartiles: { lower: quantile(added, 0.25), upper: quantile(added, 0.75) },
    interval: medianInterval(added),
  };
}

const range = ({ lower, upper }: Interval): string => `${micros(lower)} to ${micros(upper)}`;
const cellsOf = ({ median: middle, quartiles, interval }: Added): string[] => [
  micros(middle),
  range(quartiles),
  range(interval),
];

/** What the interval says in words. One that contains 0 does not show that there is no delay, only that it is no larger than the upper end. */
export function verdict(added: { readonly interval: Interval } | undefined): string {
  if (added === undefined) return "not measured";
  const { interval } = added;
  if (!contains(interval, 0)) {
    return `the interval (${range(interval)} µs) does not contain 0: a ${interval.lower > 0 ? "delay" : "gain"} that can be measured`;
  }
  return `the interval (${range(interval)} µs) contains 0: in this many requests the delay cannot be told from none; at most ${micros(interval.upper)} µs`;
}
