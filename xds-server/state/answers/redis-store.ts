/**
 * Answers in Redis (7) or Valkey: one key for an entry, `<prefix>a:<key>`, which ends by itself. A get is one round trip: the entry, and the marks of the purges that
 * could concern it, so that a purge takes one step however many entries it drops, and holds for every server from then on.
 *
 * The marks are in one hash, `<prefix>{a}:purges`, without a life of their own: with `maxmemory-policy volatile-*` they are never evicted. Where they are gone all
 * the same (FLUSHALL, a crash without persistence), what is stored counts as purged.
 */
import { readFileSync } from "node:fs";
import { RedisConnection, type RedisOptions } from "../redis/connection.ts";
import type { PlaceStore } from "./flight-places.ts";
import { KEY_MARK_LIFE_MS, MARK_LIFE_MS, MAX_MARKS, MAX_PURGE_LOG, MAX_STORE_CALLS } from "./limits.ts";
import { NO_HASH } from "./protocol.ts";
import { newEpoch, type Purge, PurgeKind, type PurgeState, type PurgeTarget } from "./purge.ts";
import { markOf, marksFor } from "./purge-marks.ts";
import { type AnswerStore, type EntryAddress, type StoredEntry, StoreError } from "./store.ts";

export interface RedisStoreOptions extends RedisOptions {
  /** Before every key; default "tokenmesh:". */
  readonly prefix?: string;
  /** ms since the epoch. */
  readonly now: () => number;
}

const CONSTANTS = Object.entries({ KEY_MARK_LIFE_MS, MARK_LIFE_MS, MAX_MARKS, MAX_PURGE_LOG })
  .map(([name, value]) => `local ${name} = ${value}\n`)
  .join("");

export class RedisStore implements AnswerStore, PlaceStore {
  readonly shared = true;
  readonly #script = CONSTANTS + readFileSync(new URL("./purges.lua", import.meta.url), "utf8");
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  readonly #now: () => number;

  /** @throws ServerError TM_USAGE */
  constructor(options: RedisStoreOptions) {
    const { prefix = "tokenmesh:", maxInFlight = MAX_STORE_CALLS, now, onState = () => {} } = options;
    this.#prefix = prefix;
    this.#now = now;
    this.#connection = new RedisConnection({
      ...options,
      maxInFlight,
      onState: (up, reason) => {
        // Before the first entries are stored: those from before the marks were there count as purged.
        if (up) this.#begin();
        onState(up, reason);
      },
    });
  }

  async get(address: EntryAddress): Promise<StoredEntry | undefined> {
    const [packed, [epoch, ...marks]] = await this.#connection.call((client) =>
      Promise.all([
        client.getBuffer(this.#entry(address.key)),
        client.hmget(this.#marks, "epoch", ...marksFor(address)),
      ]),
    );
    if (epoch === null) this.#begin();
    if (packed === null || epoch === null) return undefined;
    const times = marks.flatMap((at) => (at === null ? [] : [Number(at)]));
    // What is no time was written by somebody else: nobody knows what it purged.
    return { packed, purgedAt: times.some(Number.isNaN) ? Number.POSITIVE_INFINITY : Math.max(-1, ...times) };
  }

  async put(key: string, packed: Buffer, ttlMs: number): Promise<void> {
    await this.#connection.call((client) => client.set(this.#entry(key), packed, "PX", ttlMs));
  }

  async purge(target: PurgeTarget, now: number): Promise<Purge> {
    const { kind, hash } = target;
    const state = await this.#run(undefined, now, markOf(target), String(kind), hash);
    // Its mark makes it dead; this is for the memory.
    if (kind === PurgeKind.key) {
      const removed = this.#connection.call((client) => client.unlink(this.#entry(hash)));
      removed.catch(() => {});
    }
    return { ...target, at: now, sequence: state.sequence };
  }

  purges(known: PurgeState | undefined, now: number): Promise<PurgeState> {
    return this.#run(known, now, "", "", "");
  }

  async setPlace(id: string, place: string, ttlMs: number): Promise<void> {
    await this.#connection.call((client) => client.set(this.#place(id), place, "PX", ttlMs));
  }

  getPlace(id: string): Promise<string | null> {
    return this.#connection.call((client) => client.get(this.#place(id)));
  }

  async dropPlace(id: string): Promise<void> {
    await this.#connection.call((client) => client.unlink(this.#place(id)));
  }

  up(): boolean {
    return this.#connection.up;
  }

  view() {
    return { kind: "redis", up: this.up(), callsUnderWay: this.#connection.inFlight };
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  #begin(): void {
    this.purges(undefined, this.#now()).catch(() => {});
  }

  async #run(known: PurgeState | undefined, now: number, mark: string, kind: string, hash: string) {
    const { epoch = NO_HASH, sequence = 0 } = known ?? {};
    const args = [now, newEpoch(), epoch, sequence, mark, kind, hash];
    const reply = await this.#connection.call((client) =>
      client.eval(this.#script, 2, this.#marks, this.#log, ...args),
    );
    return parseState(reply, known, now);
  }

  get #marks(): string {
    return `${this.#prefix}{a}:purges`;
  }

  get #log(): string {
    return `${this.#prefix}{a}:log`;
  }

  #place(id: string): string {
    return `${this.#prefix}f:${id}`;
  }

  #entry(key: string): string {
    return `${this.#prefix}a:${key}`;
  }
}

/** @throws StoreError for what the script does not return: somebody else writes to its keys */
function parseState(reply: unknown, known: PurgeState | undefined, now: number): PurgeState {
  if (Array.isArray(reply)) {
    const [epoch, sequenceText, dropped, list] = reply as readonly unknown[];
    if (reply.length === 2 && known !== undefined) return known;
    const sequence = Number(sequenceText);
    if (
      typeof epoch === "string" &&
      /^[0-9a-f]{16}$/.test(epoch) &&
      Number.isSafeInteger(sequence) &&
      Array.isArray(list)
    ) {
      const purges = list.map((record, index) => parsePurge(record, sequence - list.length + 1 + index));
      const whole = list.length >= Math.min(sequence, MAX_PURGE_LOG);
      if (!purges.includes(undefined))
        return { epoch, sequence, purges: purges as Purge[], droppedAt: whole ? Number(dropped) : now };
    }
  }
  throw new StoreError("failed", "the list of purges cannot be read");
}

function parsePurge(record: unknown, sequence: number): Purge | undefined {
  const [, kindText, hash = "", at] = /^([1-4]):([0-9a-f]*):(\d{1,15})$/.exec(String(record)) ?? [];
  const kind = Object.values(PurgeKind).find((each) => String(each) === kindText);
  const length = kind === PurgeKind.key ? 32 : kind === PurgeKind.all ? 0 : 16;
  return kind === undefined || hash.length !== length ? undefined : { kind, hash, at: Number(at), sequence };
}
