/**
 * Answers by similarity: when nothing is stored under a question's own key, the answer to the nearest question of its partition will do, if it is near enough and its
 * words agree. A partition is everything but the question: tenant, route, model, parameters, what was said before. Nothing that goes wrong in here is more than a miss.
 */
import { createHash } from "node:crypto";
import type { Logger } from "../../../log.ts";
import type { RedisOptions } from "../../redis/connection.ts";
import { Embeddings } from "./embeddings.ts";
import { EmbeddingError } from "./embeddings-call.ts";
import { MAX_COMPARED, MAX_LOOKUPS, MAX_RECENT, RECORDS_PER_PAGE } from "./limits.ts";
import type { SemanticGetResult, SemanticMetrics, SemanticPutResult } from "./metrics.ts";
import { checkedOptions, type SemanticOptions, type SemanticSettings } from "./options.ts";
import { SharedVectors } from "./shared-vectors.ts";
import { tokensOf } from "./text-length.ts";
import { VectorIndex } from "./vector-index.ts";
import { agree, type Wording, wordingOf } from "./wording.ts";

export interface AskedQuestion {
  /** 32 hex digits. */
  readonly partition: string;
  readonly text: string;
}

export interface SimilarQuestion extends AskedQuestion {
  /** Least similarity in thousandths; 0: the server's own. */
  readonly permille: number;
}

export interface SimilarAnswer<T> {
  readonly key: string;
  readonly permille: number;
  readonly answer: T;
}

/** What the store has under a key: an answer that may be given, one that is gone for good, or nothing that could be told. */
export type Lookup<T> = { readonly answer: T } | "gone" | "unknown";

export interface SemanticContext {
  readonly options: SemanticOptions;
  /** Where the answers are, if not in memory. */
  readonly redis: (Omit<RedisOptions, "onState"> & { readonly prefix?: string }) | undefined;
  readonly metrics: SemanticMetrics;
  readonly log: Logger;
}

export class SemanticAnswers {
  readonly #options: SemanticSettings;
  readonly #metrics: SemanticMetrics;
  readonly #index: VectorIndex;
  readonly #embeddings: Embeddings;
  readonly #shared: SharedVectors | undefined;
  /** By partition and text: one tenant must not learn from the time it takes what another has asked. The newest stand last. */
  readonly #recent = new Map<string, Promise<Float32Array>>();
  /** Partitions that are being read. */
  readonly #reading = new Map<string, Promise<void>>();

