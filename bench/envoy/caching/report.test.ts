import { describe, expect, it } from "vitest";
import { cachingSvg } from "./plot.ts";
import { cachingMarkdown, summariseCaching } from "./report.ts";
import { answers, hitLoads, missLoads, question } from "./traffic.ts";

const rounds = [1, 2, 3, 4, 5, 6];
const arms = (...names: string[]) => names.map((name) => ({ name, does: `is ${name}` }));
const hits = {
  loads: [{ name: "1k", title: "1 KB JSON, 1 connection", requests: 250, connections: 1 }],
  arms: arms("direct_response", "prompt-cache", "Redis <proxy>"),
};
const misses = {
  loads: [{ name: "m", title: "JSON", requests: 100, connections: 1 }],
  arms: arms("bare", "without", "with"),
};

/** A machine that gets slower from round to round. */
const sample = (load: string, arm: string, round: number, times: number, more: object = {}) => ({
  ...{ load, arm, round },
  cpuMicros: { Envoy: 10 * round * times, ...more },
  p50Micros: 100 * round * times,
  p99Micros: 200 * round * times,
});
const samples = rounds.flatMap((round) => [
  sample("1k", "direct_response", round, 1),
  sample("1k", "prompt-cache", round, 1.4),
  sample("1k", "Redis <proxy>", round, 3, { Redis: 10 * round }),
  sample("m", "bare", round, 10 / round),
  sample("m", "without", round, 15 / round),
  sample("m", "with", round, 17 / round),
]);
const report = {
  conditions: "Envoy 1.40.0",
  ...{ hits, misses, samples },
  together: [{ arm: "prompt-cache", calls: 1 }],
};

describe("report", () => {
  it("compares within a round, so that the machine's drift cancels", () => {
    const [direct, ours, redis] = summariseCaching(report);
    expect(direct).toMatchObject({ cpuRatio: undefined, p50Over: undefined, p50Micros: 350 });
    expect(ours?.cpuRatio).toEqual({ median: 1.4, lower: 1.4, upper: 1.4 });
    expect(redis?.cpuRatio?.median).toBe(4);
    expect(redis?.p50Ratio?.median).toBeCloseTo(3);
  });

  it("says what each stage of a miss adds to the one before", () => {
    const [, without, cached] = summariseCaching(report).filter(({ load }) => load === "m");
    expect(without).toMatchObject({ cpuOver: { median: 50 }, p50Over: { median: 500 } });
    expect(cached?.cpuOver?.median).toBeCloseTo(20);
  });

  it("refuses samples that are not of the same rounds", () => {
    const others = samples.filter(({ arm, round }) => arm !== "prompt-cache" || round !== 3);
    expect(() => summariseCaching({ ...report, samples: others })).toThrow("same rounds");
  });

  it("has ratios, figures and the goal in its tables", () => {
    const text = cachingMarkdown(report);
    expect(text).toContain("- `prompt-cache` is within 1.5 x direct_response under 1 of 1 loads in CPU");
    expect(text).toContain("| prompt-cache | 1.40 (1.40 to 1.40) |");
    expect(text).toContain("| Redis <proxy> | 140 = Envoy 105 + Redis 35 |");
    expect(text).toContain("| with | 20 (20 to 20) |");
    expect(text).toContain("| prompt-cache | 1 |");
    const few = { ...report, samples: samples.filter(({ round }) => round < 3) };
    expect(cachingMarkdown(few)).toContain("| prompt-cache | 1.40 (? to ?) |");
  });

  it("draws a bar for each arm but the first", () => {
    const drawn = cachingSvg(report);
    expect(drawn.match(/<rect x="160"/g)).toHaveLength(2);
    expect(drawn).toContain("Redis &#60;proxy&#62;");
  });
});

describe("traffic", () => {
  it.each(answers.map((one) => [one.name, one] as const))("%s has its size, and is whole", (name, answer) => {
    const size = Buffer.byteLength(answer.body) / 1_024;
    const wanted = Number.parseInt(name, 10);
    expect(size).toBeLessThanOrEqual(wanted);
    expect(size).toBeGreaterThan(0.75 * wanted);
    if (answer.events === 0) expect(JSON.parse(answer.body)).toMatchObject({ choices: [{ finish_reason: "stop" }] });
    else expect(answer.body.split("\n\n")).toHaveLength(answer.events + 1);
  });

  it("asks another question for each answer", () => {
    expect(new Set(answers.map((one, index) => question(one, index + 1))).size).toBe(answers.length);
    expect(new Set([...hitLoads, ...missLoads].map(({ name }) => name)).size).toBe(19);
  });
});
