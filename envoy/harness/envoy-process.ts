/**
 * One running Envoy, from start to a clean end. Any number can run side by side: hot restart is off (so no shared memory and no base id), the admin
 * interface and all listeners take free ports, every run has its own folder, session and process group.
 */
import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { AdminClient } from "./admin-client.ts";
import { EnvoyError, type EnvoyErrorCode } from "./errors.ts";
import type { JsonObject } from "./json.ts";
import { type Exit, envoyPid, type Launched, launch, send } from "./launch.ts";
import { LogCapture } from "./log-capture.ts";
import { formatLogEntry } from "./log-line.ts";
import { defaultVersion } from "./versions.ts";
import { waitFor } from "./wait-for.ts";

export interface EnvoyOptions {
  /** Bootstrap as an object, or as YAML or JSON text. Its admin address should be port 0; one is added to an object that has none. */
  readonly bootstrap: JsonObject | string;
  /** A version of envoy/versions.json; default the newest. */
  readonly version?: string;
  /** Worker threads; default 1. */
  readonly concurrency?: number;
  /** Envoy's --log-level; default "info". */
  readonly logLevel?: string;
  /** Envoy's --component-log-level, such as "wasm:debug,http:debug". */
  readonly componentLogLevel?: string;
  /** `error` and `critical` log lines that match are expected; matched against `[level][logger] message`. */
  readonly allowErrors?: readonly RegExp[];
  /** File that also receives the whole output. */
  readonly keepLog?: string;
  /** Further arguments for Envoy. */
  readonly args?: readonly string[];
  /** Wait for /ready (default), or return as soon as the admin interface answers: for an xDS server that is down on purpose. */
  readonly waitReady?: boolean;
  /** Deadline for the start in ms; default 20,000. */
  readonly startTimeoutMs?: number;
}

const stopTimeoutMs = 5_000;

export class EnvoyProcess {
  /** Process id of Envoy itself, not of func-e around it. */
  readonly pid: number;
  /** Process id of func-e around it (Envoy's own without func-e); leader of the process group. */
  readonly launcherPid: number;
  readonly version: string;
  readonly admin: AdminClient;
  readonly log: LogCapture;
  /** Resolves when the process has ended, whoever ended it. */
  readonly exited: Promise<Exit>;
  readonly #run: Run;
  #stopping: Promise<void> | undefined;

  private constructor(run: Run, pid: number, admin: AdminClient) {
    this.pid = pid;
    this.launcherPid = run.launched.leader;
    this.version = run.version;
    this.admin = admin;
    this.log = run.log;
    this.exited = run.launched.exited;
    this.#run = run;
  }

  /** Starts Envoy and resolves once it is ready; on failure nothing is left behind and the error ends with the last log lines. */
  static async start(options: EnvoyOptions): Promise<EnvoyProcess> {
    const run = await begin(options);
    try {
      const admin = await untilReady(run, options);
      const pid = envoyPid(run.launched);
      if (pid === undefined) throw await startError(run, "envoy_exited", "is gone after its start");
      return new EnvoyProcess(run, pid, admin);
    } catch (error) {
      await end(run);
      throw error;
    }
  }

  /** `host:port` of a listener; waits for it, because an xDS listener comes after the start. */
  listenerAddress(name: string, timeoutMs = 10_000): Promise<string> {
    const lookUp = async () => (await this.admin.listeners()).get(name);
    return waitFor(lookUp, { timeoutMs, what: `listener ${JSON.stringify(name)} of Envoy ${this.version}` });
  }

