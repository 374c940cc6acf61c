/** Builds the Go programs of the benchmark into build/bench/bin. Go's own build cache decides what is stale. */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

/** Throws with the compiler's output and, without Go, with a remedy. */
export function buildBinaries(root: string): void {
  const bin = join(root, "build/bench/bin");
  mkdirSync(bin, { recursive: true });
  for (const name of ["load", "upstream", "ext_proc"]) buildProgram(root, name, `./${name}`);
  const wasm = ["-buildmode=c-shared", "-o", join(bin, "go-filter.wasm"), "./go_filter"];
  goBuild(root, wasm, { GOOS: "wasip1", GOARCH: "wasm" });
}

/** One program of the module bench/envoy; `source` is its folder there. */
export function buildProgram(root: string, name: string, source: string): void {
  goBuild(root, ["-o", join(root, "build/bench/bin", name), source], {});
}

function goBuild(root: string, args: readonly string[], target: Readonly<Record<string, string>>): void {
  const cwd = join(root, "bench/envoy");
  const { error, status, stderr } = spawnSync("go", ["build", "-trimpath", "-buildvcs=false", ...args], {
    cwd,
    env: { ...process.env, ...target },
    encoding: "utf8",
  });
  if (error) throw new Error(`the benchmark needs Go 1.26 or newer on PATH: ${error.message}`);
  if (status !== 0) throw new Error(`go build ${args.join(" ")} failed in bench/envoy:\n${stderr}`);
}

/** Brings our filters' modules up to date: a stale module must not be measured. */
export function buildFilters(root: string, ...names: readonly string[]): void {
  runScript(root, "build-filters.mjs", ...(names.length > 0 ? names : ["llm-router", "llm-gateway"]));
}

/** The same for the ledger. */
export function buildLedger(root: string): void {
  runScript(root, "build-node.mjs");
}

function runScript(root: string, name: string, ...args: readonly string[]): void {
  // Standard output belongs to the results.
  const stdio = ["ignore", 2, 2] as ["ignore", number, number];
  const { error, status } = spawnSync(process.execPath, [join("scripts", name), ...args], { cwd: root, stdio });
  if (error) throw error;
  if (status !== 0) throw new Error(`scripts/${name} failed`);
}

/** Such as "go1.26.8". */
export const goVersion = (): string => spawnSync("go", ["env", "GOVERSION"], { encoding: "utf8" }).stdout.trim();
