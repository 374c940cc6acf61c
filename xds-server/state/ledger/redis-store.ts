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
import { Cluster, Redis } from "ioredis";
import type { MeterSpec } from "./meter.ts";
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

const script = (name: string): string =>
  readFileSync(new URL("./meter.lua", import.meta.url), "utf8") +
  readFileSync(new URL(`./${name}.lua`, import.meta.url), "utf8");

type Scripted = (keys: number, ...args: (string | number)[]) => Promise<string>;
type Client = (Redis | Cluster) & { tokenmeshCharge: Scripted; tokenmeshChange: Scripted };

export class RedisStore implements LedgerStore {
  readonly #client: Client;
  readonly #prefix: string;
  readonly #timeoutMs: number;
  readonly #maxInFlight: number;
  #inFlight = 0;
  #up = false;

  constructor(options: RedisStoreOptions) {
    const { prefix = "tokenmesh:", timeoutMs = 250, maxInFlight = 10_000, onState = () => {} } = options;
    this.#prefix = prefix;
    this.#timeoutMs = timeoutMs;
    this.#maxInFlight = maxInFlight;
    this.#client = connect(options) as Client;
    this.#client.defineCommand("tokenmeshCharge", { lua: script("charge") });
    this.#client.defineCommand("tokenmeshChange", { lua: script("change") });
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

  async charge(request: ChargeRequest): Promise<ChargeAnswer> {
    const { now, charges, id, usageTable } = request;
    const keys = [...new Set(charges.map(({ key }) => key))];
    const args: (string | number)[] = [now, keys.length, flag(usageTable !== ""), flag(id !== "")];
    args.push(REMEMBERED_MS, USAGE_KEPT_MS, MAX_USAGE_ROWS, charges.length);
    for (const charge of charges) pushCharge(args, charge, keys.indexOf(charge.key) + 1);
    if (usageTable !== "") keys.push(usageTable);
    if (id !== "") keys.push(id);
    const reply = await this.#call(() => this.#client.tokenmeshCharge(keys.length, ...this.#named(keys), ...args));
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
    const reply = await this.#call(() => this.#client.tokenmeshChange(1, ...this.#named([key]), ...args));
    const [before = "", after = ""] = reply.split("|");
    return { before: before.split(";").map(parseState), after: after.split(";").map(parseState) };
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

  async #call<T>(send: () => Promise<T>): Promise<T> {
    if (!this.#up) throw new StoreError("unavailable", "the store is not connected");
    if (this.#inFlight >= this.#maxInFlight) {
      throw new StoreError("busy", `${this.#maxInFlight} calls to the store are under way`);
    }
    this.#inFlight++;
    // Counted until Redis has answered, not until the caller has given up: that is what takes memory.
    const sent = send().finally(() => this.#inFlight--);
    let timer: NodeJS.Timeout | undefined;
    try {
      const late = new Promise<never>((_resolve, reject) => {
        timer = setTimeout(
          () => reject(new StoreError("unavailable", `no answer from the store in ${this.#timeoutMs} ms`)),
          this.#timeoutMs,
        );
      });
      return await Promise.race([sent, late]);
    } catch (error) {
      sent.catch(() => {});
      if (error instanceof StoreError) throw error;
      const message = error instanceof Error ? error.message : String(error);
      // A ReplyError is an answer of Redis; everything else is a connection that broke.
      const answered = error instanceof Error && error.name === "ReplyError";
      const loading = answered && /^(LOADING|MASTERDOWN|READONLY|CLUSTERDOWN|TRYAGAIN|BUSY) /.test(message);
      throw new StoreError(answered && !loading ? "failed" : "unavailable", message, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
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

function pushCharge(args: (string | number)[], charge: Charge, keyIndex: number): void {
  const { label, mode, hits, reserved, usage, meters } = charge;
  args.push(keyIndex, label, mode, hits, reserved, usage, meters.length);
  for (const spec of meters) pushSpec(args, spec);
}

function pushSpec(args: (string | number)[], spec: MeterSpec): void {
  const { field, amount, shadow, rolling, slot, span, admitted, override = false } = spec;
  args.push(field, amount, flag(shadow), flag(rolling), slot, span, admitted, flag(override));
}

function parseState(text: string): MeterState {
  const [over = 0, used = 0, resetAt = 0] = text.split(",").map(Number);
  return { over: over === 1, used, resetAt };
}

function parseAnswer(reply: string, charges: readonly Charge[]): ChargeAnswer {
  const [replayed, admitted, ...states] = reply.split(";");
  let next = 0;
  return {
    replayed: replayed === "1",
    admitted: admitted === "1",
    states: charges.map(({ meters }) => meters.map(() => parseState(states[next++] ?? ""))),
  };
}

const globEscape = (text: string): string => text.replace(/[*?[\]\\]/g, "\\$&");
