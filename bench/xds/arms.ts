/** The servers that are compared. Each run has a fresh process. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { startCompanion } from "../envoy/companion.ts";
import type { WorldSize } from "./world.ts";
import { worldFiles } from "./world-files.ts";

export interface RunningServer {
  readonly pid: number;
  /** Flags of the load for it. */
  readonly flags: readonly string[];
  /** Where it can be asked for a change of ?k= clusters, and to collect its garbage. */
  readonly change?: string;
  readonly collect?: string;
  stop(): Promise<void>;
}

export interface Arm {
  readonly name: string;
  readonly title: string;
  /** So slow that it is asked for no more changes than this, with as many before them. */
  readonly mostChanges?: number;
  start(root: string, size: WorldSize): Promise<RunningServer>;
}

const sizes = ({ clusters, endpoints }: WorldSize): readonly string[] => [String(clusters), String(endpoints)];

/** A program that prints {"address", "control"}. */
async function controlled(command: string, args: readonly string[]): Promise<RunningServer> {
  const { pid, ready, stop } = await startCompanion(command, args);
  const control = `http://${ready.control}`;
  return {
    ...{ pid, stop, change: `${control}/change`, collect: `${control}/collect` },
    flags: ["-xds", ready.address ?? "", "-change", `${control}/change`],
  };
}

const peer = (cache: "snapshot" | "linear"): Arm => ({
  name: cache,
  title: `go-control-plane, ${cache} cache`,
  ...(cache === "snapshot" ? { mostChanges: 10 } : {}),
  start: (root, { clusters, endpoints }) =>
    controlled(join(root, "build/bench/bin/xds-peer"), [
      ...["-cache", cache, "-clusters", String(clusters), "-endpoints", String(endpoints)],
    ]),
});

const cache: Arm = {
  name: "cache",
  title: "tokenmesh, cache and server",
  start: (root, size) =>
    controlled(process.execPath, [
      ...["--expose-gc", join(root, "build/bench/bench/xds/cache-main.js")],
      ...sizes(size),
    ]),
};

/** The whole: files, weights by the API into the state store, builders, cache, server. */
const serve: Arm = {
  name: "serve",
  title: "tokenmesh serve, weights by its API",
  start: async (root, size) => {
    const folder = mkdtempSync(join(tmpdir(), "tokenmesh-bench-"));
    for (const [file, text] of worldFiles(size)) writeFileSync(join(folder, file), text);
    const args = [join(root, "build/node/xds-server/main.js"), "serve", "--config", folder, "--log-level", "warn"];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const stop = async (): Promise<void> => {
      await ended(child);
      rmSync(folder, { recursive: true, force: true });
    };
    try {
      const { xds, api } = await readyLine(child);
      const flags = ["-xds", xds, "-weights", `${api}/api/v1/weights`, "-route", "default/gateway/http"];
      return { pid: child.pid ?? 0, flags, stop };
    } catch (error) {
      await stop();
      throw error;
    }
  },
};

export const arms: readonly Arm[] = [peer("snapshot"), peer("linear"), cache, serve];

const START_TIMEOUT_MS = 60_000;

function readyLine(child: ChildProcess): Promise<{ xds: string; api: string }> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("tokenmesh serve was not ready")), START_TIMEOUT_MS);
    child.once("exit", (code) => reject(new Error(`tokenmesh serve ended with code ${code}`)));
    if (child.stdout === null) throw new Error("no standard output");
    createInterface(child.stdout).on("line", (line) => {
      if (!line.startsWith("ready ")) return;
      clearTimeout(timer);
      resolve(JSON.parse(line.slice("ready ".length)) as { xds: string; api: string });
    });
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await exit;
  clearTimeout(timer);
}
