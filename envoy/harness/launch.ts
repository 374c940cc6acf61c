/**
 * Starts one Envoy under func-e so that it cannot outlive this process.
 *
 *   Node --(fd 3)--> sh watcher          one session, one process group:
 *     \--> func-e --> Envoy              the watcher kills the whole group when fd 3 ends
 *
 * The write end of fd 3 belongs to this process alone: a crash, a SIGKILL, a vitest worker that is thrown away or a plain forgotten stop() all close it.
 * Signal handlers, the obvious alternative, cover none of these. func-e in its turn has Envoy killed when it dies (PR_SET_PDEATHSIG).
 */
import { execFileSync, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { envoyBinary, funcEDataHome, funcEPath } from "./tools.ts";
import { defaultVersion } from "./versions.ts";

export interface Launch {
  readonly version: string;
  /** Own folder of this run; func-e's logs and run files go there. */
  readonly folder: string;
  /** Arguments for Envoy. */
  readonly args: readonly string[];
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Launched {
  /** Process id of our child (func-e, or Envoy itself when func-e is absent), which leads the process group. */
  readonly leader: number;
  readonly viaFuncE: boolean;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when the leader has ended. */
  readonly exited: Promise<Exit>;
  /** Resolves after `exited`, when all output has been read. */
  readonly drained: Promise<void>;
  /** Ends the whole process group at once; harmless when it has ended. */
  kill(): void;
}

/** Marks Envoy among the children of func-e. */
const runId = "tokenmesh-run";

// The watcher ignores the polite signals, which may be sent to the whole group, and goes by its leash alone.
const supervisor = "{ trap '' TERM INT HUP; read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 & exec \"$@\" 3<&-";

export function launch({ version, folder, args }: Launch): Launched {
  const binary = envoyBinary(version);
  const funcE = funcEPath();
  const command = funcE === undefined ? [binary, ...args] : [funcE, "run", ...args];
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    FUNC_E_DATA_HOME: funcEDataHome(),
    FUNC_E_CONFIG_HOME: join(folder, "config"),
    FUNC_E_STATE_HOME: join(folder, "state"),
    FUNC_E_RUNTIME_DIR: join(folder, "runtime"),
    FUNC_E_RUN_ID: runId,
    ENVOY_VERSION: version,
  };
  delete env.FUNC_E_HOME; // the legacy layout would win over the folders above
  if (env.ENVOY_PATH && version === defaultVersion()) env.ENVOY_PATH = binary;
  else delete env.ENVOY_PATH;
  const child = spawn("/bin/sh", ["-c", supervisor, "sh", ...command], {
    cwd: folder,
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const { stdout, stderr, pid: leader } = child;
  const leash = child.stdio[3];
  if (stdout === null || stderr === null || leader === undefined) throw new Error("/bin/sh could not be started");
  leash?.on("error", () => {}); // the watcher is gone: nobody is left to be told
  stdout.setEncoding("utf8");
  stderr.setEncoding("utf8");
  const exited = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => {
      leash?.destroy(); // lets the watcher go, and whatever else is left of the group with it
      resolve({ code, signal });
    });
  });
  const drained = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return {
    leader,
    viaFuncE: funcE !== undefined,
    stdout,
    stderr,
    exited,
    drained,
    kill: () => {
      leash?.destroy();
      // Should the watcher be gone; while the leader has not been waited for, its group id cannot belong to anybody else.
      if (child.exitCode === null && child.signalCode === null) send(-leader, "SIGKILL");
    },
  };
}

/** Sends a signal to a process, or with a negative id to a group, that may have ended in the meantime. */
export function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Process id of Envoy itself; undefined while func-e has not started it. func-e tells Envoy its run id, the watcher's command line has none. */
export function envoyPid({ leader, viaFuncE }: Launched): number | undefined {
  if (!viaFuncE) return leader;
  return childrenOf(leader).find((pid) => commandOf(pid).includes(runId));
}

function childrenOf(pid: number): number[] {
  if (process.platform === "linux") {
    try {
      // A child hangs on the thread that forked it, and Go forks from any thread.
      return readdirSync(`/proc/${pid}/task`)
        .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(/\s+/))
        .filter((word) => word !== "")
        .map(Number);
    } catch {
      return [];
    }
  }
  const table = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
  return [...table.matchAll(/(\d+)\s+(\d+)/g)].filter((row) => Number(row[2]) === pid).map((row) => Number(row[1]));
}

function commandOf(pid: number): string {
  try {
    return process.platform === "linux"
      ? readFileSync(`/proc/${pid}/cmdline`, "utf8")
      : execFileSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" });
  } catch {
    return "";
  }
}
