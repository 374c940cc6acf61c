/** `npm run bench -- scanner [flags]`: compiles the bench's filter, measures inside Envoy, writes the results. */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { defaultVersion, projectRoot } from "../../envoy/harness/index.ts";
import { positive } from "../flags.ts";
import { buildModule, type ModuleSource } from "../module.ts";
import { bodyKinds } from "./bodies.ts";
import { measure } from "./measure.ts";
import { type Conditions, markdown, sizeName, summarise } from "./report.ts";

const kib = 1_024;
const sizes = [kib, 16 * kib, 128 * kib, kib * kib, 10 * kib * kib];

/** Fewer rounds than this are a trial. */
const fullRounds = 10;

/** Strings of 10 MB need more memory than filters may take. */
const filter: ModuleSource = {
  name: "scanner",
  entry: "bench/scanner/wasm/scanner-bench.ts",
  flags: ["--maximumMemory", "4096"],
};

interface Options {
  readonly rounds: number;
  readonly maxBytes: number;
  readonly json?: true;
  readonly out?: string;
}

export async function main(argv: readonly string[]): Promise<void> {
  const options = new Command("bench scanner")
    .description("Time inside Envoy to scan a request body and to decode it to a string")
    .option("--rounds <n>", "rounds; every job is measured once per round and body", positive, fullRounds)
    .option("--max-bytes <n>", "leave larger bodies out", positive, 10 * kib * kib)
    .option("--json", "print one JSON object per body on standard output")
    .option(
      "--out <dir>",
      "folder for the results; default bench/results for a full run, build/bench/results for any other",
    )
    .parse(argv, { from: "user" })
    .opts<Options>();
  const root = projectRoot();
  const progress = (text: string): void => void process.stderr.write(`${text}\n`);
  const conditions: Conditions = {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    kernel: release(),
    node: process.version,
    envoy: defaultVersion(),
    loadAverage: loadavg()[0] ?? 0,
    rounds: options.rounds,
    kinds: Object.fromEntries(bodyKinds.map(({ name, what }) => [name, what])),
  };
  progress("bench: compiling the filter");
  const measured = sizes.filter((bytes) => bytes <= options.maxBytes);
  const samples = await measure({
    module: buildModule(root, filter),
    kinds: bodyKinds,
    sizes: measured,
    rounds: options.rounds,
    onBody: (kind, bytes) => progress(`bench: ${kind}, ${sizeName(bytes)}`),
  });
  const rows = summarise(samples);
  const full = options.rounds >= fullRounds && measured.length === sizes.length;
  const folder = options.out ?? join(root, full ? "bench/results" : "build/bench/results");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "scanner.json"), `${JSON.stringify({ conditions, rows }, null, 1)}\n`);
  writeFileSync(join(folder, "scanner.md"), markdown(rows, conditions));
  if (options.json) for (const row of rows) console.log(JSON.stringify({ bench: "scanner", ...row }));
  else console.log(markdown(rows, conditions));
  progress(`bench: results in ${folder}`);
}
