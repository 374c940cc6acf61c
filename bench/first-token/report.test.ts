import { describe, expect, it } from "vitest";
import { profiles } from "./profiles.ts";
import { markdown, type Result, verdict } from "./report.ts";

const [instant, replica] = profiles;
if (instant === undefined || replica === undefined) throw new Error("two profiles");

/** 20 rounds on a machine that gets slower from round to round; the upstream's own time differs from arm to arm. */
const arm = (name: string, added: number, upstreamMicros: (round: number) => number = () => 0) => ({
  name,
  samples: Array.from({ length: 20 }, (_, round) => {
    const waited = upstreamMicros(round);
    return { micros: 1_000 + 10 * round + added + (round % 2) + waited, upstreamMicros: waited };
  }),
});

const text = (results: readonly Result[]): string => markdown({ conditions: "Envoy 1.40.0", results });

describe("report", () => {
  it("has a table for each profile: percentiles, and what is added in the same round", () => {
    const report = text([{ profile: instant, arms: [arm("bare", 0), arm("empty", 40), arm("ours", 160)] }]);
    expect(report).toContain("one request at a time. Envoy 1.40.0.");
    expect(report).toContain(`## instant\n\n${instant.does}\n20 requests of each arm.`);
    expect(report).toContain("| bare | 1,096 | 1,172 | 1,189 |  |  |  |");
    expect(report).toContain("| empty | 1,136 | 1,212 | 1,229 | 40 | 40 to 40 | 40 to 40 |");
    expect(report).toContain("- ours: the interval (160 to 160 µs) does not contain 0: a delay that can be measured");
    expect(report).not.toContain("the upstream itself waited");
  });

  it("shows beside what a client sees what is left without the upstream's own time", () => {
    const arms = [
      arm("bare", 0, (round) => 25_000 + ((round * 7) % 20) * 100),
      arm("ours", 100, (round) => 25_000 + ((round * 3) % 20) * 100),
    ];
    const [client = "", rest = ""] = text([{ profile: replica, arms }]).split("The same without the time");
    expect(client).toMatch(/\| ours \| 27,\d{3} \|/);
    expect(client).toMatch(/- ours: the interval \(-.* µs\) contains 0: in this many requests .*; at most 5\d\d µs/);
    expect(rest).toContain("| ours | 100 | 100 to 100 | 100 to 100 |");
    expect(rest).toContain("- ours: the interval (100 to 100 µs) does not contain 0");
  });

  it("says what each interval means", () => {
    expect(verdict({ interval: { lower: 5, upper: 9 } })).toContain("does not contain 0: a delay");
    expect(verdict({ interval: { lower: -9, upper: -5 } })).toContain("does not contain 0: a gain");
    expect(verdict({ interval: { lower: -3, upper: 9 } })).toContain("contains 0: in this many requests");
    expect(verdict(undefined)).toBe("not measured");
  });
});