  /** @throws ServerError TM_USAGE */
  constructor({ options, redis, metrics, log }: SemanticContext) {
    const settings = checkedOptions(options);
    const { model, maxQuestions, maxBytes } = settings;
    this.#options = settings;
    this.#metrics = metrics;
    this.#index = new VectorIndex({ maxQuestions, maxBytes });
    let wasUp = true;
    this.#embeddings = new Embeddings({
      ...settings,
      onCall: (result, seconds, message) => {
        metrics.calls.inc({ result });
        metrics.callSeconds.observe(seconds);
        const { up } = this.#embeddings;
        if (up !== wasUp) log(up ? "info" : "warn", up ? "embeddings are back" : "embeddings fail", { message });
        wasUp = up;
      },
    });
    const onState = (up: boolean, reason: string) =>
      log(up ? "info" : "warn", up ? "store of questions connected" : "store of questions lost", { reason });
    this.#shared =
      redis === undefined ? undefined : new SharedVectors({ redis: { ...redis, onState }, model, maxQuestions });
    metrics.read({
      up: () => this.#embeddings.up,
      partitions: () => this.#index.partitions,
      questions: () => this.#index.questions,
      bytes: () => this.#index.bytes,
    });
  }

  /**
   * The answer to a question that is near enough. Never rejects.
   * @param look says whether the answer under a key may be given
   */
  async find<T>(
    question: SimilarQuestion,
    look: (key: string) => Promise<Lookup<T>>,
  ): Promise<SimilarAnswer<T> | undefined> {
    const end = this.#metrics.lookupSeconds.startTimer();
    let found: SimilarAnswer<T> | SemanticGetResult;
    try {
      found = await this.#find(question, look);
    } catch (error) {
      found = reasonOf(error);
    }
    end();
    this.#metrics.gets.inc({ result: typeof found === "string" ? found : "hit" });
    return typeof found === "string" ? undefined : found;
  }

  /** Remembers the question of an answer that was stored. Resolves when it is done; never rejects. @param ttlMs life of the answer */
  async add(question: AskedQuestion, key: string, ttlMs: number): Promise<void> {
    let result: SemanticPutResult;
    try {
      result = await this.#add(question, key, ttlMs);
    } catch (error) {
      result = reasonOf(error);
    }
    this.#metrics.puts.inc({ result });
  }

  /** For people. */
  view(): object {
    const { url, model, threshold, words } = this.#options;
    const { partitions, questions, bytes } = this.#index;
    return {
      endpoint: url,
      model,
      up: this.#embeddings.up,
      ...(this.#shared === undefined ? {} : { sharedUp: this.#shared.up }),
      threshold: threshold / 1_000,
      words,
      partitions,
      questions,
      bytes,
      maxBytes: this.#options.maxBytes,
      waiting: this.#embeddings.waiting,
    };
  }

  close(): void {
    this.#embeddings.close();
    this.#shared?.close();
  }

  async #find<T>(
    { partition, text, permille }: SimilarQuestion,
    look: (key: string) => Promise<Lookup<T>>,
  ): Promise<SimilarAnswer<T> | SemanticGetResult> {
    if (!this.#readable(text)) return "long";
    if (this.#shared === undefined && this.#index.count(partition) === 0) return "none";
    const embedded = this.#embed(partition, text, true);
    // Handled below, or not at all: whoever puts the answer asks for the same vector.
    embedded.catch(() => {});
    await this.#read(partition);
    if (this.#index.count(partition) === 0) return "none";
    const near = this.#index.nearest(partition, await embedded, permille === 0 ? this.#options.threshold : permille);
    if (near.length === 0) return "none";
    const wording = wordingOf(text);
    const alike = near.slice(0, MAX_COMPARED).filter((each) => this.#agree(wording, each.wording));
    if (alike.length === 0) return "words";
    for (const { key, permille: similar, id } of alike.slice(0, MAX_LOOKUPS)) {
      const found = await look(key);
      if (typeof found !== "string") {
        this.#index.use(partition, key);
        return { key, permille: similar, answer: found.answer };
      }
      if (found === "gone") this.#forget(partition, key, id);
    }
    return "gone";
  }

  async #add({ partition, text }: AskedQuestion, key: string, ttlMs: number): Promise<SemanticPutResult> {
    if (!this.#readable(text)) return "long";
    const vector = await this.#embed(partition, text, false);
    const question = { key, vector, wording: wordingOf(text) };
    const replaces = this.#index.id(partition, key);
    this.#index.add(partition, { ...question, id: replaces });
    if (this.#shared === undefined) return "stored";
    try {
      const id = await this.#shared.add(partition, question, ttlMs, replaces);
      this.#index.add(partition, { ...question, id });
      return "stored";
    } catch {
      return "unshared";
    }
  }

  #readable(text: string): boolean {
    return /\S/.test(text) && tokensOf(text) <= this.#options.maxTokens;
  }

  #agree(one: Wording, other: Wording): boolean {
    return this.#options.words === "any" || agree(one, other);
  }

  #embed(partition: string, text: string, urgent: boolean): Promise<Float32Array> {
    const name = createHash("sha256").update(partition).update(text).digest("base64");
    const known = this.#recent.get(name);
    if (known !== undefined) return known;
    const embedded = this.#embeddings.embed(text, urgent);
    this.#recent.set(name, embedded);
    embedded.catch(() => {
      if (this.#recent.get(name) === embedded) this.#recent.delete(name);
    });
    const oldest = this.#recent.keys().next();
    if (this.#recent.size > MAX_RECENT && oldest.done !== true) this.#recent.delete(oldest.value);
    return embedded;
  }

  /** What other servers have added. Never rejects: without Redis, what is known has to do. */
  async #read(partition: string): Promise<void> {
    if (this.#shared === undefined) return;
    const underWay = this.#reading.get(partition);
    if (underWay !== undefined) return underWay;
    const reading = this.#readPages(partition, this.#shared)
      .catch(() => {})
      .finally(() => this.#reading.delete(partition));
    this.#reading.set(partition, reading);
    return reading;
  }

  async #readPages(partition: string, shared: SharedVectors): Promise<void> {
    // As many as a partition has: others may add while this reads.
    for (let pages = 1 + this.#options.maxQuestions / RECORDS_PER_PAGE; pages > 0; pages--) {
      const page = await shared.read(partition, this.#index.cursor(partition));
      for (const question of page.questions) this.#index.add(partition, question);
      this.#index.setCursor(partition, page.cursor);
      if (!page.full) return;
    }
  }

  #forget(partition: string, key: string, id: string): void {
    this.#index.remove(partition, key);
    if (id !== "") this.#shared?.remove(partition, id).catch(() => {});
  }
}

const reasonOf = (error: unknown) => (error instanceof EmbeddingError ? error.reason : "failed");
