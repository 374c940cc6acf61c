/** Runs a plan: every section's scenarios, rows and seeds. A row that several sections ask for in the same scenario runs once. */
import type { EngineKind } from "./fleet.ts";
import { type Measures, meanOf } from "./measures.ts";
import { type AffinityConstants, type PickerModule, prefixAffinity } from "./picker.ts";
import type { Plan, Row } from "./plan.ts";
import { reportReader, rivals } from "./policies.ts";
import { type PolicyFactory, perWorker } from "./policy.ts";
import type { Scenario } from "./scenario.ts";
import { simulate } from "./simulation.ts";

export interface Result {
  readonly section: string;
  readonly scenario: string;
  readonly row: Row;
  /** Means of the seeds. */
  readonly mean: Measures;
  /** By seed. */
  readonly runs: readonly Measures[];
}

export interface PlanOptions {
  readonly module: PickerModule;
  readonly seeds: readonly number[];
  readonly engine?: EngineKind;
  readonly constants?: AffinityConstants | undefined;
  readonly only?: {
    readonly scenario?: readonly string[] | undefined;
    readonly policy?: readonly string[] | undefined;
    readonly workers?: readonly number[] | undefined;
  };
  /** Results of an earlier run with the same seeds: rivals that are there do not run again. They give the same figures as long as neither they nor the simulator change. */
  readonly known?: readonly Result[];
  readonly onRun?: (text: string) => void;
}

export function runPlan(plan: Plan, options: PlanOptions): Result[] {
  const { only = {}, seeds, onRun } = options;
  const done = new Map<string, Measures[]>();
  const run = (scenario: Scenario, row: Row): Measures[] => {
    const key = `${scenario.name}: ${row.label}`;
    const known = done.get(key);
    if (known !== undefined) return known;
    const earlier = options.known?.find((one) => one.scenario === scenario.name && one.row.label === row.label);
    if (row.policy !== "ours" && earlier !== undefined) return [...earlier.runs];
    const policy = factoryOf(row, options);
    const engine = options.engine ?? "paged";
    const gossip = row.gossipMs === undefined ? {} : { gossipMs: row.gossipMs };
    const runs = seeds.map((seed) => simulate({ scenario, policy, seed, workers: row.workers, engine, ...gossip }));
    done.set(key, runs);
    onRun?.(key);
    return runs;
  };
  return plan.flatMap(({ title, scenarios, rows }) =>
    scenarios
      .filter(({ name }) => only.scenario?.some((one) => name.startsWith(one)) ?? true)
      .flatMap((scenario) =>
        rows
          .filter(({ policy }) => only.policy?.includes(policy) ?? true)
          .filter(({ policy, workers }) => policy !== "ours" || (only.workers?.includes(workers) ?? true))
          .map((row) => {
            const runs = run(scenario, row);
            return { section: title, scenario: scenario.name, row, mean: meanOf(runs), runs };
          }),
      ),
  );
}

function factoryOf(row: Row, { module, constants }: PlanOptions): PolicyFactory {
  if (row.policy === "ours") return prefixAffinity(module, constants);
  const found = [...rivals, reportReader].find(({ name }) => name === row.policy);
  if (found === undefined) throw new Error(`there is no policy ${row.policy}`);
  return row.workers === 1 ? found.create : perWorker(found.create);
}
