import { describe, expect, it } from "vitest";
import { rotated, type Sample } from "./measure.ts";
import { position, svg } from "./plot.ts";
import { markdown, micros, type Report } from "./report.ts";
import { summarise } from "./summary.ts";

const sample = (arm: string, round: number, envoyMicros: number, helperMicros = 0): Sample => ({
  load: "1k",
  arm,
  round,
  requests: 100,
  envoyMicros,
  helperMicros,
  seconds: 1,
  framesPerAnswer: 1,
});

const samples = [
  ...[sample("bare", 1, 100), sample("bare", 2, 200), sample("bare", 3, 90)],
  // Out of order on purpose: pairs are made by round.
  ...[sample("lua", 3, 120), sample("lua", 1, 130), sample("lua", 2, 240)],
  ...[sample("ext_proc", 1, 150, 200), sample("ext_proc", 2, 260, 210), sample("ext_proc", 3, 140, 190)],
];
const arms = ["bare", "lua", "ext_proc"];

const report: Report = {
  machine: {
    ...{ cpu: "Test <CPU>", cores: 2, memoryGiB: 8, kernel: "6.0", node: "v20", go: "go1.26", loadAverage: 0.5 },
    goModules: { "example.org/x": "v1.2.3" },
  },
  envoy: "1.40.0",
  settings: { rounds: 3, modelFirst: false },
  loads: [{ name: "1k", title: "1 KB", requests: 100, events: true }],
  arms: arms.map((name) => ({
    name,
    does: `does ${name}`,
    proof: { routed: name !== "bare", usageOfAnswer: true, usageOfStream: false, cutRequest: "routed" },
  })),
  absent: [{ name: "go", reason: "not built" }],
  summaries: summarise(samples, ["1k"], arms),
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

describe("rounds", () => {
  it("begin one arm further on each time and lose none", () => {
    expect([0, 1, 2, 3].map((round) => rotated(arms, round)[0])).toEqual(["bare", "lua", "ext_proc", "bare"]);
    expect(rotated(arms, 5).sort()).toEqual([...arms].sort());
    expect(rotated([], 3)).toEqual([]);
  });
});

describe("table", () => {
  const text = markdown(report);

  it("has the difference, the absolute figures and what each arm was seen to do", () => {
    expect(text).toContain("| lua | 30 (30 to 35) |");
    expect(text).toContain("| ext_proc | 240 |");
    expect(text).toContain("| ext_proc | 330 / 350, helper 200 |");
    expect(text).toContain("| lua | yes | yes | no | routed | 1 | does lua |");
    expect(text).toContain("Not measured: go (not built).");
    expect(text).toContain("example.org/x v1.2.3");
  });

  it("leaves bare out of the differences", () => {
    expect(text.match(/^\| bare /gm)).toHaveLength(2);
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
    const odd = { ...report, loads: [{ name: "1k", title: "<1 & 2>", requests: 1, events: false }] };
    expect(svg(odd)).not.toContain("<1 & 2>");
  });
});
