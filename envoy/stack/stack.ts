/**
 * The whole house on one machine: model replicas, configuration files, xDS server, Envoy. Used by `npm start` and by tests.
 *
 * Every step registers how to undo it; `close()` undoes in reverse order, and a failing step undoes the ones before it.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatError, jsonLogger, startServer } from "../../xds-server/index.ts";
import { adsBootstrap, EnvoyProcess, projectRoot, waitFor } from "../harness/index.ts";
import type { TimingProfile } from "../replica/index.ts";
import { CACHE_COUNTERS, cacheSamples } from "./caches.ts";
import { LIMIT_COUNTERS, limitSamples } from "./limits.ts";
import { PICK_COUNTERS, pickSamples } from "./picks.ts";
import { CLIENT_MODELS, startReplicas } from "./replicas.ts";
import type { Sample, XdsSample } from "./status.ts";
import { writeConfig } from "./templates.ts";

export interface StackOptions {
  /** Port of the proxy on 127.0.0.1; 0 takes a free one. */
  readonly port: number;
  readonly timing: TimingProfile;
  /** Worker threads of Envoy; default 2. */
  readonly concurrency?: number;
  /** Asks a start to give up: checked between its steps. */
  readonly signal?: AbortSignal;
}

/** The `ready` line of `npm start`. */
export interface Ready {
  readonly proxy: string;
  readonly envoyAdmin: string;
  readonly xds: string;
  readonly api: string;
  readonly models: readonly string[];
}

export interface Stack {
  readonly ready: Ready;
  /** Folder of the YAML files that the xDS server watches: edit them while it runs. */
  readonly configDir: string;
  sample(): Promise<Sample>;
  /** Resolves with a description when Envoy ends by itself. */
  readonly failed: Promise<string>;
  /** Stops everything; the first error of a part is thrown after all parts were stopped. */
  close(): Promise<void>;
}

/** A start step that failed, with what to do about it. */
export class StackError extends Error {
  override readonly name = "StackError";

  constructor(what: string, remedy: string, options?: ErrorOptions) {
    super(`${what}\n  remedy: ${remedy}`, options);
  }
}

const TEMPLATES = fileURLToPath(new URL("./config/", import.meta.url));
const LISTENER = "default/llm/http";

export async function startStack(options: StackOptions): Promise<Stack> {
  const undo: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    const errors: unknown[] = [];
    for (let step = undo.pop(); step !== undefined; step = undo.pop())
      await step().catch((e: unknown) => errors.push(e));
    if (errors.length > 0) throw errors[0];
  };
  try {
    return await start(options, undo, close);
  } catch (error) {
    await close().catch(() => {}); // the first error is the one that explains
    throw error;
  }
}

async function start(options: StackOptions, undo: (() => Promise<void>)[], close: () => Promise<void>): Promise<Stack> {
  const { port, timing, concurrency = 2, signal } = options;
  const wasmDir = join(projectRoot(), "build/filters");
  if (port !== 0) await assertFree(port);

  const group = await startReplicas(timing);
  undo.push(() => group.close());
  signal?.throwIfAborted();

  const configDir = await mkdtemp(join(tmpdir(), "tokenmesh-stack-"));
  undo.push(() => rm(configDir, { recursive: true, force: true }));
  await writeConfig(TEMPLATES, configDir, { ...group.ports, PROXY_PORT: port });

  const server = await startServer({ configDir, wasmDir, log: jsonLogger("warn") });
  undo.push(() => server.close());
  const errors = server.configErrors();
  if (errors.length > 0) {
    const built = errors.every(({ code }) => code !== "TM_FILTER_MISSING");
    const what = `the configuration is refused:\n${errors.map(formatError).join("\n")}`;
    throw new StackError(what, built ? "correct envoy/stack/config" : "npm run build:filters");
  }
  signal?.throwIfAborted();

  const bootstrap = adsBootstrap({
    ...{ xdsAddress: server.xdsAddress, nodeId: "stack", cluster: "tokenmesh" },
    ...{ protocol: "delta", loadReports: true },
  });
  const envoy = await EnvoyProcess.start({ bootstrap, concurrency, logLevel: "warn" });
  undo.push(() => envoy.stop());
  signal?.throwIfAborted();

  const address = await envoy.listenerAddress(LISTENER).catch((cause: unknown) => {
    const what = `Envoy did not open the listener ${LISTENER}. Last log lines:\n${envoy.log.tail()}`;
    throw new StackError(what, "see the log lines; the xDS server's /snapshot shows what it sent", { cause });
  });
  const proxy = `http://${address}`;
  const api = `http://${server.apiAddress}`;
  await firstAnswer(proxy, envoy, signal);

  return {
    ready: {
      proxy,
      envoyAdmin: envoy.admin.url,
      xds: server.xdsAddress,
      api,
      models: CLIENT_MODELS,
    },
    configDir,
    failed: envoy.exited.then(({ code, signal: by }) => `Envoy ended (${by ?? `code ${code}`}):\n${envoy.log.tail()}`),
    close,
    sample: async () => {
      const { accepted, rejected, ...counters } = await envoyCounters(envoy);
      return {
        ...counters,
        at: performance.now(),
        envoyRssBytes: await residentBytes(envoy),
        xds: { accepted, rejected, ...(await xdsState(api)) },
        replicas: group.replicas.map((replica) => {
          const { running, waiting, served, tokens } = replica.stats();
          return { name: replica.name, inFlight: running + waiting, served, tokens };
        }),
      };
    },
  };
}

