/**
 * Budgets in Redis (7) or Valkey: every call is one Lua script and one round trip, with all keys of a request in it, so it is atomic and the same for
 * all ledgers and Envoys.
 *
 * Keys carry their domain as a hash tag (`{llm}:b:...`): on a cluster all budgets of a domain are in one slot, because a request that is charged to
 * several budgets at once, or not at all, needs all of them on one node. Several domains spread over the nodes.
 *
 * A call is sent at most once. There is no queue for the time without a connection, and nothing is sent again when a connection breaks with answers
 * outstanding: such a call fails with `unavailable` although Redis may have charged it. Whoever repeats it with the same id is not charged twice.
 */
import { readFileSync } from "node:fs";
import type { Writable } from "node:stream";
import { Cluster, Redis } from "ioredis";
import type { MeterSpec } from "./meter.ts";
import { RedisScript } from "./redis-script.ts";
import {
  type Budget,
  type BudgetChange,
  type BudgetQuery,
  type Charge,
  type ChargeAnswer,
  type ChargeRequest,
  type KeptMeter,
  type LedgerStore,
  MAX_USAGE_ROWS,
  type MeterState,
  REMEMBERED_MS,
  StoreError,
  USAGE_KEPT_MS,
  type UsageRow,
} from "./store.ts";

export interface RedisStoreOptions {
  /** `redis://user:password@host:port/db`, `rediss://` for TLS. Several, parted by commas, are nodes of a cluster. */
  readonly url: string;
  /** The nodes form a cluster; implied by several URLs. */
  readonly cluster?: boolean;
  /** Before every key; default "tokenmesh:". */
  readonly prefix?: string;
  /** After this long without an answer a call fails, ms; default 250. */
  readonly timeoutMs?: number;
  /** Calls under way; more fail at once with `busy`. Default 10,000. */
  readonly maxInFlight?: number;
  /** Told when the connection comes and goes, with the reason. */
  readonly onState?: (up: boolean, reason: string) => void;
}

/** A connection that has sent nothing for this long while answers are due is closed and opened again, ms. */
const SILENCE_MS = 1_000;
const RECONNECT_MIN_MS = 50;
const RECONNECT_MAX_MS = 1_000;

const CONSTANTS = Object.entries({ REMEMBERED_MS, USAGE_KEPT_MS, MAX_USAGE_ROWS })
  .map(([name, value]) => `local ${name} = ${value}\n`)
  .join("");
const script = (name: string): string =>
  CONSTANTS +
  readFileSync(new URL("./meter.lua", import.meta.url), "utf8") +
  readFileSync(new URL(`./${name}.lua`, import.meta.url), "utf8");

export class RedisStore implements LedgerStore {
  // Read when there is a store: every command of the CLI imports this file.
  readonly #chargeScript = new RedisScript(script("charge"));
  readonly #changeScript = new RedisScript(script("change"));
  readonly #client: Redis | Cluster;
  readonly #prefix: string;
  readonly #timeoutMs: number;
  readonly #maxInFlight: number;
  #inFlight = 0;
  /** The connection whose writes wait for the end of this turn. */
  #gathering: Writable | undefined;
  #up = false;

