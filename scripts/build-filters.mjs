// Compiles every AssemblyScript module to WebAssembly and passes each one through the module gate (scripts/lib/wasm-gate.mjs).
//   filters/<name>/index.ts        -> build/filters/<name>.wasm
//   test/**/wasm/<name>.ts         -> build/test-wasm/<name>.wasm   (fixtures of the tests)
//   test/lib/exports/<name>.ts     -> build/test-wasm/lib-<name>.wasm   (filters/lib for its tests on Node; no Proxy-Wasm module, so no gate)
// As many at a time as there are cores (scripts/lib/compile-wasm.mjs).
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { isFresh, markBuilt, root } from "./lib/stamp.mjs";

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
const stale = modules
  .filter(
    ({ name, out }) => (only.length === 0 || only.includes(name)) && (!product || out.startsWith("build/filters/")),
  )
  .map((module) => ({ ...module, inputs: [...shared, ...module.inputs, ...(composed[module.name] ?? [])] }))
  .filter(({ name, out, inputs }) => force || !existsSync(out) || !isFresh(`wasm-${name}`, inputs));

/** One thread of the pool: takes modules until none is left. Resolves with how many failed. */
function compileInTurn(queue) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./lib/compile-wasm.mjs", import.meta.url));
    let failed = 0;
    let module;
    const next = () => {
      module = queue.shift();
      if (module === undefined) worker.terminate().then(() => resolve(failed), reject);
      else worker.postMessage({ entry: module.entry, out: module.out, gate: module.gate ?? true });
    };
    worker.on("error", reject);
    worker.on("message", ({ line, fault }) => {
      if (fault === undefined) {
        console.log(line);
        markBuilt(`wasm-${module.name}`, module.inputs);
      } else {
        console.error(fault);
        failed++;
      }
      next();
    });
    next();
  });
}

const threads = Math.min(stale.length, availableParallelism(), 8);
const failed = await Promise.all(Array.from({ length: threads }, () => compileInTurn(stale)));
process.exitCode = failed.some((count) => count > 0) ? 1 : 0;