/** The request body of the check at the start and of the printed curl. */
export function sampleBody(): string {
  const messages = [{ role: "user", content: "Hello, who answers?" }];
  return JSON.stringify({ model: CLIENT_MODELS[0], messages });
}

async function firstAnswer(proxy: string, envoy: EnvoyProcess, signal: AbortSignal | undefined): Promise<void> {
  let last = "no answer";
  const answered = async (): Promise<boolean> => {
    if (signal?.aborted) return true;
    const answer = await fetch(`${proxy}/v1/chat/completions`, {
      method: "POST",
      // Whoever tries it out is the first to ask.
      headers: { "content-type": "application/json", "cache-control": "no-store" },
      body: sampleBody(),
      signal: AbortSignal.timeout(5_000),
    });
    const text = await answer.text();
    last = `${answer.status} ${text.slice(0, 500)}`;
    return answer.status === 200 && text.includes('"choices"');
  };
  await waitFor(answered, { timeoutMs: 20_000, intervalMs: 50, what: "a chat completion" }).catch((cause: unknown) => {
    const what = `no chat completion through the proxy; last answer: ${last}. Envoy's last log lines:\n${envoy.log.tail()}`;
    throw new StackError(what, "a 404 or 503 points at the configuration: see /snapshot of the xDS server", { cause });
  });
  signal?.throwIfAborted();
}

async function assertFree(port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (cause: NodeJS.ErrnoException) => {
      reject(
        new StackError(`port ${port} cannot be used: ${cause.message}`, "choose another one with --port", { cause }),
      );
    });
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve()));
  });
}

type EnvoyCounters = Pick<Sample, "requests" | "clientErrors" | "serverErrors" | "limits" | "picks" | "caches"> &
  Pick<XdsSample, "accepted" | "rejected">;

async function envoyCounters({ admin }: EnvoyProcess): Promise<EnvoyCounters> {
  const stats = await admin.stats(
    `downstream_rq_(completed|4xx|5xx)$|update_(success|rejected)$|config_(reload|fail)$|${LIMIT_COUNTERS}|${PICK_COUNTERS}|${CACHE_COUNTERS}`,
  );
  const sum = (prefix: string, ...suffixes: string[]): number => {
    let total = 0;
    for (const [name, value] of stats) {
      const counts = name.startsWith(prefix) && !name.startsWith("http.admin.");
      if (counts && suffixes.some((suffix) => name.endsWith(suffix))) total += value;
    }
    return total;
  };
  return {
    requests: sum("http.", ".downstream_rq_completed"),
    clientErrors: sum("http.", ".downstream_rq_4xx"),
    serverErrors: sum("http.", ".downstream_rq_5xx"),
    limits: limitSamples(stats),
    picks: pickSamples(stats),
    caches: cacheSamples(stats),
    accepted: sum("", ".update_success", ".config_reload"),
    rejected: sum("", ".update_rejected", ".config_fail"),
  };
}

interface SnapshotView {
  readonly configErrors: readonly unknown[];
  readonly nodes: readonly { readonly types: Readonly<Record<string, { readonly state: string }>> }[];
}

/** What the xDS server knows about its one Envoy. */
async function xdsState(api: string): Promise<Pick<XdsSample, "unsettled" | "configErrors">> {
  const answer = await fetch(`${api}/snapshot`, { signal: AbortSignal.timeout(5_000) });
  const { configErrors, nodes } = (await answer.json()) as SnapshotView;
  const types = nodes.flatMap(({ types }) => Object.entries(types));
  const unsettled = types.filter(([, { state }]) => state !== "synced").map(([type, { state }]) => `${type} ${state}`);
  return { unsettled: nodes.length === 0 ? ["no Envoy"] : unsettled, configErrors: configErrors.length };
}

/** Resident memory of Envoy; where there is no /proc, what its allocator holds. */
async function residentBytes(envoy: EnvoyProcess): Promise<number> {
  const status = await readFile(`/proc/${envoy.pid}/status`, "utf8").catch(() => "");
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kilobytes === undefined ? (await envoy.admin.memory()).totalPhysicalBytes : Number(kilobytes) * 1024;
}
