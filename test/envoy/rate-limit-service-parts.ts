/**
 * What stands behind an Envoy whose limiter asks a Rate Limit Service: the token ledger as a process of its own, started as a user starts it, and a network
 * between the two that can be stalled.
 */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot, waitFor } from "../../envoy/harness/index.ts";
import { OwnedProcess } from "../fixtures/owned-process.ts";
import { freePort } from "../fixtures/redis-server.ts";

/** All that tokenmesh's own filter needs: limits come with the calls. */
const CONFIG = "domains:\n  - {name: tokenmesh, override: true}\n";

export interface LedgerProcess {
  readonly grpcAddress: string;
  /** Units that a budget has used, by entries such as "rule=team"; 0 for one that nothing was charged to. */
  used(...entries: readonly string[]): Promise<number>;
  /** The sum of its counters of this name, such as "replays_total". */
  counted(name: string): Promise<number>;
  /** Ends it as a crash does. */
  kill(): Promise<void>;
  /** Starts it again on the same ports; resolves when it and its store answer. */
  resume(): Promise<void>;
  close(): Promise<void>;
}

/** Compiles the command. For `beforeAll`; quick when nothing has changed. */
export function buildCommand(): void {
  const { status, stdout, stderr } = spawnSync("node", ["scripts/build-node.mjs"], {
    cwd: projectRoot(),
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stdout + stderr);
}

/** `tokenmesh ledger serve`, with budgets in Redis, or in memory without `redis`. */
export async function startLedgerProcess({ redis }: { readonly redis?: string } = {}): Promise<LedgerProcess> {
  const folder = await mkdtemp(join(tmpdir(), "tokenmesh-ledger-"));
  const config = join(folder, "ledger.yaml");
  await writeFile(config, CONFIG);
  const [grpcAddress, adminAddress] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const serve = [join(projectRoot(), "build/node/xds-server/main.js"), "ledger", "serve", "--config", config];
  const args = [...serve, "--grpc", grpcAddress, "--admin", adminAddress, "--log-level", "warn"];
  // A busy machine is not a store that hangs.
  args.push("--store-timeout", "5000");
  let running: OwnedProcess | undefined;
  const kill = async (): Promise<void> => {
    await running?.kill();
    running = undefined;
  };
  const resume = async (): Promise<void> => {
    const store = redis === undefined ? [] : ["--redis", redis];
    const started = new OwnedProcess(process.execPath, [...args, ...store], process.env);
    running = started;
    const ready = async (): Promise<boolean> => started.ended || (await fetch(`http://${adminAddress}/ready`)).ok;
    await waitFor(ready, { what: "the ledger" });
    if (started.ended) throw new Error(`the ledger ended: ${started.output}`);
  };
  const close = async (): Promise<void> => {
    await kill();
    await rm(folder, { recursive: true, force: true });
  };
  const used = async (...entries: readonly string[]): Promise<number> => {
    const query = new URLSearchParams({ domain: "tokenmesh" });
    for (const entry of entries) query.append("entry", entry);
    const answer = await fetch(`http://${adminAddress}/budget?${query}`);
    if (answer.status === 404) return 0;
    if (!answer.ok) throw new Error(`the ledger answered ${answer.status}: ${await answer.text()}`);
    const { limits } = (await answer.json()) as { limits: readonly { readonly used: number }[] };
    return limits.reduce((sum, limit) => sum + limit.used, 0);
  };
  const counted = async (name: string): Promise<number> => {
    const text = await (await fetch(`http://${adminAddress}/metrics`)).text();
    const values = text.matchAll(new RegExp(`^tokenmesh_ledger_${name}(?:\\{.*\\})? (\\S+)$`, "gm"));
    return [...values].reduce((sum, [, value]) => sum + Number(value), 0);
  };
  try {
    await resume();
  } catch (error) {
    await close();
    throw error;
  }
  return { grpcAddress, used, counted, kill, resume, close };
}

/** What a stalled network keeps: nothing, what goes to the server (it accepts and never answers), or what comes from it. */
export type Stall = "nothing" | "requests" | "answers";

export interface StallingProxy {
  readonly address: string;
  /** Connections that were made so far. */
  readonly connections: number;
  /** From now on; what was kept and is not any more goes on its way. */
  stall(what: Stall): void;
  close(): Promise<void>;
}

/** A TCP proxy in front of a server at `host:port`. */
export async function startStallingProxy(target: string): Promise<StallingProxy> {
  const [host, port] = target.split(":");
  let stalled: Stall = "nothing";
  let connections = 0;
  const sockets = new Set<Socket>();
  const flushes = new Set<() => void>();
  const pipe = (from: Socket, to: Socket, kept: Stall): void => {
    const waiting: Buffer[] = [];
    const flush = (): void => {
      if (stalled === kept) return;
      for (const bytes of waiting.splice(0)) to.write(bytes);
    };
    from.on("data", (bytes: Buffer) => {
      waiting.push(bytes);
      flush();
    });
    from.on("error", () => {});
    from.on("close", () => {
      flushes.delete(flush);
      sockets.delete(from);
      to.destroy();
    });
    flushes.add(flush);
    sockets.add(from);
  };
  const server = createServer((client) => {
    connections++;
    const upstream = connect(Number(port), host);
    pipe(client, upstream, "requests");
    pipe(upstream, client, "answers");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    address: `127.0.0.1:${address.port}`,
    get connections() {
      return connections;
    },
    stall: (what) => {
      stalled = what;
      for (const flush of flushes) flush();
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
