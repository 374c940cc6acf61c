/** `npm run bench -- envoy picking [flags]`: what it costs to choose an endpoint for each request, inside Envoy and beside it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defaultVersion, projectRoot } from "../../../envoy/harness/index.ts";
import { roundsOf } from "../../flags.ts";
import { buildModule } from "../../module.ts";
import { buildBinaries, buildFilters } from "../binaries.ts";
import { startCompanion } from "../companion.ts";
import { machine } from "../machine.ts";
import { arms, floorSource } from "./arms.ts";
import { measurePicking, type RunningPicker, startPicker } from "./measure.ts";
import { loads, writePrompts } from "./prompts.ts";
import { type PickingReport, pickingMarkdown, summarisePicking } from "./report.ts";

const fullRounds = 14;
const endpointNames = ["e0", "e1", "e2", "e3"];

export async function main(argv: readonly string[]): Promise<void> {
  const rounds = roundsOf(argv, {
    name: "bench envoy picking",
    description: "CPU time and time to the first byte of choosing an endpoint for each request",
    fullRounds,
  });
  const root = projectRoot();
  const stoppers: (() => Promise<void>)[] = [];
  const progress = (text: string): void => void process.stderr.write(`${text}\n`);
  try {
    buildBinaries(root);
    buildFilters(root, "hash-ring", "llm-gateway");
    buildModule(root, floorSource);
    const { cores, cpu, kernel, node, go, loadAverage } = machine(root);
    const files = await writePrompts();
    stoppers.push(files.remove);
    const upstream = await startCompanion(join(root, "build/bench/bin/upstream"), [
      ...["-routes", endpointNames.join(","), "-answer", files.answer, "-events", files.events, "-pace", "1us"],
    ]);
    stoppers.push(upstream.stop);
    const endpoints = endpointNames.map((name) => upstream.ready[name] ?? "");
    const pickers: RunningPicker[] = [];
    for (const arm of arms) {
      const started = await startPicker(arm, root, endpoints);
      stoppers.push(started.stop);
      pickers.push(started);
      progress(`bench: ${arm.name} does its job`);
    }
    const onRound = (round: number): void => progress(`bench: round ${round} of ${rounds}`);
    const samples = await measurePicking({ root, pickers, loads, rounds, files, onRound });
    const report: PickingReport = {
      conditions: `Envoy ${defaultVersion()}, one worker each; ${cores} x ${cpu}, Linux ${kernel}, Node ${node}, ${go}; ${rounds} rounds; load average ${loadAverage.toFixed(2)} at the start`,
      ...{ loads, arms, samples },
    };
    const folder = join(root, rounds >= fullRounds ? "bench/results" : "build/bench/results");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "envoy-picking.md"), pickingMarkdown(report));
    const { conditions } = report;
    writeFileSync(
      join(folder, "envoy-picking.json"),
      `${JSON.stringify({ conditions, summaries: summarisePicking(report) }, null, 1)}\n`,
    );
    console.log(pickingMarkdown(report));
    progress(`bench: results in ${folder}`);
  } finally {
    for (const stop of stoppers.reverse()) await stop().catch((error: unknown) => progress(`bench: ${String(error)}`));
  }
}
