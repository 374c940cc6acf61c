/** The token ledger: `startLedger` puts store, gRPC service and admin API together; `cli.ts` is the same as a command. */
import { jsonLogger, type Logger } from "../../log.ts";
import { startLedgerAdmin } from "./admin-api.ts";
import { type AuditEntry, BudgetAdmin } from "./budget-admin.ts";
import { Patterns } from "./budgets.ts";
import type { LedgerConfig } from "./config.ts";
import { Ledger } from "./ledger.ts";
import { MemoryStore } from "./memory-store.ts";
import { createLedgerMetrics } from "./metrics.ts";
import { RedisStore, type RedisStoreOptions } from "./redis-store.ts";
import { startRlsServer } from "./rls-server.ts";

export { type LedgerConfig, type LedgerConfigResult, parseLedgerConfig, readLedgerConfig } from "./config.ts";

export interface LedgerOptions {
  readonly config: LedgerConfig;
  /** `host:port` of the gRPC service; port 0 (the default) takes a free one on loopback. */
  readonly grpc?: string;
  /** `host:port` of the admin API; port 0 (the default) takes a free one on loopback. */
  readonly admin?: string;
  /** Bearer token of the admin API. */
  readonly token?: string;
  /** Budgets in Redis or Valkey; in memory by default. */
  readonly redis?: Omit<RedisStoreOptions, "onState">;
  /** Budgets in memory; default 100,000. */
  readonly maxKeys?: number;
  readonly log?: Logger;
  /** Receives every change of a budget; the log by default. */
  readonly audit?: (entry: AuditEntry) => void;
  /** ms since the epoch; the clock of the machine by default. */
  readonly now?: () => number;
}

export interface RunningLedger {
  readonly grpcAddress: string;
  readonly adminAddress: string;
  /** From now on answers by this configuration; what budgets have used stays. */
  reconfigure(config: LedgerConfig): void;
  ready(): boolean;
  close(): Promise<void>;
}

const SWEEP_MS = 1_000;

/** @throws ServerError TM_LISTEN_FAILED, TM_USAGE */
export async function startLedger(options: LedgerOptions): Promise<RunningLedger> {
  const { config, grpc = "127.0.0.1:0", admin = "127.0.0.1:0", token, log = jsonLogger(), now = Date.now } = options;
  const { redis, maxKeys, audit = (entry) => log("info", "budget changed", { audit: entry }) } = options;
  const metrics = createLedgerMetrics(log);
  const memory =
    redis === undefined
      ? new MemoryStore({
          ...(maxKeys === undefined ? {} : { maxKeys }),
          onEvict: (what) => metrics.evictions.inc({ what }),
        })
      : undefined;
  const store =
    memory ??
    new RedisStore({
      ...(redis as RedisStoreOptions),
      onState: (up, reason) => log(up ? "info" : "warn", up ? "store connected" : "store lost", { reason }),
    });
  const ledger = new Ledger(new Patterns(config), store, metrics);
  const sweeping = setInterval(() => memory?.sweep(now()), SWEEP_MS).unref();
  const toClose: (() => Promise<void>)[] = [() => store.close()];
  try {
    const rls = await startRlsServer(grpc, { ledger, store, metrics, log, now });
    toClose.unshift(() => rls.close());
    const api = await startLedgerAdmin(admin, {
      admin: new BudgetAdmin({ store, patterns: () => ledger.patterns, audit, now }),
      ready: () => store.up(),
      metrics: async () => {
        metrics.storeUp.set(store.up() ? 1 : 0);
        metrics.keys.set(memory?.size ?? 0);
        return { contentType: metrics.registry.contentType, body: await metrics.registry.metrics() };
      },
      token,
      log,
    });
    toClose.unshift(() => api.close());
    log("info", "token ledger serves", {
      grpc: rls.address,
      admin: api.address,
      store: memory === undefined ? "redis" : "memory",
      domains: config.domains.map(({ name }) => name),
    });
    return {
      grpcAddress: rls.address,
      adminAddress: api.address,
      reconfigure: (next) => {
        ledger.patterns = new Patterns(next);
      },
      ready: () => store.up(),
      close: async () => {
        clearInterval(sweeping);
        for (const close of toClose) await close();
      },
    };
  } catch (error) {
    clearInterval(sweeping);
    for (const close of toClose) await close();
    throw error;
  }
}
