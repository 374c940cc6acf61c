// Entry of `npm run bench -- [NAME] [flags]`: compiles bench/ (and what it imports) to build/bench, then runs one benchmark.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync } from "node:fs";
import { isFresh, markBuilt, root } from "../scripts/lib/stamp.mjs";

const benches = {
  envoy: "CPU per request of Envoy with tokenmesh's filter and with other ways to do the same job",
  scanner: "time inside Envoy to scan a request body and to decode it to a string",
  "first-token": "time to the first byte of a streamed answer, with and without the filters",
  xds: "from a change of endpoints to the last Envoy, against go-control-plane",
  sim: "endpoint picking policies against simulated replicas, in virtual time",
};

const [first] = process.argv.slice(2);
const name = first === undefined || first.startsWith("-") ? "envoy" : first;
if (!Object.hasOwn(benches, name)) {
  console.error(`bench: no benchmark ${JSON.stringify(name)}; there are:`);
  for (const [known, what] of Object.entries(benches)) console.error(`  ${known}  ${what}`);
  process.exit(2);
}

function run(command, args) {
  // Standard output belongs to the results (--json), so build messages go to standard error.
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

const inputs = ["bench", "envoy", "xds-server", "protos", "test/fixtures", "tsconfig.json", "package-lock.json"];
if (!existsSync(`${root}/build/bench/bench`) || !isFresh("bench", inputs)) {
  run("node_modules/.bin/tsc", ["-p", "bench/tsconfig.json"]);
  // The harness reads this file beside its compiled code.
  cpSync(`${root}/envoy/versions.json`, `${root}/build/bench/envoy/versions.json`);
  markBuilt("bench", inputs);
}

const { main } = await import(`../build/bench/bench/${name}/main.js`);
try {
  await main(process.argv.slice(first === name ? 3 : 2));
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
