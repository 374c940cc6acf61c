/**
 * Get and Put. Nothing that goes wrong in here or in the store reaches a filter as anything but a miss: it is counted, and logged once in a while.
 */
import type { Logger } from "../../log.ts";
import { notAhead, readHead } from "./entry.ts";
import { LOG_EVERY_MS, MAX_GETS, MAX_PUT_BYTES } from "./limits.ts";
import type { AnswerMetrics, GetResult, PutResult } from "./metrics.ts";
import { pack, unpack } from "./packing.ts";
import type { PutRequest } from "./protocol.ts";
import { type AnswerStore, type EntryAddress, StoreError } from "./store.ts";

export interface AnswerCallsContext {
  readonly store: AnswerStore;
  readonly metrics: AnswerMetrics;
  readonly log: Logger;
  /** ms since the epoch. */
  readonly now: () => number;
}

export interface FoundEntry {
  /** As it was put. */
  readonly value: Buffer;
  readonly ageMs: number;
}

export class AnswerCalls {
  readonly #context: AnswerCallsContext;
  #gets = 0;
  #putBytes = 0;
  #logAgainAt = -Infinity;

  constructor(context: AnswerCallsContext) {
    this.#context = context;
  }

  /** undefined is a miss, for whatever reason. */
  async get(address: EntryAddress): Promise<FoundEntry | undefined> {
    const { metrics, now } = this.#context;
    if (this.#gets >= MAX_GETS) {
      metrics.gets.inc({ result: "busy" });
      return undefined;
    }
    this.#gets++;
    const end = metrics.seconds.startTimer({ call: "get" });
    let looked: GetResult | { readonly value: Buffer; readonly storedAt: number };
    try {
      looked = await this.#look(address);
    } catch (error) {
      looked = this.#failure(error);
    }
    this.#gets--;
    end();
    if (typeof looked === "string") {
      metrics.gets.inc({ result: looked });
      return undefined;
    }
    metrics.gets.inc({ result: "hit" });
    metrics.bytes.inc({ what: "got" }, looked.value.length);
    return { value: looked.value, ageMs: Math.max(0, now() - looked.storedAt) };
  }

  async #look(address: EntryAddress): Promise<GetResult | { readonly value: Buffer; readonly storedAt: number }> {
    const stored = await this.#context.store.get(address);
    if (stored === undefined) return "miss";
    const value = await unpack(stored.packed);
    const head = value === undefined ? undefined : readHead(value);
    if (value === undefined || head === undefined) return "damaged";
    if (head.tenant !== address.tenant || head.model !== address.model) return "foreign";
    if (head.storedAt <= stored.purgedAt) return "purged";
    return { value, storedAt: head.storedAt };
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
    return result === "stored";
  }

  async #store({ key, ttlMs, value }: PutRequest): Promise<PutResult> {
    const { store, metrics, now } = this.#context;
    const head = readHead(value);
    if (head === undefined) return "malformed";
    metrics.bytes.inc({ what: "put" }, value.length);
    const packed = await pack(notAhead(value, head, now()));
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
