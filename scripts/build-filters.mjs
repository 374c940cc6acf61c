// Compiles every AssemblyScript module to WebAssembly and passes each one through the module gate (scripts/lib/wasm-gate.mjs).
//   filters/<name>/index.ts        -> build/filters/<name>.wasm
//   test/**/wasm/<name>.ts         -> build/test-wasm/<name>.wasm   (fixtures of the tests)
//   test/lib/exports/<name>.ts     -> build/test-wasm/lib-<name>.wasm   (filters/lib for its tests on Node; no Proxy-Wasm module, so no gate)
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { isFresh, markBuilt, root } from "./lib/stamp.mjs";
import { inspect, violations } from "./lib/wasm-gate.mjs";

// Names as arguments build only these modules; --force builds fresh ones too; --product leaves the tests' modules out.

process.chdir(root);
const force = process.argv.includes("--force");
const product = process.argv.includes("--product");
const only = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));

function fixtures(dir, found = []) {
  if (!existsSync(dir)) return found;
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    if (!statSync(path).isDirectory()) continue;
    if (name === "wasm") {
      for (const file of readdirSync(path)) if (file.endsWith(".ts")) found.push(join(path, file));
    } else fixtures(path, found);
  }
  return found;
}

/** Modules that are made of other filters too. */
const composed = {
  "llm-gateway": [
    "filters/llm-router",
    "filters/prompt-cache",
    "filters/token-rate-limit",
    "filters/hash-ring",
    "filters/stream-end",
  ],
  "token-rate-limit": ["filters/stream-end"],
  "rate-limit-view": ["filters/token-rate-limit"],
  "prompt-cache-view": ["filters/prompt-cache"],
  "trapping-picker": ["filters/hash-ring"],
  "trapping-limiter": ["filters/token-rate-limit"],
  "trapping-stream-end": ["filters/token-rate-limit", "filters/stream-end"],
  "example-stage": ["filters/llm-router"],
  "refusing-stage": ["filters/llm-router"],
};

const modules = [];
for (const name of readdirSync("filters")) {
  const entry = `filters/${name}/index.ts`;
  if (name !== "sdk" && name !== "lib" && name !== "state" && name !== "pipeline" && existsSync(entry)) {
    modules.push({ name, entry, out: `build/filters/${name}.wasm`, inputs: [`filters/${name}`] });
  }
}
for (const entry of fixtures("test")) {
  const name = entry.slice(entry.lastIndexOf("/") + 1, -3);
  modules.push({ name, entry, out: `build/test-wasm/${name}.wasm`, inputs: [entry, join(dirname(entry), "lib")] });
}
for (const file of readdirSync("test/lib/exports")) {
  const name = `lib-${file.slice(0, -3)}`;
  modules.push({
    name,
    entry: `test/lib/exports/${file}`,
    out: `build/test-wasm/${name}.wasm`,
    inputs: [`test/lib/exports/${file}`],
    gate: false,
  });
}

const shared = [
  "filters/sdk",
  "filters/lib",
  "filters/pipeline",
  "filters/state",
  "asconfig.json",
  "package-lock.json",
  "scripts/lib/wasm-gate.mjs",
];
mkdirSync("build/filters", { recursive: true });
mkdirSync("build/test-wasm", { recursive: true });
let failed = false;
let asc; // loaded when something is to be compiled: importing it takes longer than all checks together
for (const { name, entry, out, inputs, gate = true } of modules) {
  if (only.length > 0 && !only.includes(name)) continue;
  if (product && !out.startsWith("build/filters/")) continue;
  const all = [...shared, ...inputs, ...(composed[name] ?? [])];
  if (!force && existsSync(out) && isFresh(`wasm-${name}`, all)) continue;
  asc ??= (await import("assemblyscript/asc")).default;
  const { error, stderr } = await asc.main([entry, "--config", "asconfig.json", "--outFile", out]);
  if (error) {
    console.error(`build: ${entry}: ${error.message}\n${stderr.toString()}`);
    failed = true;
    continue;
  }
  const report = inspect(readFileSync(out));
  const faults = gate ? violations(report) : [];
  if (faults.length > 0) {
    console.error(`build: ${out} is refused by the module gate:\n${faults.map((fault) => `  ${fault}`).join("\n")}`);
    failed = true;
    continue;
  }
  console.log(`build: ${out} ${report.size} bytes, ${report.imports.length} imports`);
  markBuilt(`wasm-${name}`, all);
}
process.exit(failed ? 1 : 0);
