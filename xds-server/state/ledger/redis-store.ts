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
import { RedisConnection, type RedisOptions } from "../redis/connection.ts";
import { RedisScript } from "../redis/script.ts";
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
  USAGE_KEPT_MS,
  type UsageRow,
} from "./store.ts";

export interface RedisStoreOptions extends RedisOptions {
  /** Before every key; default "tokenmesh:". */
  readonly prefix?: string;
}

/** Calls under way: some hundred bytes each. */
const MAX_IN_FLIGHT = 10_000;

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
  readonly #connection: RedisConnection;
  readonly #prefix: string;

  /** @throws ServerError TM_USAGE for what is no URL of Redis */
  constructor(options: RedisStoreOptions) {
    const { prefix = "tokenmesh:", maxInFlight = MAX_IN_FLIGHT } = options;
    this.#prefix = prefix;
    this.#connection = new RedisConnection({ ...options, maxInFlight });
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
    const reply = await this.#run(this.#chargeScript, keys, args);
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
    const reply = await this.#run(this.#changeScript, [key], args);
    const states = (from: number) => meters.map((_, index) => stateAt(reply, 3 * (from + index)));
    return { before: states(0), after: states(meters.length) };
  }

  async meters(key: string): Promise<readonly KeptMeter[]> {
    const fields = await this.#connection.call((client) => client.hgetall(this.#prefix + key));
    return Object.entries(fields).flatMap(([field, text]) => {
      const [, amount] = /^-?\d+:[^;]*(?:;(\d+))?$/.exec(text) ?? [];
      return field === "label" ? [] : [{ field, amount: amount === undefined ? undefined : Number(amount) }];
    });
  }

  /** Walks the whole key space (SCAN): for people, not for requests. */
  async list(prefix: string, limit: number): Promise<readonly Budget[]> {
    const pattern = `${globEscape(this.#prefix + prefix)}*`;
    const found = new Map<string, Budget>();
    for (const node of this.#connection.masters()) {
      let cursor = "0";
      do {
        const [next, keys] = await this.#connection.call(() => node.scan(cursor, "MATCH", pattern, "COUNT", 1_000));
        cursor = next;
        for (const name of keys) {
          if (found.size >= limit) return [...found.values()];
          const label = await this.#connection.call((client) => client.hget(name, "label"));
          if (label !== null) found.set(name, { key: name.slice(this.#prefix.length), label });
        }
      } while (cursor !== "0");
    }
    return [...found.values()];
  }

  async usage(table: string): Promise<readonly UsageRow[]> {
    const fields = await this.#connection.call((client) => client.hgetall(this.#prefix + table));
    const rows: UsageRow[] = [];
    for (const [field, hits] of Object.entries(fields)) {
      if (!field.startsWith("h:")) continue;
      const row = field.slice(2);
      rows.push({ row, hits: Number(hits), requests: Number(fields[`r:${row}`] ?? 0) });
    }
    return rows;
  }

  up(): boolean {
    return this.#connection.up;
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  async #run(script: RedisScript, keys: readonly string[], args: readonly (string | number)[]) {
    const named = keys.map((key) => this.#prefix + key);
    return (await this.#connection.call((client) => script.run(client, named, args))) as readonly number[];
  }
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
