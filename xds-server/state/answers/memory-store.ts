/** Answers in memory, for one server: so many bytes, and the one that was asked for longest ago goes first. Nothing outlives the process. */
import { newEpoch, type Purge, PurgeKind, type PurgeState, type PurgeTarget, withPurge } from "./purge.ts";
import { PurgeMarks } from "./purge-marks.ts";
import type { AnswerStore, EntryAddress, StoredEntry } from "./store.ts";

/** What Node takes for an entry besides its bytes: the buffer, the key, its place in the map. */
const ENTRY_BYTES = 512;

export interface MemoryStoreOptions {
  readonly maxBytes: number;
  /** ms since the epoch. */
  readonly now: () => number;
  /** Told of an entry that goes for room: `live` or `expired`. */
  readonly onEvict?: (what: "live" | "expired") => void;
}

interface Slot {
  readonly packed: Buffer;
  readonly endsAt: number;
}

export class MemoryStore implements AnswerStore {
  readonly shared: boolean = false;
  /** In the order in which they were asked for. */
  readonly #slots = new Map<string, Slot>();
  readonly #marks = new PurgeMarks();
  readonly #maxBytes: number;
  readonly #now: () => number;
  readonly #onEvict: (what: "live" | "expired") => void;
  #bytes = 0;
  #state: PurgeState = { epoch: newEpoch(), sequence: 0, purges: [], droppedAt: -1 };

  constructor({ maxBytes, now, onEvict = () => {} }: MemoryStoreOptions) {
    this.#maxBytes = maxBytes;
    this.#now = now;
    this.#onEvict = onEvict;
  }

  get size(): number {
    return this.#slots.size;
  }

  /** With what Node takes for them. */
  get bytes(): number {
    return this.#bytes;
  }

  async get(address: EntryAddress): Promise<StoredEntry | undefined> {
    const slot = this.#slots.get(address.key);
    if (slot === undefined) return undefined;
    this.#remove(address.key);
    if (slot.endsAt <= this.#now()) return undefined;
    this.#add(address.key, slot);
    return { packed: slot.packed, purgedAt: this.#marks.newest(address) };
  }

  async put(key: string, packed: Buffer, ttlMs: number): Promise<void> {
    this.#remove(key);
    const slot = { packed, endsAt: this.#now() + ttlMs };
    if (sizeOf(slot) > this.#maxBytes) return;
    this.#add(key, slot);
    for (const [oldest, { endsAt }] of this.#slots) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#onEvict(endsAt <= this.#now() ? "expired" : "live");
      this.#remove(oldest);
    }
  }

  async purge(target: PurgeTarget, now: number): Promise<Purge> {
    this.#marks.add(target, now);
    if (target.kind === PurgeKind.key) this.#remove(target.hash);
    if (target.kind === PurgeKind.all) {
      this.#slots.clear();
      this.#bytes = 0;
    }
    const purge = { ...target, at: now, sequence: this.#state.sequence + 1 };
    this.#state = withPurge(this.#state, purge);
    return purge;
  }

  async purges(): Promise<PurgeState> {
    return this.#state;
  }

  up(): boolean {
    return true;
  }

  view() {
    return { kind: "memory", entries: this.size, bytes: this.bytes, maxBytes: this.#maxBytes };
  }

  async close(): Promise<void> {}

  #add(key: string, slot: Slot): void {
    this.#slots.set(key, slot);
    this.#bytes += sizeOf(slot);
  }

  #remove(key: string): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    this.#slots.delete(key);
    this.#bytes -= sizeOf(slot);
  }
}

const sizeOf = ({ packed }: Slot): number => packed.length + ENTRY_BYTES;
