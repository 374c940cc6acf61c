/**
 * `npm run bench -- xds`: how long a change of endpoints takes to the last Envoy, and what it costs the server: ours against one on go-control-plane, with both of its caches. The
 * load stands for all Envoys; it is in Go on grpc-go for all servers alike. Arms take turns within a round, so that drift of the machine meets all of them.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { projectRoot } from "../../envoy/harness/index.ts";
import { buildLedger } from "../envoy/binaries.ts";
import { machine } from "../envoy/machine.ts";
import { positive } from "../flags.ts";
import { type Arm, arms } from "./arms.ts";
import { idleStreams } from "./idle.ts";
import { type Measured, type Mode, markdown, type Result, type Scale } from "./report.ts";

const SCALES: readonly Scale[] = [
  { streams: 10, clusters: 100, endpoints: 50 },
  { streams: 100, clusters: 100, endpoints: 50 },
  { streams: 500, clusters: 100, endpoints: 50 },
  { streams: 50, clusters: 1_000, endpoints: 20 },
];
const MODES: readonly Mode[] = ["sotw", "delta"];
const FULL_ROUNDS = 3;
const CHANGES = 50;
/** Changes that are not measured: what a server does for its first ones is compiling, in Node, and growing its heap, in both. */
const WARM_UP = 20;
const BURST = 50;

interface Options {
  readonly arms?: readonly string[];
  readonly modes?: readonly string[];
  readonly streams?: readonly number[];
  readonly rounds: number;
  readonly changes: number;
  readonly churn?: number;
  readonly idle?: boolean;
  readonly json?: boolean;
}

export async function main(argv: readonly string[]): Promise<void> {
  const options = parse(argv);
  const root = projectRoot();
  const progress = (text: string): void => void process.stderr.write(`${text}\n`);
  for (const name of ["server", "load"] as const) build(root, name);
  const { cores, cpu, kernel, node, go, loadAverage } = machine(root);
  const chosen = arms.filter(({ name }) => options.arms?.includes(name) ?? true);
  if (chosen.some(({ name }) => name === "serve")) buildLedger(root);
  const modes = MODES.filter((mode) => options.modes?.includes(mode) ?? true);
  const scales = SCALES.filter(({ streams }) => options.streams?.includes(streams) ?? true);
  if (options.churn !== undefined) {
    for (const arm of chosen) for (const mode of modes) await churn(root, arm, mode, options.churn);
    return;
  }
  if (options.idle) {
    await idleStreams(root, chosen, modes, options.rounds);
    return;
  }
  const rounds = new Map<string, Measured[]>();
  for (let round = 0; round < options.rounds; round++) {
    for (const scale of scales) {
      for (const mode of modes) {
        for (const arm of chosen) {
          const measured = await run(root, arm, scale, mode, options.changes);
          const key = JSON.stringify([arm.name, mode, scale]);
          rounds.set(key, [...(rounds.get(key) ?? []), measured]);
          const last = measured.changeToLast;
          progress(
            `bench: round ${round + 1}, ${scale.streams} streams of ${scale.clusters}, ${mode}, ${arm.name}: last p50 ${last.p50} ms, CPU ${measured.cpuMsPerChange} ms`,
          );
        }
      }
    }
  }
  const results: Result[] = [];
  for (const scale of scales) {
    for (const mode of modes) {
      for (const { name, title } of chosen) {
        results.push({ arm: name, title, mode, scale, rounds: rounds.get(JSON.stringify([name, mode, scale])) ?? [] });
      }
    }
  }
  const version = /go-control-plane (v\S+)/.exec(readFileSync(join(root, "bench/xds/go.mod"), "utf8"))?.[1] ?? "";
  const conditions = [
    `${options.rounds} rounds of ${options.changes} changes after ${WARM_UP} that do not count (snapshot cache: 10 and 10), each of the weight of one endpoint in each of 10 clusters; go-control-plane ${version}, ${go}, Node ${node};`,
    `${cores} x ${cpu}, Linux ${kernel}; load average ${loadAverage.toFixed(2)} at the start. Server and load share the cores. A connection for each stream.`,
  ].join(" ");
  const report = markdown(results, conditions);
  const full = options.rounds >= FULL_ROUNDS && options.changes >= CHANGES && results.length === 32;
  const folder = join(root, full ? "bench/results" : "build/bench/results");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "xds.md"), report);
  writeFileSync(join(folder, "xds.json"), `${JSON.stringify({ results }, null, 1)}\n`);
  if (options.json) for (const result of results) console.log(JSON.stringify({ bench: "xds", ...result }));
  else console.log(report);
  progress(`bench: results in ${folder}`);
}

