/**
 * Get and Put. Nothing that goes wrong in here or in the store reaches a filter as anything but a miss: it is counted, and logged once in a while.
 */
import type { Logger } from "../../log.ts";
import { notAhead, readHead, readStream } from "./entry.ts";
import { LOG_EVERY_MS, MAX_GETS, MAX_PUT_BYTES } from "./limits.ts";
import type { AnswerMetrics, GetResult, PutResult } from "./metrics.ts";
import { schedule } from "./pace.ts";
import { pack, unpack, unpackPace } from "./packing.ts";
import type { GetRequest, PutRequest } from "./protocol.ts";
import type { Lookup, SemanticAnswers } from "./semantic/index.ts";
import { type AnswerStore, type EntryAddress, StoreError } from "./store.ts";

export interface AnswerCallsContext {
  readonly store: AnswerStore;
  readonly metrics: AnswerMetrics;
  readonly log: Logger;
  /** Finds answers by similarity; undefined where only the key counts. */
  readonly semantic?: SemanticAnswers | undefined;
  /** ms since the epoch. */
  readonly now: () => number;
}

export interface FoundEntry {
  /** As it was put. */
  readonly value: Buffer;
  readonly ageMs: number;
  /** Of an answer to another question: its key, and the similarity in thousandths. */
  readonly similar?: { readonly key: string; readonly permille: number };
  /** When its pieces came (pace.ts), and when the upstream was asked, ms since the epoch; undefined when nobody knows the former. */
  readonly paced?: { readonly pace: Buffer; readonly storedAt: number };
}

interface Looked {
  readonly value: Buffer;
  readonly storedAt: number;
  readonly expiresAt: number;
  readonly pace: Buffer;
}

const NO_PACE: Buffer = Buffer.alloc(0);

/** What says that nothing is there; others say that nobody knows. */
const MISSES: ReadonlySet<GetResult> = new Set(["miss", "purged", "foreign", "damaged"]);

export class AnswerCalls {
  readonly #context: AnswerCallsContext;
  #gets = 0;
  #putBytes = 0;
  #logAgainAt = -Infinity;

  constructor(context: AnswerCallsContext) {
    this.#context = context;
  }

  /** undefined is a miss, for whatever reason. */
  async get(request: GetRequest): Promise<FoundEntry | undefined> {
    const { metrics, now } = this.#context;
    if (this.#gets >= MAX_GETS) {
      metrics.gets.inc({ result: "busy" });
      return undefined;
    }
    this.#gets++;
    const end = metrics.seconds.startTimer({ call: "get" });
    let looked: GetResult | Looked;
    try {
      looked = await this.#look(request);
    } catch (error) {
      looked = this.#failure(error);
    }
    end();
    const similar = typeof looked === "string" && MISSES.has(looked) ? await this.#findSimilar(request) : undefined;
    this.#gets--;
    const found = typeof looked === "string" ? similar?.answer : looked;
    metrics.gets.inc({ result: similar !== undefined ? "similar" : typeof looked === "string" ? looked : "hit" });
    if (found === undefined) return undefined;
    metrics.bytes.inc({ what: "got" }, found.value.length);
    const ageMs = Math.max(0, now() - found.storedAt);
    const { value, pace, storedAt } = found;
    const paced = pace.length === 0 ? {} : { paced: { pace, storedAt } };
    return { value, ageMs, ...paced, ...(similar === undefined ? {} : { similar }) };
  }

  /** Never rejects. */
  async #findSimilar({ question, tenant, model }: GetRequest) {
    const { semantic, now } = this.#context;
    if (semantic === undefined || question === undefined) return undefined;
    // Whose it is and what was purged is asked again of each that is found; and what is stale is for its own question alone.
    const look = async (key: string): Promise<Lookup<Looked>> => {
      const looked = await this.#look({ key, tenant, model });
      if (typeof looked === "string") return looked === "foreign" ? "unknown" : "gone";
      return looked.expiresAt > now() ? { answer: looked } : "gone";
    };
    return semantic.find(question, look);
  }

  async #look(address: EntryAddress): Promise<GetResult | Looked> {
    const stored = await this.#context.store.get(address);
    if (stored === undefined) return "miss";
    const value = await unpack(stored.packed);
    const head = value === undefined ? undefined : readHead(value);
    if (value === undefined || head === undefined) return "damaged";
    if (head.tenant !== address.tenant || head.model !== address.model) return "foreign";
    if (head.storedAt <= stored.purgedAt) return "purged";
    return { value, storedAt: head.storedAt, expiresAt: head.expiresAt, pace: unpackPace(stored.packed) };
  }

  /** Whether it was stored. */
  async put(request: PutRequest): Promise<boolean> {
    const { metrics } = this.#context;
    const { length } = request.value;
    if (this.#putBytes + length > MAX_PUT_BYTES) {
      metrics.puts.inc({ result: "busy" });
      return false;
    }
    this.#putBytes += length;
    const end = metrics.seconds.startTimer({ call: "put" });
    let result: PutResult;
    try {
      result = await this.#store(request);
    } catch (error) {
      result = this.#failure(error);
    }
    this.#putBytes -= length;
    end();
    metrics.puts.inc({ result });
    if (result !== "stored") return false;
    // Nobody waits for that.
    const { key, ttlMs, question } = request;
    if (question !== undefined) void this.#context.semantic?.add(question, key, ttlMs);
    return true;
  }

  async #store({ key, ttlMs, value, pace }: PutRequest): Promise<PutResult> {
    const { store, metrics, now } = this.#context;
    const head = readHead(value);
    if (head === undefined) return "malformed";
    metrics.bytes.inc({ what: "put" }, value.length);
    const packed = await pack(notAhead(value, head, now()), paceFor(value, pace));
    await store.put(key, packed, ttlMs);
    metrics.bytes.inc({ what: "packed" }, packed.length);
    return "stored";
  }

  #failure(error: unknown): "unavailable" | "busy" | "failed" {
    const reason = error instanceof StoreError ? error.reason : "failed";
    const time = performance.now();
    if (reason === "failed" && time >= this.#logAgainAt) {
      this.#logAgainAt = time + LOG_EVERY_MS;
      this.#context.log("error", "the store of answers failed", { error: String(error) });
    }
    return reason;
  }
}

/** What can be no pace of the answer is left out: without one it is given at once. */
function paceFor(value: Buffer, pace: Buffer | undefined): Buffer {
  const stream = pace === undefined ? undefined : readStream(value);
  if (pace === undefined || stream === undefined) return NO_PACE;
  const isPace = schedule(pace, stream.body.length, { speedPercent: 100, maxGapMs: 0 }) !== undefined;
  return isPace ? pace : NO_PACE;
}
