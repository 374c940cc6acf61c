import { describe, expect, it } from "vitest";
import { type Family, loads, meet } from "./loads.ts";
import { rotated, type Sample } from "./measure.ts";
import { position, svg } from "./plot.ts";
import { markdown, micros, type Report } from "./report.ts";
import { summarise } from "./summary.ts";

const sample = (
  arm: string,
  round: number,
  envoyMicros: number,
  helperMicros: Readonly<Record<string, number>> = {},
  more: Partial<Sample> = {},
): Sample => ({
  load: "1k",
  arm,
  round,
  requests: 100,
  envoyMicros,
  helperMicros,
  seconds: 1,
  framesPerAnswer: 1,
  p50Micros: 1_000,
  p99Micros: 2_000,
  ...more,
});

/** Of the load about budgets. */
const timed = (arm: string, round: number, envoy: number, helpers: Record<string, number>, p50: number): Sample =>
  sample(arm, round, envoy, helpers, { load: "c1", p50Micros: p50, p99Micros: 3 * p50 });

const samples = [
  ...[sample("bare", 1, 100), sample("bare", 2, 200), sample("bare", 3, 90)],
  // Out of order on purpose: pairs are made by round.
  ...[sample("lua", 3, 120), sample("lua", 1, 130), sample("lua", 2, 240)],
  ...[
    sample("ext_proc", 1, 150, { ext_proc: 200 }),
    sample("ext_proc", 2, 260, { ext_proc: 210 }),
    sample("ext_proc", 3, 140, { ext_proc: 190 }),
  ],
  ...[timed("bare", 1, 100, {}, 200), timed("bare", 2, 200, {}, 300)],
  ...[
    timed("strict", 1, 160, { redis: 10, ledger: 130 }, 290),
    timed("strict", 2, 260, { redis: 12, ledger: 128 }, 390),
  ],
  ...[timed("global ratelimit", 1, 300, { redis: 50, ratelimit: 150 }, 900)],
  ...[timed("global ratelimit", 2, 400, { redis: 52, ratelimit: 148 }, 1_000)],
];
const families = {
  bare: "both",
  lua: "routing",
  ext_proc: "routing",
  strict: "limits",
  "global ratelimit": "limits",
} as const;
const arms = Object.keys(families) as (keyof typeof families)[];

const report: Report = {
  machine: {
    ...{ cpu: "Test <CPU>", cores: 2, memoryGiB: 8, kernel: "6.0", node: "v20", go: "go1.26", loadAverage: 0.5 },
    goModules: { "example.org/x": "v1.2.3" },
  },
  envoy: "1.40.0",
  settings: { rounds: 3, modelFirst: false },
  loads: [
    { name: "1k", title: "1 KB", family: "routing", requests: 100, events: true },
    { name: "c1", title: "1 connection", family: "limits", requests: 100, events: false },
  ],
  arms: arms.map((name) => ({
    name,
    does: `does ${name}`,
    family: families[name],
    proof: {
      ...{ routed: name !== "bare", usageOfAnswer: true, usageOfStream: false, cutRequest: "routed" },
      charged: name === "strict" ? "exactly" : undefined,
    },
  })),
  absent: [{ name: "go", reason: "not built" }],
  summaries: summarise(samples, ["1k", "c1"], arms),
};

describe("summary", () => {
  it("pairs by round, counts the helper, and takes the minimum alone", () => {
    const [bare, lua, extProc] = report.summaries;
    expect(bare?.overBare?.median).toBe(0);
    expect(lua).toMatchObject({ minMicros: 120, medianMicros: 130, minOverBare: 30, overBare: { median: 30 } });
    expect(extProc).toMatchObject({ minMicros: 330, helperMicros: 200, overBare: { median: 250 } });
  });

  it("compares with nothing when bare was not measured", () => {
    expect(summarise(samples, ["1k"], ["lua"])[0]?.overBare).toBeDefined();
    const alone = samples.filter(({ arm }) => arm !== "bare");
    expect(summarise(alone, ["1k"], ["lua"])[0]).toMatchObject({ overBare: undefined, minOverBare: undefined });
  });
});

