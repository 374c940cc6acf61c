// Compiles one AssemblyScript module to WebAssembly and passes it through the module gate. Run as a worker thread it does so for every message
// { entry, out, gate } and answers { line } or { fault }: asc and binaryen use one core each.
import { readFileSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import asc from "assemblyscript/asc";
import { inspect, violations } from "./wasm-gate.mjs";

async function compile({ entry, out, gate }) {
  const { error, stderr } = await asc.main([entry, "--config", "asconfig.json", "--outFile", out]);
  if (error) return { fault: `build: ${entry}: ${error.message}\n${stderr.toString()}` };
  const report = inspect(readFileSync(out));
  const faults = gate ? violations(report) : [];
  if (faults.length > 0) {
    return { fault: `build: ${out} is refused by the module gate:\n${faults.map((fault) => `  ${fault}`).join("\n")}` };
  }
  return { line: `build: ${out} ${report.size} bytes, ${report.imports.length} imports` };
}

parentPort.on("message", async (module) => parentPort.postMessage(await compile(module)));
