/** Processes beside an arm's Envoy whose CPU time is part of the arm's: each arm has its own. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "../../envoy/harness/index.ts";
import { OwnedProcess } from "../../test/fixtures/owned-process.ts";
import { rateLimitBinary, startRateLimitServer } from "../../test/fixtures/ratelimit-server.ts";
import { RedisServer, redisBinary } from "../../test/fixtures/redis-server.ts";
import { startCompanion } from "./companion.ts";

/** `host:port` by name, of all helpers that an arm has started. */
export type Addresses = Readonly<Record<string, string>>;

export interface RunningHelper {
  readonly pid: number;
  readonly addresses: Addresses;
  stop(): Promise<void>;
}

export interface Helper {
  /** In the report. */
  readonly name: string;
  /** Why it cannot run here, if it cannot. */
  missing?(root: string): string | undefined;
  /** Resolves when it answers. `earlier`: addresses of the helpers before it. */
  start(root: string, earlier: Addresses): Promise<RunningHelper>;
}

/** A Go program of bench/envoy that prints {"address": "host:port"}. */
export const goProgram = (name: string, args: readonly string[]): Helper => ({
  name,
  start: async (root) => {
    const { pid, ready, stop } = await startCompanion(join(root, "build/bench/bin", name), args);
    return { pid, addresses: { [name]: ready.address ?? "" }, stop };
  },
});

const absent = (binary: { readonly path: string } | { readonly reason: string }): string | undefined =>
  "reason" in binary ? binary.reason : undefined;

/** Without persistence, the fastest that it can be. */
export const redis: Helper = {
  name: "redis",
  missing: () => absent(redisBinary()),
  start: async () => {
    const server = await RedisServer.start();
    return { pid: server.pid, addresses: { redis: `127.0.0.1:${server.port}` }, stop: () => server.stop() };
  },
};

/** envoyproxy/ratelimit on the Redis before it, without its statistics. */
export const rateLimitService = (config: string): Helper => ({
  name: "ratelimit",
  missing: () => absent(rateLimitBinary()),
  start: async (_, { redis: store = "" }) => {
    const server = await startRateLimitServer({ redis: { port: Number(store.split(":")[1]) }, config });
    return { pid: server.pid, addresses: { ratelimit: server.grpcAddress }, stop: () => server.close() };
  },
});

const cli = (root: string): string => join(root, "build/node/xds-server/main.js");

/** `tokenmesh ledger serve` on the Redis before it; `ledger-admin` is its HTTP API. */
export const ledger = (config: string): Helper => ({
  name: "ledger",
  start: async (root, { redis: store = "" }) => {
    const folder = await mkdtemp(join(tmpdir(), "tokenmesh-bench-ledger-"));
    const file = join(folder, "ledger.yaml");
    await writeFile(file, config);
    const args = [cli(root), "ledger", "serve", "--config", file, "--redis", `redis://${store}`, "--log-level", "warn"];
    const running = new OwnedProcess(process.execPath, args, process.env);
    const stop = async (): Promise<void> => {
      await running.kill();
      await rm(folder, { recursive: true, force: true });
    };
    try {
      const printed = () => /^ready (.*)$/m.exec(running.output)?.[1];
      const line = await waitFor(() => (running.ended ? "ended" : printed()), { what: "the ledger" });
      if (running.ended) throw new Error(`the ledger ended: ${running.output}`);
      const { grpc, admin } = JSON.parse(line) as { grpc: string; admin: string };
      await waitFor(async () => (await fetch(`${admin}/ready`)).ok, { what: "the ledger's store" });
      return { pid: running.pid, addresses: { ledger: grpc, "ledger-admin": admin }, stop };
    } catch (error) {
      await stop();
      throw error;
    }
  },
});
