/** What the numbers were taken on. Nothing that names the machine or its owner. */
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { goVersion } from "./binaries.ts";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly go: string;
  readonly goModules: Readonly<Record<string, string>>;
  /** Load average over one minute when the run began: whatever else the machine was doing. */
  readonly loadAverage: number;
}

const shownModules = ["proxy-wasm-go-sdk", "gjson", "google.golang.org/grpc", "go-control-plane/envoy"];

export function machine(root: string): Machine {
  const modules: Record<string, string> = {};
  for (const [, path = "", version = ""] of readFileSync(`${root}/bench/envoy/go.mod`, "utf8").matchAll(
    /^\t(\S+) (v\S+)/gm,
  )) {
    if (shownModules.some((name) => path.endsWith(name))) modules[path] = version;
  }
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    go: goVersion(),
    goModules: modules,
    loadAverage: loadavg()[0] ?? 0,
  };
}
