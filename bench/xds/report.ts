/** Results of the bench as tables. A cell is the median of the rounds; behind it, for the time to the last stream, the least and the most. */
import { quantile } from "../envoy/statistics.ts";
import type { WorldSize } from "./world.ts";

export type Mode = "sotw" | "delta";

export interface Scale extends WorldSize {
  readonly streams: number;
}

interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

/** What the load prints; times in ms, sizes in bytes. */
export interface Measured {
  readonly firstFull: Quantiles;
  readonly firstFullCpuMs: number;
  readonly changeToStream: Quantiles;
  readonly changeToLast: Quantiles;
  readonly cpuMsPerChange: number;
  readonly bytesPerStreamAndChange: number;
  readonly messagesPerStreamAndChange: number;
  readonly redundant: number;
  readonly diverged: number;
  readonly rssEmpty: number;
  readonly rssFull: number;
  readonly rssPeak: number;
  readonly rssEnd: number;
  readonly burst?: {
    readonly changes: number;
    readonly lastAfterMs: number;
    readonly cpuMs: number;
    readonly messagesPerStream: number;
  };
}

export interface Result {
  readonly arm: string;
  readonly title: string;
  readonly mode: Mode;
  readonly scale: Scale;
  readonly rounds: readonly Measured[];
}

type Figure = (measured: Measured) => number;

const MB = 2 ** 20;
const number = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

export function median({ rounds }: Result, figure: Figure): number {
  return quantile(rounds.map(figure), 0.5);
}

const columns: readonly (readonly [title: string, cell: (result: Result) => string])[] = [
  ["", ({ title }) => title],
  ["first full p50 / p99 ms", (each) => pair(each, ({ firstFull }) => firstFull)],
  ["to a stream p50 / p99 ms", (each) => pair(each, ({ changeToStream }) => changeToStream)],
  ["to the last p50 / p99 ms", (each) => `${pair(each, ({ changeToLast }) => changeToLast)} (${range(each)})`],
  ["CPU ms per change", (each) => number(median(each, ({ cpuMsPerChange }) => cpuMsPerChange))],
  ["KB per stream and change", (each) => number(median(each, (one) => one.bytesPerStreamAndChange) / 1_000)],
  ["redundant", (each) => String(Math.max(...each.rounds.map(({ redundant }) => redundant)))],
  [
    "RSS MB empty / full / peak",
    (each) =>
      [(one: Measured) => one.rssEmpty, (one: Measured) => one.rssFull, (one: Measured) => one.rssPeak]
        .map((figure) => (median(each, figure) / MB).toFixed(0))
        .join(" / "),
  ],
];

const pair = (result: Result, quantiles: (measured: Measured) => Quantiles): string =>
  `${number(median(result, (one) => quantiles(one).p50))} / ${number(median(result, (one) => quantiles(one).p99))}`;

const range = ({ rounds }: Result): string => {
  const values = rounds.map(({ changeToLast }) => changeToLast.p50);
  return `${number(Math.min(...values))} to ${number(Math.max(...values))}`;
};

const scaleTitle = ({ streams, clusters, endpoints }: Scale): string =>
  `${streams} streams, ${clusters.toLocaleString("en")} clusters x ${endpoints} endpoints`;

export function markdown(results: readonly Result[], conditions: string): string {
  const lines = ["# xDS servers: from a change to the last Envoy", "", conditions, ""];
  const groups = grouped(results);
  for (const [title, group] of groups) {
    lines.push(`## ${title}`, "", row(columns.map(([name]) => name)), row(columns.map(() => "---")));
    for (const each of group) lines.push(row(columns.map(([, cell]) => cell(each))));
    lines.push("");
  }
  lines.push(...bursts(results), ...memory(results));
  return `${lines.join("\n").trimEnd()}\n`;
}

function grouped(results: readonly Result[]): ReadonlyMap<string, readonly Result[]> {
  const groups = new Map<string, Result[]>();
  for (const each of results) {
    const key = `${scaleTitle(each.scale)}, ${each.mode}`;
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  return groups;
}

/** What coalesces: changes that come faster than they are acknowledged. */
function bursts(results: readonly Result[]): readonly string[] {
  const measured = results.filter(({ rounds }) => rounds.some(({ burst }) => burst !== undefined));
  if (measured.length === 0) return [];
  const figure = (each: Result, of: (burst: NonNullable<Measured["burst"]>) => number): string =>
    number(median(each, ({ burst }) => (burst === undefined ? Number.NaN : of(burst))));
  return [
    "## Bursts: changes of the same clusters, 5 ms apart",
    "",
    row(["", "scale", "mode", "changes", "messages per stream", "last after ms", "CPU ms"]),
    row(Array(7).fill("---")),
    ...measured.map((each) =>
      row([
        ...[each.title, scaleTitle(each.scale), each.mode],
        figure(each, ({ changes }) => changes),
        figure(each, ({ messagesPerStream }) => messagesPerStream),
        figure(each, ({ lastAfterMs }) => lastAfterMs),
        figure(each, ({ cpuMs }) => cpuMs),
      ]),
    ),
    "",
  ];
}

/** Resident memory of a further stream that has everything: between the fewest and the most streams of one world. */
function memory(results: readonly Result[]): readonly string[] {
  const lines: string[] = [];
  for (const least of results) {
    const same = results.filter(
      ({ arm, mode, scale }) => arm === least.arm && mode === least.mode && scale.clusters === least.scale.clusters,
    );
    const most = same.reduce((a, b) => (b.scale.streams > a.scale.streams ? b : a));
    if (same.some(({ scale }) => scale.streams < least.scale.streams) || most === least) continue;
    const grown = median(most, ({ rssFull }) => rssFull) - median(least, ({ rssFull }) => rssFull);
    const kilobytes = grown / 1_000 / (most.scale.streams - least.scale.streams);
    lines.push(row([least.title, least.mode, `${least.scale.streams} to ${most.scale.streams}`, number(kilobytes)]));
  }
  if (lines.length === 0) return [];
  return [
    "## Memory of a further stream",
    "",
    row(["", "mode", "streams", "KB resident"]),
    row(Array(4).fill("---")),
    ...lines,
  ];
}

const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