  constructor(options: RedisStoreOptions) {
    const { prefix = "tokenmesh:", timeoutMs = 250, maxInFlight = 10_000, onState = () => {} } = options;
    this.#prefix = prefix;
    this.#timeoutMs = timeoutMs;
    this.#maxInFlight = maxInFlight;
    this.#client = connect(options);
    let reason = "";
    this.#client.on("error", (error: Error) => {
      reason = error.message;
    });
    const become = (up: boolean) => {
      if (up === this.#up) return;
      this.#up = up;
      onState(up, up ? "" : reason);
    };
    this.#client.on("ready", () => become(true));
    this.#client.on("close", () => become(false));
    this.#client.on("end", () => become(false));
  }

  async charge({ now, charges, name, usageTable }: ChargeRequest): Promise<ChargeAnswer> {
    const budgets = [...new Set(charges.map(({ key }) => key))];
    const keys = [...budgets];
    if (usageTable !== "") keys.push(usageTable);
    if (name !== "") keys.push(name);
    const args: (string | number)[] = [now, budgets.length, flag(usageTable !== ""), flag(name !== ""), charges.length];
    for (const charge of charges) {
      const { key, label, mode, hits, reserved, usage, meters } = charge;
      const named = charge.name === "" ? 0 : keys.push(charge.name);
      args.push(budgets.indexOf(key) + 1, label, mode, hits, reserved, usage, named, meters.length);
      for (const spec of meters) pushSpec(args, spec);
    }
    const reply = await this.#call(() => this.#chargeScript.run(this.#client, this.#named(keys), args));
    return parseAnswer(reply, charges);
  }

  async read(query: BudgetQuery): Promise<readonly MeterState[]> {
    return (await this.#change(query, "read", 0)).before;
  }

  change(change: BudgetChange): Promise<{ before: readonly MeterState[]; after: readonly MeterState[] }> {
    return this.#change(change, change.action, change.value);
  }

  async #change({ key, label, now, meters }: BudgetQuery, action: string, value: number) {
    const args: (string | number)[] = [now, action, value, label, meters.length];
    for (const spec of meters) pushSpec(args, spec);
    const reply = await this.#call(() => this.#changeScript.run(this.#client, this.#named([key]), args));
    const states = (from: number) => meters.map((_, index) => stateAt(reply, 3 * (from + index)));
    return { before: states(0), after: states(meters.length) };
  }

  async meters(key: string): Promise<readonly KeptMeter[]> {
    const fields = await this.#call(() => this.#client.hgetall(this.#prefix + key));
    return Object.entries(fields).flatMap(([field, text]) => {
      const [, amount] = /^-?\d+:[^;]*(?:;(\d+))?$/.exec(text) ?? [];
      return field === "label" ? [] : [{ field, amount: amount === undefined ? undefined : Number(amount) }];
    });
  }

  /** Walks the whole key space (SCAN): for people, not for requests. */
  async list(prefix: string, limit: number): Promise<readonly Budget[]> {
    const nodes = this.#client instanceof Cluster ? this.#client.nodes("master") : [this.#client];
    const pattern = `${globEscape(this.#prefix + prefix)}*`;
    const found = new Map<string, Budget>();
    for (const node of nodes) {
      let cursor = "0";
      do {
        const [next, keys] = await this.#call(() => node.scan(cursor, "MATCH", pattern, "COUNT", 1_000));
        cursor = next;
        for (const name of keys) {
          if (found.size >= limit) return [...found.values()];
          const label = await this.#call(() => this.#client.hget(name, "label"));
          if (label !== null) found.set(name, { key: name.slice(this.#prefix.length), label });
        }
      } while (cursor !== "0");
    }
    return [...found.values()];
  }

  async usage(table: string): Promise<readonly UsageRow[]> {
    const fields = await this.#call(() => this.#client.hgetall(this.#prefix + table));
    const rows: UsageRow[] = [];
    for (const [field, hits] of Object.entries(fields)) {
      if (!field.startsWith("h:")) continue;
      const row = field.slice(2);
      rows.push({ row, hits: Number(hits), requests: Number(fields[`r:${row}`] ?? 0) });
    }
    return rows;
  }

  up(): boolean {
    return this.#up;
  }

  async close(): Promise<void> {
    this.#client.disconnect();
  }

  #named(keys: readonly string[]): string[] {
    return keys.map((key) => this.#prefix + key);
  }

  #call<T>(send: () => Promise<T>): Promise<T> {
    if (!this.#up) return Promise.reject(new StoreError("unavailable", "the store is not connected"));
    if (this.#inFlight >= this.#maxInFlight) {
      return Promise.reject(new StoreError("busy", `${this.#maxInFlight} calls to the store are under way`));
    }
    this.#inFlight++;
    this.#gather();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new StoreError("unavailable", `no answer from the store in ${this.#timeoutMs} ms`)),
        this.#timeoutMs,
      );
      // Counted until Redis has answered, not until the caller has given up: that is what takes memory.
      const end = () => {
        clearTimeout(timer);
        this.#inFlight--;
      };
      send().then(
        (answer) => {
          end();
          resolve(answer);
        },
        (error: unknown) => {
          end();
          reject(failure(error));
        },
      );
    });
  }

  /** What is asked in one turn of the event loop goes out with one write: a write costs more than the rest of a call. */
  #gather(): void {
    const stream = this.#client instanceof Redis ? this.#client.stream : undefined;
    if (stream === undefined || stream === this.#gathering) return;
    this.#gathering = stream;
    stream.cork();
    setImmediate(() => {
      this.#gathering = undefined;
      stream.uncork();
    });
  }
}

/** A ReplyError is an answer of Redis; everything else is a connection that broke. */
function failure(error: unknown): StoreError {
  const message = error instanceof Error ? error.message : String(error);
  const answered = error instanceof Error && error.name === "ReplyError";
  const loading = answered && /^(LOADING|MASTERDOWN|READONLY|CLUSTERDOWN|TRYAGAIN|BUSY) /.test(message);
  return new StoreError(answered && !loading ? "failed" : "unavailable", message, { cause: error });
}

function connect({ url, cluster }: RedisStoreOptions): Redis | Cluster {
  const urls = url.split(",");
  const backoff = (attempt: number) => Math.min(RECONNECT_MAX_MS, RECONNECT_MIN_MS * 2 ** Math.min(attempt, 8));
  const common = {
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2_000,
    socketTimeout: SILENCE_MS,
    noDelay: true,
  };
  if (cluster !== true && urls.length === 1) return new Redis(url, { ...common, retryStrategy: backoff });
  const first = new URL(urls[0] ?? "");
  const redisOptions = {
    ...common,
    ...(first.username === "" ? {} : { username: decodeURIComponent(first.username) }),
    ...(first.password === "" ? {} : { password: decodeURIComponent(first.password) }),
    ...(first.protocol === "rediss:" ? { tls: {} } : {}),
  };
  // retryDelayOnFailover is what would send a command again after its connection broke.
  return new Cluster(urls, {
    clusterRetryStrategy: backoff,
    enableOfflineQueue: false,
    retryDelayOnFailover: 0,
    redisOptions,
  });
}

const flag = (value: boolean): number => (value ? 1 : 0);

function pushSpec(args: (string | number)[], spec: MeterSpec): void {
  const { field, amount, shadow, rolling, slot, span, admitted, override = false } = spec;
  args.push(field, amount, flag(shadow) + 2 * flag(rolling) + 4 * flag(override), slot, span, admitted);
}

/** `over, used, resetAt` from `at` on. */
function stateAt(reply: readonly number[], at: number): MeterState {
  return { over: reply[at] === 1, used: reply[at + 1] ?? 0, resetAt: reply[at + 2] ?? 0 };
}

function parseAnswer(reply: readonly number[], charges: readonly Charge[]): ChargeAnswer {
  let at = 1;
  const replayed: boolean[] = [];
  const states = charges.map(({ meters }) => {
    replayed.push(reply[at++] === 1);
    return meters.map(() => {
      at += 3;
      return stateAt(reply, at - 3);
    });
  });
  return { admitted: reply[0] === 1, replayed, states };
}

const globEscape = (text: string): string => text.replace(/[*?[\]\\]/g, "\\$&");
