/** `npm run bench -- sim [flags]`: runs scenarios x policies x seeds in virtual time, writes table, figures and plots. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { projectRoot } from "../../envoy/harness/index.ts";
import { positive } from "../flags.ts";
import { type AffinityConstants, buildPicker, constantNames, type PickerModule, prefixAffinity } from "./picker.ts";
import { heldOutPlan, type Plan, tuningPlan } from "./plan.ts";
import { plots } from "./plot.ts";
import { rivals } from "./policies.ts";
import { type Remap, remap } from "./remap.ts";
import { markdown } from "./report.ts";
import { type Result, runPlan } from "./run-plan.ts";

const fullSeeds = 3;

interface Options {
  readonly scenario?: readonly string[];
  readonly policy?: readonly string[];
  readonly seeds: number;
  readonly seed?: number;
  readonly workers?: readonly number[];
  readonly engine: "paged" | "reserving";
  readonly set?: AffinityConstants;
  readonly heldOut?: true;
  readonly rivalsFrom?: readonly string[];
  readonly json?: true;
  readonly out?: string;
}

export async function main(argv: readonly string[]): Promise<void> {
  const options = new Command("bench sim")
    .description("Endpoint picking policies against simulated replicas, in virtual time")
    .option("--scenario <names>", "only these, by name or its beginning, comma separated", names)
    .option("--policy <names>", "only these", names)
    .option("--seeds <n>", "seeds 1..n; figures are their means", positive, fullSeeds)
    .option("--seed <n>", "only this seed", positive)
    .option("--workers <list>", "only these numbers of workers of our policy", numbers)
    .option("--set <json>", "constants of our policy for a trial, such as bound or slackTokens", constants)
    .addOption(
      new Option(
        "--engine <kind>",
        "paged, or the model that envoy/replica serves in real time, to compare with a run on Envoy",
      )
        .choices(["paged", "reserving"])
        .default("paged"),
    )
    .option("--held-out", "the scenarios that no constant was chosen by, in place of the others")
    .option(
      "--rivals-from <files>",
      "take the other policies from sim.json or sim-held-out.json of an earlier run",
      names,
    )
    .option("--json", "print one JSON object per scenario and policy on standard output")
    .option(
      "--out <dir>",
      "folder for the results; default bench/results for a full run, build/bench/results for any other",
    )
    .parse(argv as string[], { from: "user" })
    .opts<Options>();
  const root = projectRoot();
  const progress = (text: string): void => void process.stderr.write(`${text}\n`);
  progress("bench: compiling the picker");
  const plan: Plan = options.heldOut ? heldOutPlan : tuningPlan;
  const seeds =
    options.seed === undefined ? Array.from({ length: options.seeds }, (_, index) => index + 1) : [options.seed];
  const { scenario, policy, workers, engine } = options;
  const module = buildPicker(root);
  const results = runPlan(plan, {
    module,
    seeds,
    engine,
    only: { scenario, policy, workers },
    constants: options.set,
    known: (options.rivalsFrom ?? []).flatMap((file) => readResults(file, seeds)),
    onRun: (text) => progress(`bench: ${text}`),
  });
  const trial = [scenario, policy, workers, options.set, options.seed].some((one) => one !== undefined);
  const full = !trial && options.seeds >= fullSeeds && engine === "paged";
  const folder = options.out ?? join(root, full ? "bench/results" : "build/bench/results");
  const name = options.heldOut ? "sim-held-out" : "sim";
  mkdirSync(folder, { recursive: true });
  const moved = trial || options.heldOut ? [] : keysThatMove(module);
  const report = markdown(plan, results, seeds, moved);
  writeFileSync(join(folder, `${name}.md`), report);
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify({ seeds, results, moved }, null, 1)}\n`);
  for (const { file, svg } of plots(plan, results)) writeFileSync(join(folder, `${name}-${file}.svg`), svg);
  if (options.json) for (const result of results) console.log(JSON.stringify({ bench: "sim", ...result }));
  else console.log(report);
  progress(`bench: results in ${folder}`);
}

/** Error for a file with other seeds: means of these and those cannot be compared. */
function readResults(file: string, seeds: readonly number[]): readonly Result[] {
  // A figure that is not a number is null in JSON.
  const read: { seeds: number[]; results: Result[] } = JSON.parse(
    readFileSync(file, "utf8"),
    (_, value) => value ?? Number.NaN,
  );
  if (read.seeds.join() !== seeds.join())
    throw new Error(`${file} has seeds ${read.seeds.join()}, not ${seeds.join()}`);
  return read.results;
}

/** Of the policies that have a key. */
function keysThatMove(module: PickerModule): { label: string; remaps: Remap[] }[] {
  const keyed = rivals.filter(({ name }) => ["ring-hash", "maglev", "chwbl-256"].includes(name));
  return [...keyed, { title: "ours", create: prefixAffinity(module) }].map(({ title, create }) => ({
    label: title,
    remaps: [8, 32].map((replicas) => remap(create, replicas)),
  }));
}

const names = (text: string): string[] => text.split(",");

const numbers = (text: string): number[] => names(text).map(positive);

function constants(text: string): AffinityConstants {
  const value: unknown = parsed(text);
  if (typeof value !== "object" || value === null) throw new InvalidArgumentError("want a JSON object");
  for (const [key, number] of Object.entries(value)) {
    if (!constantNames.some((name) => name === key) || typeof number !== "number")
      throw new InvalidArgumentError(`want numbers for ${constantNames.join(", ")}`);
  }
  return value;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
