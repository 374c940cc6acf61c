/** What our policy must reach on the tuning set, as data, and whether it does. */
import type { Measures } from "./measures.ts";
import type { Result } from "./run-plan.ts";

interface Target {
  readonly scenario: string;
  readonly text: string;
  readonly value: (mean: Measures) => number;
  readonly reached: (value: number) => boolean;
}

const atLeast = (scenario: string, what: string, limit: number, value: Target["value"]): Target => ({
  scenario,
  text: `${what} >= ${limit}`,
  value,
  reached: (actual) => actual >= limit,
});

const atMost = (scenario: string, what: string, limit: number, value: Target["value"]): Target => ({
  scenario,
  text: `${what} <= ${limit}`,
  value,
  reached: (actual) => actual <= limit,
});

const targets: readonly Target[] = [
  atLeast("S1@45", "hit %", 97, ({ hit }) => hit),
  atMost("S1@45", "TTFT p99 ms", 150, ({ ttft99 }) => ttft99),
  atLeast("S2", "hit %", 66, ({ hit }) => hit),
  atMost("S2", "TTFT p99 ms", 400, ({ ttft99 }) => ttft99),
  atMost("S3", "TTFT p99 ms", 400, ({ ttft99 }) => ttft99),
  atMost("S3", "imbalance", 2, ({ imbalance }) => imbalance),
];

/** Worse than the best rival by more than this is too much. */
const MARGIN = 1.1;

export interface Check {
  readonly scenario: string;
  readonly policy: string;
  readonly target: string;
  readonly value: number;
  readonly reached: boolean;
}

/** Of all results of our policy as it is in Envoy: fixed targets, and in each scenario p99 against the best rival of the same section that did not collapse. */
export function checks(results: readonly Result[]): Check[] {
  return results
    .filter(({ row }) => row.policy === "ours" && (row.workers === 1 || row.gossipMs === 0))
    .flatMap(({ section, scenario, row, mean }) => {
      const fixed = targets
        .filter((target) => target.scenario === scenario)
        .map(({ text, value, reached }) => ({ target: text, value: value(mean), reached: reached(value(mean)) }));
      const best = bestRival(results, section, scenario);
      const against =
        best === undefined
          ? []
          : [
              {
                target: `TTFT p99 ms <= ${MARGIN} x ${best.mean.ttft99.toFixed(0)} (${best.row.label})`,
                value: mean.ttft99,
                reached: !mean.collapsed && mean.ttft99 <= MARGIN * best.mean.ttft99,
              },
            ];
      return [...fixed, ...against].map((check) => ({ scenario, policy: row.label, ...check }));
    });
}

function bestRival(results: readonly Result[], section: string, scenario: string): Result | undefined {
  return results
    .filter((one) => one.section === section && one.scenario === scenario)
    .filter(({ row, mean }) => row.policy !== "ours" && row.workers === 1 && !mean.collapsed)
    .sort((a, b) => a.mean.ttft99 - b.mean.ttft99)[0];
}