describe("loads", () => {
  it("meet the arms of their family, and those of both meet all", () => {
    const names = (family: Family | undefined) =>
      loads.filter((load) => meet(family === undefined ? {} : { family }, load)).map(({ name }) => name);
    expect(names(undefined)).toEqual(["1k", "16k", "128k", "1m", "sse"]);
    expect(names("limits")).toEqual(["sse", "c1", "c16"]);
    expect(names("both")).toEqual(loads.map(({ name }) => name));
  });
});

describe("rounds", () => {
  it("begin one arm further on each time and lose none", () => {
    const three = arms.slice(0, 3);
    expect([0, 1, 2, 3].map((round) => rotated(three, round)[0])).toEqual(["bare", "lua", "ext_proc", "bare"]);
    expect(rotated(arms, 7).sort()).toEqual([...arms].sort());
    expect(rotated([], 3)).toEqual([]);
  });
});

describe("table", () => {
  const text = markdown(report);

  it("has the difference, the absolute figures and what each arm was seen to do", () => {
    expect(text).toContain("| lua | 30 (30 to 35) |");
    expect(text).toContain("| ext_proc | 240 |");
    expect(text).toContain("| ext_proc | 330 / 350, helper 200 |");
    expect(text).toContain("| lua | yes | yes | no | routed |  | 1 | does lua |");
    expect(text).toContain("| strict | yes | yes | no | routed | exactly |  | does strict |");
    expect(text).toContain("Not measured: go (not built).");
    expect(text).toContain("example.org/x v1.2.3");
  });

  it("leaves bare out of the differences", () => {
    const [routing] = text.split("## Budgets");
    expect(routing?.match(/^\| bare /gm)).toHaveLength(1);
  });

  it("has what budgets cost in Envoy and behind it, what that is of the reference, and the time to the answer, beside the arms that route", () => {
    const [routing = "", limits = ""] = text.split("## Budgets of tokens");
    for (const name of ["strict", "global ratelimit"]) expect(routing).not.toContain(`| ${name} |`);
    expect(routing).toContain("| arm | 1 KB |\n");
    expect(limits).toContain("| bare | 150 | - | - | - |");
    expect(limits).toContain("| strict | 210 | redis 11, ledger 129 | 200 (200 to 200) | 0.50 |");
    expect(limits).toContain("| global ratelimit | 350 | redis 51, ratelimit 149 | 400 (400 to 400) | 1.00 |");
    expect(limits).toContain("| strict | 340 | 1,020 | 90 (90 to 90) | 270 (270 to 270) |");
    expect(limits.split("## What each arm")[0]).not.toContain("| lua |");
  });

  it("says nothing of budgets when no such load was run", () => {
    const { loads, ...rest } = report;
    expect(markdown({ ...rest, loads: loads.slice(0, 1) })).not.toContain("Budgets");
  });

  it("writes thousands with a comma and no minus zero", () => {
    expect([micros(1_234.5), micros(-0.2), micros(-7.6)]).toEqual(["1,235", "0", "-8"]);
  });
});

describe("plot", () => {
  it("is linear near zero, logarithmic above, and has a place for less than nothing", () => {
    expect([-5, 0, 5, 10, 100, 1_000].map(position)).toEqual([0, 0, 0.5, 1, 2, 3]);
  });

  it("draws one bar per arm but bare, longer for what costs more, inside the picture", () => {
    const picture = svg(report);
    const bars = [...picture.matchAll(/<rect x="160" y="\d+" width="([\d.]+)"/g)].map((bar) => Number(bar[1]));
    expect(bars).toHaveLength(2);
    expect(bars[1]).toBeGreaterThan(bars[0] ?? Number.POSITIVE_INFINITY);
    expect(Math.max(...bars)).toBeLessThanOrEqual(650);
    expect(picture).toContain(">250</text>");
  });

  it("escapes what would be markup", () => {
    const odd: Report = {
      ...report,
      loads: [{ name: "1k", title: "<1 & 2>", family: "routing", requests: 1, events: false }],
    };
    expect(svg(odd)).not.toContain("<1 & 2>");
  });
});
