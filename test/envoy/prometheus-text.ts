/**
 * Reads Prometheus' text exposition format, and throws at whatever a scraper would refuse or misread: so that a test of metrics is a test of the format too.
 * https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md
 */
export type MetricType = "counter" | "gauge" | "histogram" | "summary" | "untyped";

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** All samples of one `# TYPE` line, with the suffixes of histograms and summaries. */
export interface Family {
  readonly type: MetricType;
  readonly samples: readonly Sample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"/;
const SUFFIXES: Readonly<Record<MetricType, readonly string[]>> = {
  counter: [""],
  gauge: [""],
  untyped: [""],
  histogram: ["_bucket", "_sum", "_count"],
  summary: ["", "_sum", "_count"],
};

/** @throws Error with the line that is wrong */
export function parsePrometheus(text: string): Map<string, Family> {
  if (text !== "" && !text.endsWith("\n")) throw new Error("the last line has no line feed");
  const families = new Map<string, { type: MetricType; samples: Sample[] }>();
  const seen = new Set<string>();
  let current: string | undefined;
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("# HELP ")) continue;
    const [, name = "", type = ""] = /^# TYPE (\S+) (counter|gauge|histogram|summary|untyped)$/.exec(line) ?? [];
    if (name !== "") {
      if (families.has(name)) throw new Error(`a second TYPE line: ${line}`);
      families.set(name, { type: type as MetricType, samples: [] });
      current = name;
      continue;
    }
    if (line.startsWith("#")) throw new Error(`a comment that nobody needs: ${line}`);
    const sample = parseSample(line);
    const family = current === undefined ? undefined : families.get(current);
    if (family === undefined || !SUFFIXES[family.type].some((suffix) => sample.name === current + suffix))
      throw new Error(`outside its family: ${line}`);
    const identity = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`;
    if (seen.has(identity)) throw new Error(`twice: ${line}`);
    seen.add(identity);
    family.samples.push(sample);
  }
  for (const [name, family] of families) if (family.type === "histogram") checkHistogram(name, family.samples);
  return families;
}

function parseSample(line: string): Sample {
  const name = NAME.exec(line)?.[0];
  if (name === undefined) throw new Error(`no metric name: ${line}`);
  let rest = line.slice(name.length);
  const labels: Record<string, string> = {};
  if (rest.startsWith("{")) {
    rest = rest.slice(1);
    while (!rest.startsWith("}")) {
      const [all, label, value] = LABEL.exec(rest) ?? [];
      if (all === undefined || label === undefined || value === undefined) throw new Error(`bad label: ${line}`);
      if (label in labels) throw new Error(`a label twice: ${line}`);
      labels[label] = value.replace(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char));
      rest = rest.slice(all.length).replace(/^,/, "");
    }
    rest = rest.slice(1);
  }
  const number = /^ (\S+)$/.exec(rest)?.[1] ?? "";
  const value = number === "+Inf" ? Number.POSITIVE_INFINITY : Number(number);
  if (number === "" || Number.isNaN(value)) throw new Error(`no value: ${line}`);
  return { name, labels, value };
}

/** Buckets are cumulative and end in +Inf, which is the count. */
function checkHistogram(name: string, samples: readonly Sample[]): void {
  const buckets = new Map<string, Sample[]>();
  const key = ({ le: _, ...labels }: Sample["labels"]): string => JSON.stringify(Object.entries(labels).sort());
  for (const sample of samples) {
    if (!sample.name.endsWith("_bucket")) continue;
    const list = buckets.get(key(sample.labels)) ?? [];
    buckets.set(key(sample.labels), [...list, sample]);
  }
  for (const [labels, list] of buckets) {
    const bounds = list.map(({ labels: { le = "" } }) => (le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le)));
    const rises = (values: readonly number[], least: number): boolean =>
      values.every((value, i) => i === 0 || value - (values[i - 1] ?? 0) >= least);
    const counts = list.map(({ value }) => value);
    const count = samples.find((one) => one.name === `${name}_count` && key(one.labels) === labels)?.value;
    if (bounds.some(Number.isNaN) || bounds.at(-1) !== Number.POSITIVE_INFINITY || !rises(bounds, Number.MIN_VALUE))
      throw new Error(`${name}${labels}: bounds ${bounds.join()}`);
    if (!rises(counts, 0) || counts.at(-1) !== count)
      throw new Error(`${name}${labels}: counts ${counts.join()}, ${count}`);
  }
}