  /**
   * Ends Envoy (SIGTERM, after 5 s SIGKILL) and removes its folder. Throws EnvoyError "envoy_exited" when it had ended by itself, and
   * "envoy_logged_errors" when the log holds unexpected errors. Every further call returns the first outcome.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    const early = this.#run.exit;
    if (early === undefined) {
      send(this.pid, "SIGTERM");
      const timer = setTimeout(this.#run.launched.kill, stopTimeoutMs);
      await this.exited;
      clearTimeout(timer);
    }
    await end(this.#run);
    if (early !== undefined)
      throw new EnvoyError("envoy_exited", report(this.#run, `${describe(early)} before stop()`));
    const errors = this.log.unexpectedErrors();
    if (errors.length > 0) {
      const list = errors.map(formatLogEntry).join("\n");
      const what = `logged ${errors.length} unexpected error(s); expected ones go into allowErrors`;
      throw new EnvoyError("envoy_logged_errors", `Envoy ${this.version} ${what}:\n${list}`);
    }
  }
}

interface Run {
  readonly version: string;
  readonly folder: string;
  readonly launched: Launched;
  readonly log: LogCapture;
  exit: Exit | undefined;
}

async function begin(options: EnvoyOptions): Promise<Run> {
  const { version = defaultVersion(), bootstrap, allowErrors = [], keepLog } = options;
  const folder = await mkdtemp(join(tmpdir(), "tokenmesh-envoy-"));
  try {
    const config = join(folder, typeof bootstrap === "string" ? "bootstrap.yaml" : "bootstrap.json");
    await writeFile(config, typeof bootstrap === "string" ? bootstrap : JSON.stringify(withAdmin(bootstrap)));
    const args = ["--config-path", config, "--admin-address-path", join(folder, "admin-address")];
    args.push("--disable-hot-restart", "--concurrency", String(options.concurrency ?? 1));
    args.push("--log-level", options.logLevel ?? "info");
    if (options.componentLogLevel !== undefined) args.push("--component-log-level", options.componentLogLevel);
    const launched = launch({ version, folder, args: [...args, ...(options.args ?? [])] });
    const run: Run = { version, folder, launched, log: new LogCapture(allowErrors), exit: undefined };
    const file = keepLog === undefined ? undefined : createWriteStream(keepLog);
    for (const stream of ["stdout", "stderr"] as const) {
      launched[stream].on("data", (chunk: string) => {
        run.log.write(stream, chunk);
        file?.write(chunk);
      });
    }
    void launched.exited.then((exit) => {
      run.exit = exit;
    });
    void launched.drained.then(() => {
      run.log.end();
      file?.end();
    });
    return run;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function untilReady(run: Run, { startTimeoutMs = 20_000, waitReady = true }: EnvoyOptions): Promise<AdminClient> {
  const until = performance.now() + startTimeoutMs;
  let admin: AdminClient | undefined;
  for (;;) {
    if (run.exit !== undefined) throw await startError(run, "envoy_exited", `${describe(run.exit)} during its start`);
    if (admin === undefined) {
      const address = await readFile(join(run.folder, "admin-address"), "utf8").catch(() => "");
      if (address !== "") admin = new AdminClient(address.trim());
    }
    if (admin !== undefined && (!waitReady || (await admin.ready().catch(() => false)))) return admin;
    if (performance.now() > until) {
      const state = admin === undefined ? "has no admin interface" : "is not ready";
      throw await startError(run, "envoy_not_ready", `${state} after ${startTimeoutMs} ms`);
    }
    await delay(10);
  }
}

async function startError(run: Run, code: EnvoyErrorCode, what: string): Promise<EnvoyError> {
  run.launched.kill();
  await run.launched.drained;
  return new EnvoyError(code, report(run, what));
}

/** Whatever is left of the run goes: processes first, then the folder they write to. */
async function end(run: Run): Promise<void> {
  run.launched.kill();
  await run.launched.drained;
  await rm(run.folder, { recursive: true, force: true });
}

const report = (run: Run, what: string): string => `Envoy ${run.version} ${what}. Last log lines:\n${run.log.tail()}`;

const describe = ({ code, signal }: Exit): string =>
  signal === null ? `exited with code ${code}` : `was killed by ${signal}`;

function withAdmin(bootstrap: JsonObject): JsonObject {
  return { admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } }, ...bootstrap };
}
