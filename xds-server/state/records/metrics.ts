/** A state store whose calls and watches are measured: Prometheus metrics in the server's registry. Labels have as many values as the server has kinds of records. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { ServerError } from "../../errors.ts";
import { StoreError, type StoreErrorReason } from "../store-error.ts";
import type {
  ChangesResult,
  ExpectedVersion,
  PutResult,
  RecordChange,
  RecordObserver,
  RecordStore,
  StoredRecord,
} from "./store.ts";

/** `conflict`: the record was another than expected. `invalid`: no store takes it. The others as {@link StoreError} has them. */
const RESULTS: readonly Result[] = ["ok", "conflict", "invalid", "unavailable", "busy", "failed"];
type Result = "ok" | "conflict" | "invalid" | StoreErrorReason;
const OPERATIONS = ["get", "list", "put", "delete", "change"] as const;
type Operation = (typeof OPERATIONS)[number];

/** From a store in memory to one that takes as long as a call may (5 s). */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

interface Watch {
  /** Of what is watched, without the slash at its end. */
  readonly kind: string;
  records: number;
  /** Since when the store has not confirmed what was told last, ms; undefined while it does. */
  unconfirmedSince: number | undefined;
  /** Why not, as far as the store has said. */
  reason: string | undefined;
}

/** What cannot be read of the store. */
export interface StateOutage {
  /** Kinds of records. */
  readonly kinds: readonly string[];
  /** Since the first of them could not be read, ms. */
  readonly forMs: number;
  /** Undefined while the store has not answered at all. */
  readonly reason: string | undefined;
}

export class MeasuredStore implements RecordStore {
  readonly #store: RecordStore;
  readonly #now: () => number;
  readonly #watches = new Set<Watch>();
  readonly #operations: Counter<"operation" | "result">;
  readonly #seconds: Histogram<"operation">;
  readonly #outages: Counter<"kind">;

  /** @param now ms of a clock that does not go back */
  constructor(store: RecordStore, registry: Registry, now: () => number) {
    this.#store = store;
    this.#now = now;
    const registers = [registry];
    this.#operations = new Counter({
      name: "tokenmesh_state_operations_total",
      help: "Calls of the state store by operation and result (ok, conflict, invalid, unavailable, busy, failed).",
      labelNames: ["operation", "result"],
      registers,
    });
    for (const operation of OPERATIONS) for (const result of RESULTS) this.#operations.inc({ operation, result }, 0);
    this.#seconds = new Histogram({
      name: "tokenmesh_state_operation_seconds",
      help: "Time of calls of the state store, failed ones too, by operation.",
      labelNames: ["operation"],
      buckets: SECONDS,
      registers,
    });
    this.#outages = new Counter({
      name: "tokenmesh_state_outages_total",
      help: "How often records could not be read any more, by kind of record.",
      labelNames: ["kind"],
      registers,
    });
    const watches = this.#watches;
    new Gauge({
      name: "tokenmesh_state_age_seconds",
      help: "For how long the store has not confirmed the records of a kind; 0 while it does.",
      labelNames: ["kind"],
      registers,
      collect() {
        this.reset();
        for (const { kind, unconfirmedSince } of watches)
          this.set({ kind }, unconfirmedSince === undefined ? 0 : (now() - unconfirmedSince) / 1_000);
      },
    });
    new Gauge({
      name: "tokenmesh_state_records",
      help: "Records of a kind, as the store told them last.",
      labelNames: ["kind"],
      registers,
      collect() {
        this.reset();
        for (const { kind, records } of watches) this.set({ kind }, records);
      },
    });
  }

  /** Undefined while everything that is watched can be read. */
  get outage(): StateOutage | undefined {
    const unread = [...this.#watches].filter(({ unconfirmedSince }) => unconfirmedSince !== undefined);
    if (unread.length === 0) return undefined;
    const since = Math.min(...unread.map(({ unconfirmedSince }) => unconfirmedSince ?? 0));
    const kinds = [...new Set(unread.map(({ kind }) => kind))].sort();
    return { kinds, forMs: this.#now() - since, reason: unread.find(({ reason }) => reason !== undefined)?.reason };
  }

  list(prefix: string): Promise<ReadonlyMap<string, StoredRecord>> {
    return this.#measure("list", () => this.#store.list(prefix));
  }

  get(key: string): Promise<StoredRecord | undefined> {
    return this.#measure("get", () => this.#store.get(key));
  }

  put(key: string, value: string, options?: ExpectedVersion): Promise<PutResult> {
    return this.#measure("put", () => this.#store.put(key, value, options), changed);
  }

  delete(key: string, options?: ExpectedVersion): Promise<PutResult> {
    return this.#measure("delete", () => this.#store.delete(key, options), changed);
  }

  changeAll(changes: readonly RecordChange[]): Promise<ChangesResult> {
    return this.#measure("change", () => this.#store.changeAll(changes), changed);
  }

  watch(prefix: string, observer: RecordObserver): () => void {
    const watch: Watch = {
      kind: prefix.replace(/\/$/, ""),
      records: 0,
      unconfirmedSince: this.#now(),
      reason: undefined,
    };
    const end = this.#store.watch(prefix, {
      records: (all) => {
        watch.records = all.size;
        watch.unconfirmedSince = undefined;
        watch.reason = undefined;
        observer.records(all);
      },
      failed: (error) => {
        watch.unconfirmedSince ??= this.#now();
        watch.reason = error.message;
        this.#outages.inc({ kind: watch.kind });
        observer.failed(error);
      },
    });
    this.#outages.inc({ kind: watch.kind }, 0);
    this.#watches.add(watch);
    return () => {
      this.#watches.delete(watch);
      end();
    };
  }

  close(): Promise<void> {
    this.#watches.clear();
    return this.#store.close();
  }

  async #measure<T>(
    operation: Operation,
    call: () => Promise<T>,
    judge: (value: T) => Result = () => "ok",
  ): Promise<T> {
    const begun = this.#now();
    let result: Result = "failed";
    try {
      const value = await call();
      result = judge(value);
      return value;
    } catch (error) {
      result = error instanceof StoreError ? error.reason : error instanceof ServerError ? "invalid" : "failed";
      throw error;
    } finally {
      this.#operations.inc({ operation, result });
      this.#seconds.observe({ operation }, (this.#now() - begun) / 1_000);
    }
  }
}

const changed = ({ ok }: PutResult | ChangesResult): Result => (ok ? "ok" : "conflict");
