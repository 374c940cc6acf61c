import { describe, expect, it } from "vitest";
import { numberMark, prompt } from "./prompts.ts";
import { pickingMarkdown, summarisePicking } from "./report.ts";

const arms = ["bare", "ours", "ext_proc buffered", "ext_proc duplex"].map((name) => ({ name, does: `is ${name}` }));
const loads = [{ name: "4k", title: "4 KB" }];

/** A machine that gets slower from round to round; one request in four is slow. */
const samples = [0, 20, 100, 400].flatMap((added, index) =>
  [1, 2, 3, 4, 5].map((round) => ({
    ...{ load: "4k", arm: arms[index]?.name ?? "", round },
    envoyMicros: 100 * round + added / 2,
    helperMicros: index > 1 ? added / 2 : 0,
    firstMicros: [0, 0, 0, 40].map((slow) => 1_000 * round + added + slow),
  })),
);
const report = { conditions: "Envoy 1.40.0", loads, arms, samples };

describe("report", () => {
  it("compares within a round, so that the machine's drift cancels", () => {
    const [bare, ours, buffered] = summarisePicking(report);
    expect(bare).toMatchObject({ requests: 20, cpu: undefined, first: undefined, p50Micros: 3_000 });
    expect(ours).toMatchObject({ first: { median: 20, lowerQuartile: 20, upperQuartile: 20 }, cpu: { median: 10 } });
    expect(buffered).toMatchObject({ helperMicros: 50, cpu: { median: 100 } });
  });

  it("puts what an arm adds in relation to both ways to ask a server", () => {
    const text = pickingMarkdown(report);
    expect(text).toContain("## 4 KB\n\n20 requests of each arm.");
    expect(text).toContain("| bare | 3,000 | 5,032 | - | - | - | - | - |");
    expect(text).toContain("| ours | 3,020 | 5,052 | 20 | 20 | 20 (20 to 20) | 0.20 | 0.05 |");
    expect(text).toContain("| ext_proc buffered | 350 | 50 | 100 (100 to 100) | 1.00 | 0.25 |");
    expect(text).toContain("- `ours`: is ours");
  });
});

describe("prompt", () => {
  it.each([4_096, 225_280])("of %i bytes is new in its last quarter only", (bytes) => {
    const text = prompt(bytes, 1);
    const at = text.indexOf(numberMark);
    expect(text.length).toBeGreaterThan(0.9 * bytes);
    expect(text.lastIndexOf(numberMark)).toBe(at);
    expect(at / text.length).toBeGreaterThan(0.6);
    expect(at / text.length).toBeLessThan(0.85);
    expect(JSON.parse(text)).toMatchObject({ stream: true });
  });
});
