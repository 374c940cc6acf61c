/** The result as Markdown. Pure. */
import { median, type Spread, spread } from "../envoy/statistics.ts";

export const jobs = ["fetch", "scan", "decode"] as const;
export type Job = (typeof jobs)[number];

/** One request: the times of its samples, each of them `batch` repetitions. */
export interface Sample {
  readonly kind: string;
  readonly bytes: number;
  readonly job: Job;
  readonly round: number;
  readonly batch: number;
  readonly nanos: readonly number[];
  /** Pages of linear memory that the job's VM had grown by since it started. */
  readonly grownPages: number;
}

export interface Row {
  readonly kind: string;
  readonly bytes: number;
  /** Medians in µs per body. */
  readonly micros: Readonly<Record<Job, number>>;
  /** How many times as long decoding takes, round by round. */
  readonly ratio: Spread;
  readonly grownPages: Readonly<Record<Job, number>>;
}

/** µs per body: the median of the request's samples. */
export const microsOf = ({ nanos, batch }: Sample): number => median(nanos) / batch / 1_000;

/** One row per kind and size, in order of appearance. */
export function summarise(samples: readonly Sample[]): Row[] {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = `${sample.bytes} ${sample.kind}`;
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  return [...groups.values()].flatMap((group): Row[] => {
    const [first] = group;
    if (first === undefined) return [];
    const of = (job: Job): Sample[] => group.filter((one) => one.job === job).sort((a, b) => a.round - b.round);
    const perJob = <T>(value: (own: Sample[]) => T): Record<Job, T> => ({
      fetch: value(of("fetch")),
      scan: value(of("scan")),
      decode: value(of("decode")),
    });
    const scans = of("scan").map(microsOf);
    return [
      {
        kind: first.kind,
        bytes: first.bytes,
        micros: perJob((own) => median(own.map(microsOf))),
        ratio: spread(of("decode").map((sample, round) => microsOf(sample) / (scans[round] ?? Number.NaN))),
        grownPages: perJob((own) => Math.max(0, ...own.map(({ grownPages }) => grownPages))),
      },
    ];
  });
}

export interface Conditions {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly node: string;
  readonly envoy: string;
  readonly loadAverage: number;
  readonly rounds: number;
  /** What each kind of body is. */
  readonly kinds: Readonly<Record<string, string>>;
}

const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
const micros = (value: number): string => (value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en-US"));

/** 1,048,576 is "1 MB". */
export const sizeName = (bytes: number): string =>
  bytes < 1_000_000 ? `${Math.round(bytes / 1_024)} KB` : `${Math.round(bytes / 1_048_576)} MB`;

export function markdown(rows: readonly Row[], at: Conditions): string {
  const head = ["body", "size", "fetch", "scan", "decode", "decode / scan", "pages grown: scan", "decode"];
  const table = rows.map(({ kind, bytes, micros: time, ratio, grownPages }) => [
    kind,
    sizeName(bytes),
    micros(time.fetch),
    micros(time.scan),
    micros(time.decode),
    `${ratio.median.toFixed(1)} (${ratio.lowerQuartile.toFixed(1)} to ${ratio.upperQuartile.toFixed(1)})`,
    String(grownPages.scan),
    String(grownPages.decode),
  ]);
  return [
    "# Scanning a body and decoding it to a string, inside Envoy",
    "",
    `Envoy ${at.envoy}, one worker; ${at.cores} x ${at.cpu}, Linux ${at.kernel}, Node ${at.node}; load average ${at.loadAverage.toFixed(2)} at the start; ${at.rounds} rounds.`,
    "µs per body by Envoy's clock, median of the rounds. All three fetch the body from Envoy in windows of 64 KiB: `fetch` does nothing else, `scan` is what `llm-router` does",
    "(UTF-8 checked, scanned to the last byte, `model` read), `decode` is `String.UTF8.decode` of AssemblyScript. The ratio is taken round by round: median (quartiles).",
    "Pages are 64 KiB of linear memory, grown since the VM started, by all bodies up to this size.",
    "",
    line(head),
    line(head.map((_, index) => (index < 2 ? "---" : "---:"))),
    ...table.map(line),
    "",
    ...Object.entries(at.kinds).map(([kind, what]) => `- ${kind}: ${what}`),
    "",
  ].join("\n");
}
