/** `npm run bench -- envoy [flags]`: starts everything, proves every arm, measures, writes the results, stops everything. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { defaultVersion, projectRoot } from "../../envoy/harness/index.ts";
import { positive } from "../flags.ts";
import { type Arm, arms as allArms } from "./arms/index.ts";
import { buildBinaries, buildFilters, buildLedger } from "./binaries.ts";
import { main as caching } from "./caching/main.ts";
import { chatAnswer, chatStream } from "./chat.ts";
import { startCompanion } from "./companion.ts";
import { writeRequests } from "./load-generator.ts";
import { loads as allLoads, defaultRoute, type Load, models } from "./loads.ts";
import { machine } from "./machine.ts";
import { measure, type RunningArm, startArm, totalMicros } from "./measure.ts";
import { main as picking } from "./picking/main.ts";
import { svg } from "./plot.ts";
import { markdown, type Report } from "./report.ts";
import { summarise } from "./summary.ts";

interface Options {
  readonly arms: readonly Arm[];
  readonly loads: readonly Load[];
  readonly rounds: number;
  readonly requests?: number;
  readonly connections?: number;
  readonly modelFirst?: true;
  readonly json?: true;
  readonly out?: string;
}

/** Fewer rounds than this are a trial. */
const fullRounds = 8;

export async function main(argv: readonly string[]): Promise<void> {
  if (argv[0] === "picking") return picking(argv.slice(1));
  if (argv[0] === "caching") return caching(argv.slice(1));
  const options = parse(argv);
  if (process.platform !== "linux") throw new Error("CPU time is read from /proc: this benchmark runs on Linux only");
  const root = projectRoot();
  const stoppers: (() => Promise<void>)[] = [];
  const progress = (text: string): void => void process.stderr.write(`${text}\n`);
  try {
    progress("bench: building the Go programs");
    buildBinaries(root);
    if (options.arms.some(({ name }) => name.startsWith("llm-"))) buildFilters(root);
    if (options.arms.some(({ helpers = [] }) => helpers.some(({ name }) => name === "ledger"))) buildLedger(root);
    const conditions = machine(root);
    const files = await writeRequests(options.loads, options.modelFirst ?? false);
    stoppers.push(files.remove);
    const [answer, events] = [join(files.folder, "answer.json"), join(files.folder, "events.txt")];
    writeFileSync(answer, chatAnswer());
    writeFileSync(events, chatStream());
    const routes = [...models.map(({ route }) => route), defaultRoute].join(",");
    const upstream = await startCompanion(join(root, "build/bench/bin/upstream"), [
      ...["-routes", routes, "-answer", answer, "-events", events],
    ]);
    stoppers.push(upstream.stop);
    const running: RunningArm[] = [];
    const absent: { name: string; reason: string }[] = [];
    for (const arm of options.arms) {
      const reason = arm.missing?.(root) ?? arm.helpers?.map(({ missing }) => missing?.(root)).find(Boolean);
      if (reason !== undefined) {
        absent.push({ name: arm.name, reason });
        progress(`bench: without ${arm.name}: ${reason}`);
        continue;
      }
      const started = await startArm(arm, root, upstream.ready);
      stoppers.push(started.stop);
      running.push(started);
      progress(`bench: ${arm.name} does its job`);
    }
    const loads = options.loads.map((load) => ({
      ...load,
      requests: options.requests ?? load.requests,
      connections: options.connections ?? load.connections,
    }));
    const samples = await measure({
      ...{ root, arms: running, loads, rounds: options.rounds, files },
      onSample: (sample) => {
        const { load, arm, round } = sample;
        progress(
          `round ${round} ${load.padEnd(5)} ${arm.padEnd(20)} ${totalMicros(sample).toFixed(0).padStart(7)} µs/request`,
        );
      },
    });
    const names = running.map(({ arm }) => arm.name);
    const loadNames = loads.map(({ name }) => name);
    const summaries = summarise(samples, loadNames, names);
    const report: Report = {
      machine: conditions,
      envoy: defaultVersion(),
      settings: { rounds: options.rounds, modelFirst: options.modelFirst ?? false },
      loads,
      arms: running.map(({ arm: { name, does, family = "routing" }, proof }) => ({ name, does, family, proof })),
      absent,
      summaries,
    };
    const full = absent.length === 0 && isFull(options);
    const folder = options.out ?? join(root, full ? "bench/results" : "build/bench/results");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "envoy-cpu.json"), `${JSON.stringify({ ...report, samples }, null, 1)}\n`);
    writeFileSync(join(folder, "envoy-cpu.md"), markdown(report));
    writeFileSync(join(folder, "envoy-cpu.svg"), svg(report));
    if (options.json) for (const summary of summaries) console.log(JSON.stringify({ bench: "envoy", ...summary }));
    else console.log(markdown(report));
    progress(`bench: results in ${folder}`);
  } finally {
    // Newest first; one that cannot be stopped must not keep the others alive.
    const outcomes = [];
    for (const stop of stoppers.reverse()) outcomes.push(...(await Promise.allSettled([stop()])));
    for (const outcome of outcomes) if (outcome.status === "rejected") progress(`bench: ${String(outcome.reason)}`);
    if (outcomes.some(({ status }) => status === "rejected")) process.exitCode = 1;
  }
}

/** Only a full run may replace the checked-in results. */
const isFull = ({ arms, loads, rounds, requests, connections, modelFirst }: Options): boolean =>
  arms.length === allArms.length &&
  loads.length === allLoads.length &&
  rounds >= fullRounds &&
  requests === undefined &&
  connections === undefined &&
  !modelFirst;

function parse(argv: readonly string[]): Options {
  const command = new Command("bench envoy")
    .description(
      "CPU time per request of Envoy with several ways to route by the model in the body and to count tokens",
    )
    .option("--arms <list>", `comma list of ${allArms.map(({ name }) => name).join(", ")}`, pick("arm", allArms), [
      ...allArms,
    ])
    .option("--loads <list>", `comma list of ${allLoads.map(({ name }) => name).join(", ")}`, pick("load", allLoads), [
      ...allLoads,
    ])
    .option("--rounds <n>", "rounds; every arm is measured once per round", positive, 20)
    .option("--requests <n>", "requests per measurement, in place of each load's own number", positive)
    .option("--connections <n>", "connections of the load generator, in place of each load's own number", positive)
    .option("--model-first", "put `model` before `messages`")
    .option("--json", "print one JSON object per result line")
    .option(
      "--out <dir>",
      "folder for the results; default bench/results for a full run, build/bench/results for any other",
    );
  return command.parse(argv, { from: "user" }).opts<Options>();
}

/** Parser of a comma list of names; the order of `known` is kept, because `bare` comes first in it. */
function pick<T extends { readonly name: string }>(what: string, known: readonly T[]): (text: string) => T[] {
  return (text) => {
    const wanted = text.split(",");
    const unknown = wanted.filter((name) => !known.some((one) => one.name === name));
    if (unknown.length > 0) throw new InvalidArgumentError(`no such ${what}: ${unknown.join(", ")}`);
    return known.filter(({ name }) => wanted.includes(name));
  };
}
