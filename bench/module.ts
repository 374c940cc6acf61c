/** Compiles a bench's own module to build/bench/NAME.wasm, with the options of the filters that ship. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

export interface ModuleSource {
  readonly name: string;
  /** Relative to the repository. */
  readonly entry: string;
  /** Flags of asc, in place of what asconfig.json says. */
  readonly flags?: readonly string[];
}

/** Returns the path of the module. Throws with the compiler's output. */
export function buildModule(root: string, { name, entry, flags = [] }: ModuleSource): string {
  const out = join(root, `build/bench/${name}.wasm`);
  const compiler = join(root, "node_modules/assemblyscript/bin/asc.js");
  const args = [compiler, entry, "--config", "asconfig.json", "--outFile", out, ...flags];
  const { error, status, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  if (error) throw error;
  if (status !== 0) throw new Error(`${entry} cannot be compiled:\n${stderr}`);
  return out;
}
