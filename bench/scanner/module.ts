/** Compiles the bench's own filter to build/bench/scanner.wasm, with the options of the filters that ship. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

/** Returns the path of the module. Throws with the compiler's output. */
export function buildModule(root: string): string {
  const out = join(root, "build/bench/scanner.wasm");
  const entry = "bench/scanner/wasm/scanner-bench.ts";
  // Strings of 10 MB need more memory than filters may take.
  const flags = ["--config", "asconfig.json", "--maximumMemory", "4096", "--outFile", out];
  const compiler = join(root, "node_modules/assemblyscript/bin/asc.js");
  const { error, status, stderr } = spawnSync(process.execPath, [compiler, entry, ...flags], {
    cwd: root,
    encoding: "utf8",
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${entry} cannot be compiled:\n${stderr}`);
  return out;
}
