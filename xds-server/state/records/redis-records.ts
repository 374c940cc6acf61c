/**
 * How records lie in Redis (7) or Valkey: a string for each (`<prefix>{r}:v:KEY`, its version and its value), a hash with the versions of all, and who changed
 * something last. All of it is in one slot of a cluster, because a change touches three keys and must be one step.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { RedisConnection, type RedisConnectionOptions } from "../redis/connection.ts";
import { type RedisReply, RedisScript } from "../redis/script.ts";
import { StoreError } from "../store-error.ts";
import { MAX_RECORDS, VALUES_PER_CALL } from "./limits.ts";
import type { PutResult, StoredRecord } from "./store.ts";

/** Which records there are, without their values. */
export interface Index {
  /** Another after Redis has lost everything; "" while nothing was ever put. */
  readonly epoch: string;
  /** Another after every change. */
  readonly last: string;
  /** By key; undefined when nothing has changed since the change that the caller knows. */
  readonly versions: ReadonlyMap<string, string> | undefined;
}

const script = (name: string) => new RedisScript(readFileSync(new URL(`./${name}.lua`, import.meta.url), "utf8"));

export class RedisRecords {
  readonly #connection: RedisConnection;
  readonly #base: string;
  readonly #change = script("change");
  readonly #look = script("look");

  /** @throws ServerError TM_USAGE */
  constructor(options: RedisConnectionOptions, prefix: string) {
    this.#connection = new RedisConnection(options);
    this.#base = `${prefix}{r}:`;
  }

  get up(): boolean {
    return this.#connection.up;
  }

  /** Where the key of every change is published. */
  get channel(): string {
    return `${this.#base}changes`;
  }

  /** @param known the last change that the caller knows, or "" @throws StoreError */
  async index(known: string): Promise<Index> {
    const keys = [`${this.#base}index`, `${this.#base}meta`];
    const reply = await this.#run(this.#look, keys, [known]);
    const [epoch = "", last = "", ...flat] = reply.map(String);
    if (last === known && last !== "") return { epoch, last, versions: undefined };
    const versions = new Map<string, string>();
    for (let at = 0; at + 1 < flat.length; at += 2) versions.set(flat[at] as string, flat[at + 1] as string);
    return { epoch, last, versions };
  }

  /** @throws StoreError */
  async get(key: string): Promise<StoredRecord | undefined> {
    return (await this.values([key])).get(key);
  }

  /** Those that are there, each with the version of its value. @throws StoreError also when Redis has thrown a value away */
  async values(keys: readonly string[]): Promise<ReadonlyMap<string, StoredRecord>> {
    const found = new Map<string, StoredRecord>();
    for (let at = 0; at < keys.length; at += VALUES_PER_CALL) {
      const page = keys.slice(at, at + VALUES_PER_CALL);
      const texts = await this.#connection.call((client) => client.mget(page.map((key) => this.#record(key))));
      for (const [index, key] of page.entries()) {
        const text = texts[index];
        if (typeof text === "string") found.set(key, parse(text));
        else await this.#checkGone(key);
      }
    }
    return found;
  }

  /** @param value undefined deletes @throws StoreError */
  async change(key: string, value: string | undefined, expected: string | null | undefined): Promise<PutResult> {
    const version = randomBytes(12).toString("hex");
    const wanted = expected === undefined ? "any" : expected === null ? "none" : "is";
    const keys = [`${this.#base}index`, `${this.#base}meta`, this.#record(key)];
    const action = value === undefined ? "delete" : "put";
    const args = [action, key, wanted, expected ?? "", version, value ?? "", MAX_RECORDS, this.channel];
    const [done, current] = await this.#run(this.#change, keys, args);
    if (done === 1) return { ok: true, version: value === undefined ? "" : version };
    if (done === -1) throw new StoreError("busy", `there are ${MAX_RECORDS} records`);
    return { ok: false, current: typeof current === "string" ? parse(current) : undefined };
  }

  close(): void {
    this.#connection.close();
  }

  /** @throws StoreError when a record is there without its value: to go on without it would be to delete it */
  async #checkGone(key: string): Promise<void> {
    const version = await this.#connection.call((client) => client.hget(`${this.#base}index`, key));
    if (version === null) return;
    const text = await this.#connection.call((client) => client.get(this.#record(key)));
    if (text === null) throw new StoreError("failed", `the value of ${key} is gone: is maxmemory-policy noeviction?`);
  }

  async #run(which: RedisScript, keys: readonly string[], args: readonly (string | number)[]) {
    const reply = await this.#connection.call((client) => which.run(client, keys, args));
    if (Array.isArray(reply)) return reply as readonly RedisReply[];
    throw new StoreError("failed", "the store gave an answer that is none");
  }

  #record(key: string): string {
    return `${this.#base}v:${key}`;
  }
}

function parse(text: string): StoredRecord {
  const end = text.indexOf("\n");
  return { version: text.slice(0, end), value: text.slice(end + 1) };
}