async function run(root: string, arm: Arm, scale: Scale, mode: Mode, changes: number): Promise<Measured> {
  const server = await arm.start(root, scale);
  const { mostChanges = Number.POSITIVE_INFINITY } = arm;
  try {
    return await load(root, [
      ...server.flags,
      ...["-pid", String(server.pid), "-mode", mode, "-streams", String(scale.streams)],
      ...["-clusters", String(scale.clusters), "-warm-up", String(Math.min(WARM_UP, mostChanges))],
      ...["-changes", String(Math.min(changes, mostChanges)), "-burst", String(BURST)],
    ]);
  } finally {
    await server.stop();
  }
}

/** Minutes of changes and reconnects: what the server has used by each of them. */
async function churn(root: string, arm: Arm, mode: Mode, minutes: number): Promise<void> {
  const scale = { streams: 50, clusters: 100, endpoints: 50 };
  const server = await arm.start(root, scale);
  try {
    const report = await load(root, [
      ...server.flags,
      ...["-pid", String(server.pid), "-mode", mode, "-streams", String(scale.streams)],
      ...["-clusters", String(scale.clusters), "-churn", `${minutes}m`],
    ]);
    console.log(JSON.stringify({ bench: "xds churn", arm: arm.name, mode, ...report }));
  } finally {
    await server.stop();
  }
}

function load(root: string, args: readonly string[]): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(root, "build/bench/bin/xds-load"), args, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    child.once("error", reject);
    child.once("close", (code) => {
      if (code !== 0) reject(new Error(`the load ended with code ${code}`));
      else resolve(JSON.parse(text) as Measured);
    });
  });
}

function build(root: string, name: "server" | "load"): void {
  const out = join(root, "build/bench/bin", name === "server" ? "xds-peer" : "xds-load");
  const args = ["build", "-trimpath", "-buildvcs=false", "-o", out, `./${name}`];
  const { error, status, stderr } = spawnSync("go", args, { cwd: join(root, "bench/xds"), encoding: "utf8" });
  if (error) throw new Error(`the benchmark needs Go 1.26 or newer on PATH: ${error.message}`);
  if (status !== 0) throw new Error(`go ${args.join(" ")} failed in bench/xds:\n${stderr}`);
}

function parse(argv: readonly string[]): Options {
  const list = (text: string): string[] => text.split(",");
  const program = new Command("npm run bench -- xds")
    .option("--arms <names>", `of ${arms.map(({ name }) => name).join(",")}`, list)
    .option("--modes <modes>", "of sotw,delta", list)
    .option("--streams <counts>", `of ${SCALES.map(({ streams }) => streams).join(",")}`, (text) =>
      list(text).map(positive),
    )
    .option("--rounds <n>", "how often everything is run", positive, FULL_ROUNDS)
    .option("--changes <n>", "changes of a run", positive, CHANGES)
    .option(
      "--churn <minutes>",
      "instead: changes ten times a second and reconnects, and the memory by each minute",
      positive,
    )
    .option("--idle", "instead: what a stream takes that has everything and of which nothing is asked")
    .option("--json", "one JSON object per result on standard output");
  return program.parse(argv, { from: "user" }).opts<Options>();
}
