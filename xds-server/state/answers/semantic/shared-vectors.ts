/**
 * Questions in Redis (7) or Valkey, for all servers that share it: a stream for each partition, `<prefix>v:<model>:<partition>`, bounded in length, which ends with the
 * last of its answers. A server reads what is behind the last record that it knows, so a get costs a round trip that mostly brings nothing; the search is its own.
 * A search module would search in all partitions at once and then drop what is not of the right one, and stock Redis 7 and Valkey have none.
 *
 * On a connection of its own: pages of vectors must not delay the answers.
 */
import { createHash } from "node:crypto";
import type { Cluster, Redis } from "ioredis";
import { RedisConnection, type RedisOptions } from "../../redis/connection.ts";
import { MAX_STORE_CALLS } from "../limits.ts";
import { RECORDS_PER_PAGE } from "./limits.ts";
import type { Question } from "./vector-index.ts";
import { decodeRecord, encodeRecord } from "./vector-record.ts";

export interface SharedVectorsOptions {
  readonly redis: RedisOptions & { readonly prefix?: string };
  /** Of the embeddings: those of another are elsewhere. */
  readonly model: string;
  /** Of one partition. */
  readonly maxQuestions: number;
}

export interface Page {
  readonly questions: readonly Question[];
  /** Of the last record read; as given when there was none. */
  readonly cursor: string;
  /** There may be more. */
  readonly full: boolean;
}

const FIELD = "q";
const MODEL_DIGITS = 16;

export class SharedVectors {
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  readonly #maxQuestions: number;

  /** @throws ServerError TM_USAGE */
  constructor({ redis, model, maxQuestions }: SharedVectorsOptions) {
    this.#connection = new RedisConnection({ maxInFlight: MAX_STORE_CALLS, ...redis });
    const hash = createHash("sha256").update(model).digest("hex").slice(0, MODEL_DIGITS);
    this.#prefix = `${redis.prefix ?? "tokenmesh:"}v:${hash}:`;
    this.#maxQuestions = maxQuestions;
  }

  get up(): boolean {
    return this.#connection.up;
  }

  /** What is behind the cursor ("": from the beginning), oldest first. @throws StoreError */
  async read(partition: string, cursor: string): Promise<Page> {
    const from = cursor === "" ? "-" : `(${cursor}`;
    const records = await this.#connection.call((client: Redis | Cluster) =>
      client.xrangeBuffer(this.#prefix + partition, from, "+", "COUNT", RECORDS_PER_PAGE),
    );
    const questions = records.flatMap(([id, [, record]]) => {
      const question = record === undefined ? undefined : decodeRecord(record, id.toString("latin1"));
      return question === undefined ? [] : [question];
    });
    const last = records.at(-1)?.[0].toString("latin1") ?? cursor;
    return { questions, cursor: last, full: records.length === RECORDS_PER_PAGE };
  }

  /** @param replaces id of the record of the same key; "" for none. The id of the new one. @throws StoreError */
  async add(partition: string, question: Omit<Question, "id">, ttlMs: number, replaces: string): Promise<string> {
    const name = this.#prefix + partition;
    const results = await this.#connection.call(async (client: Redis | Cluster) => {
      const step = client.multi().xadd(name, "MAXLEN", this.#maxQuestions, "*", FIELD, encodeRecord(question));
      // Without an end: this one's. With one: the later of the two.
      step.pexpire(name, ttlMs, "NX").pexpire(name, ttlMs, "GT");
      if (replaces !== "") step.xdel(name, replaces);
      return step.exec();
    });
    return String(results?.[0]?.[1] ?? "");
  }

  /** @throws StoreError */
  async remove(partition: string, id: string): Promise<void> {
    await this.#connection.call((client: Redis | Cluster) => client.xdel(this.#prefix + partition, id));
  }

  close(): void {
    this.#connection.close();
  }
}
