import { describe, expect, it } from "vitest";
import { type Conditions, type Job, markdown, microsOf, type Sample, sizeName, summarise } from "./report.ts";

const sample = (job: Job, round: number, nanos: readonly number[], grownPages = 0, kind = "prose"): Sample => ({
  ...{ kind, bytes: 1_048_576, job, round, batch: 2, nanos, grownPages },
});

const conditions: Conditions = {
  ...{ cpu: "a CPU", cores: 2, kernel: "6.0", node: "v20", envoy: "1.40.0", loadAverage: 0.5, rounds: 3 },
  kinds: { prose: "English text" },
};

describe("summary", () => {
  it("takes the median of a request's samples, per repetition", () => {
    expect(microsOf(sample("scan", 1, [9_000, 2_000, 4_000]))).toBe(2);
  });

  it("compares decoding and scanning of the same round, so that drift cancels", () => {
    const samples = [1, 2, 3].flatMap((round) => [
      // The machine is slower in every round; samples come in any order.
      sample("decode", round, [10_000 * round], 570),
      sample("scan", round, [2_000 * round], 1),
      sample("fetch", round, [1_000 * round]),
    ]);
    const [row, ...others] = summarise(samples.reverse());
    expect(others).toEqual([]);
    expect(row?.ratio).toEqual({ lowerQuartile: 5, median: 5, upperQuartile: 5 });
    expect(row?.micros).toEqual({ fetch: 1, scan: 2, decode: 10 });
    expect(row?.grownPages).toEqual({ fetch: 0, scan: 1, decode: 570 });
  });

  it("has a row for each body", () => {
    const samples = ["prose", "cjk"].flatMap((kind) => [
      sample("scan", 1, [1], 0, kind),
      { ...sample("scan", 1, [1], 0, kind), bytes: 1_024 },
    ]);
    expect(summarise(samples).map(({ kind, bytes }) => `${kind} ${bytes}`)).toEqual([
      ...["prose 1048576", "prose 1024", "cjk 1048576", "cjk 1024"],
    ]);
  });
});

describe("report", () => {
  it("says size, times, ratio and memory of each body, and what the bodies are", () => {
    const samples = [sample("decode", 1, [1_700_000], 65), sample("scan", 1, [300_000]), sample("fetch", 1, [80_000])];
    const text = markdown(summarise(samples), conditions);
    expect(text).toContain("| prose | 1 MB | 40 | 150 | 850 | 5.7 (5.7 to 5.7) | 0 | 65 |");
    expect(text).toContain("Envoy 1.40.0");
    expect(text).toContain("- prose: English text");
  });

  it("names sizes as people do", () => {
    expect([1_024, 16_384, 131_072, 1_048_576, 10_485_760].map(sizeName)).toEqual([
      ...["1 KB", "16 KB", "128 KB", "1 MB", "10 MB"],
    ]);
  });
});
