/** What the answer service asks of a store. Two implementations: memory-store.ts (one server) and redis-store.ts (Redis or Valkey, any number of servers). */
import type { Purge, PurgeState, PurgeTarget } from "./purge.ts";

/** Where an entry lies, and whom it belongs to. Keys and hashes are the hex digits of their bytes on the wire. */
export interface EntryAddress {
  /** 32 hex digits. */
  readonly key: string;
  /** 16 hex digits each. */
  readonly tenant: string;
  readonly model: string;
}

export interface StoredEntry {
  /** As given to `put`. */
  readonly packed: Buffer;
  /** ms since the epoch of the newest purge that concerns the address; -1 without one. An entry from that time or before is dead. */
  readonly purgedAt: number;
}

export interface AnswerStore {
  /** Other servers may purge too: their purges come to light by asking (`purges`). */
  readonly shared: boolean;
  /** @throws StoreError */
  get(address: EntryAddress): Promise<StoredEntry | undefined>;
  /** Replaces what there is. @param packed at most MAX_VALUE_BYTES and some @throws StoreError */
  put(key: string, packed: Buffer, ttlMs: number): Promise<void>;
  /** Takes the time of one step, however many entries it concerns. @param now ms since the epoch @throws StoreError */
  purge(target: PurgeTarget, now: number): Promise<Purge>;
  /** Purges that are kept. @param known what the caller has; the same object comes back when nothing is new @throws StoreError */
  purges(known: PurgeState | undefined, now: number): Promise<PurgeState>;
  /** False while the store cannot answer. */
  up(): boolean;
  /** For people: what kind it is and how full. */
  view(): Readonly<Record<string, string | number | boolean>>;
  close(): Promise<void>;
}

export { StoreError, type StoreErrorReason } from "../store-error.ts";
