/**
 * How records lie in Redis (7) or Valkey: a string for each (`<prefix>{r}:v:KEY`, its version and its value), a hash with the versions of all, and a hash that says
 * which change was the last. All of it is in one slot of a cluster, because a change touches three keys and must be one step.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { RedisConnection, type RedisConnectionOptions } from "../redis/connection.ts";
import { type RedisReply, RedisScript } from "../redis/script.ts";
import { StoreError } from "../store-error.ts";
import { MAX_RECORDS, VALUES_PER_CALL } from "./limits.ts";
import { placeOf, type Step } from "./restoration.ts";
import type { ChangesResult, PutResult, RecordChange, StoredRecord } from "./store.ts";

/** Which records there are, without their values. */
export interface Index {
  /** Another after Redis has lost everything; "" while nothing was ever put. */
  readonly epoch: string;
  /** Version of the last change, also of a deletion. */
  readonly last: string;
  /** By key; undefined when nothing has changed since the change that the caller knows. */
  readonly versions: ReadonlyMap<string, string> | undefined;
}

const text = (name: string) => readFileSync(new URL(`./${name}.lua`, import.meta.url), "utf8");
const script = (...names: string[]) => new RedisScript(names.map(text).join("\n"));

export class RedisRecords {
  readonly #connection: RedisConnection;
  readonly #base: string;
  readonly #change = script("epoch", "change");
  readonly #changeAll = script("epoch", "change-all");
  readonly #kept = script("epoch", "kept");
  readonly #look = script("look");
  /** The greatest that was seen. */
  #generation = 0;

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
    this.#generation = Math.max(this.#generation, placeOf(last).generation);
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
    return this.#apply(key, value, { wanted: wantedOf(expected), expected: expected ?? "" });
  }

  /** All of them or none; those that are put have the same version. @throws StoreError */
  async changeAll(changes: readonly RecordChange[]): Promise<ChangesResult> {
    if (changes.length === 0) return { ok: true, versions: [] };
    const keys = [`${this.#base}index`, `${this.#base}meta`, ...changes.map(({ key }) => this.#record(key))];
    const args = changes.flatMap(({ key, value, expected }) => {
      const what = value === undefined ? "delete" : "put";
      return [what, key, wantedOf(expected), expected ?? "", value ?? ""];
    });
    const common = [random(), MAX_RECORDS, this.channel, this.#generation];
    const [done, version, current] = await this.#run(this.#changeAll, keys, [...common, ...args]);
    if (done === 1)
      return { ok: true, versions: changes.map(({ value }) => (value === undefined ? "" : String(version))) };
    if (done === -1) throw new StoreError("busy", `there are ${MAX_RECORDS} records`);
    const key = changes[Number(version)]?.key;
    if (key === undefined) throw new StoreError("failed", "the store gave an answer that is none");
    return { ok: false, key, current: typeof current === "string" ? parse(current) : undefined };
  }

  /** One step of a restoration; nothing when it is not needed any more. @throws StoreError */
  async restore(step: Step): Promise<void> {
    const { key, record } = step;
    const kept = record?.version ?? "";
    if (step.do === "put back") await this.#apply(key, record?.value, { wanted: "lost", kept, prefix: step.prefix });
    else await this.#apply(key, record?.value, { wanted: "is", expected: step.stale, kept });
  }

  /** Everything that was known below a prefix, up to a change, was put back. @throws StoreError */
  async restored(prefix: string, last: string): Promise<void> {
    await this.#run(this.#kept, [`${this.#base}meta`], [prefix, last, random(), this.#generation]);
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

  async #apply(
    key: string,
    value: string | undefined,
    how: { readonly wanted: string; readonly expected?: string; readonly kept?: string; readonly prefix?: string },
  ): Promise<PutResult> {
    const { wanted, expected = "", kept = "", prefix = "" } = how;
    const keys = [`${this.#base}index`, `${this.#base}meta`, this.#record(key)];
    const what = [value === undefined ? "delete" : "put", key, wanted, expected, random(), value ?? ""];
    const args = [...what, MAX_RECORDS, this.channel, this.#generation, kept, prefix];
    const [done, current] = await this.#run(this.#change, keys, args);
    if (done === 1) return { ok: true, version: String(current) };
    if (done === -1) throw new StoreError("busy", `there are ${MAX_RECORDS} records`);
    return { ok: false, current: typeof current === "string" ? parse(current) : undefined };
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

const wantedOf = (expected: string | null | undefined): string =>
  expected === undefined ? "any" : expected === null ? "none" : "is";

/** Two changes with one number are of a Redis that has lost the first of them. */
const random = (): string => randomBytes(6).toString("hex");

function parse(text: string): StoredRecord {
  const end = text.indexOf("\n");
  return { version: text.slice(0, end), value: text.slice(end + 1) };
}
