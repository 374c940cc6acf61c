/**
 * Budgets in the memory of one ledger: for one machine, and for tests. Every call is one synchronous step, so it is atomic.
 *
 * Bounded: at most `maxKeys` budgets, least recently used first out. A budget that goes while it still counts something starts anew when it comes
 * back; that is counted (`onEvict("live")`). Remembered answers and names of charges have the same bound, each.
 */
import { MAX_USED } from "./amounts.ts";
import { type Decision, decide, type Meters, type NamedCharge, usageOf } from "./charge.ts";
import { advance, copyMeter, createMeter, type Meter, type MeterSpec, resetAt, setUsed, usedOf } from "./meter.ts";
import { Remembered } from "./remembered.ts";
import {
  type Budget,
  type BudgetChange,
  type BudgetQuery,
  type Charge,
  type ChargeAnswer,
  type ChargeRequest,
  type KeptMeter,
  type LedgerStore,
  MAX_USAGE_ROWS,
  type MeterState,
  OTHER_ROW,
  USAGE_KEPT_MS,
  type UsageRow,
} from "./store.ts";

export interface MemoryStoreOptions {
  /** Budgets kept at the same time, remembered answers, and remembered charges; default 100,000 of each. A budget has about 1 KB. */
  readonly maxKeys?: number;
  /** Called for each budget that is dropped for room: `live` when it still counted something. */
  readonly onEvict?: (what: "live" | "expired") => void;
}

interface Entry {
  label: string;
  readonly meters: Meters;
  /** When all its windows are over, ms. */
  expires: number;
}

interface UsageTable {
  readonly rows: Map<string, { hits: number; requests: number }>;
  expires: number;
}

export class MemoryStore implements LedgerStore {
  readonly #budgets = new Map<string, Entry>();
  /** Of requests with a name: the answer to their charges without one. */
  readonly #answers: Remembered<Decision>;
  /** Names of charges that were made. */
  readonly #made: Remembered<true>;
  readonly #usage = new Map<string, UsageTable>();
  readonly #maxKeys: number;
  readonly #onEvict: (what: "live" | "expired") => void;
  #sweeping: Iterator<[string, Entry]> | undefined;

  constructor({ maxKeys = 100_000, onEvict = () => {} }: MemoryStoreOptions = {}) {
    this.#maxKeys = maxKeys;
    this.#answers = new Remembered(maxKeys);
    this.#made = new Remembered(maxKeys);
    this.#onEvict = onEvict;
  }

  /** Budgets that are kept now. */
  get size(): number {
    return this.#budgets.size;
  }

  async charge({ now, charges, name, usageTable }: ChargeRequest): Promise<ChargeAnswer> {
    const known = name === "" ? undefined : this.#answers.recall(name, now);
    const live: NamedCharge[] = [];
    for (const charge of charges) {
      if (charge.name !== "") live.push({ charge, repeated: this.#isRepeated(charge.name, now) });
      else if (known === undefined) live.push({ charge, repeated: false });
    }
    const decision = decide(live, {
      find: ({ key }) => this.#budgets.get(key)?.meters,
      open: ({ key, label, meters }) => this.#touch(key, label, meters, now).meters,
    });
    this.#makeRoom(now);
    if (usageTable !== "") this.#count(live, usageTable, decision.admitted, now);
    if (known !== undefined) return withRemembered(charges, known, live, decision);
    if (name !== "") {
      const states = decision.states.filter((_, index) => charges[index]?.name === "");
      this.#answers.remember(name, now, { ...decision, states });
    }
    return { ...decision, replayed: live.map(({ repeated }) => repeated) };
  }

  async read({ key, meters }: BudgetQuery): Promise<readonly MeterState[]> {
    const entry = this.#budgets.get(key);
    return meters.map((spec) => stateOf(currentMeter(entry?.meters.get(spec.field), spec), spec));
  }

  async change(change: BudgetChange): Promise<{ before: readonly MeterState[]; after: readonly MeterState[] }> {
    const before = await this.read(change);
    const { meters } = this.#touch(change.key, change.label, change.meters, change.now);
    const after = change.meters.map((spec) => {
      const meter = currentMeter(meters.get(spec.field), spec);
      setUsed(meter, spec, changedUse(change, usedOf(meter)));
      meters.set(spec.field, meter);
      return stateOf(meter, spec);
    });
    this.#makeRoom(change.now);
    return { before, after };
  }

  async meters(key: string): Promise<readonly KeptMeter[]> {
    return [...(this.#budgets.get(key)?.meters ?? [])].map(([field, { amount }]) => ({ field, amount }));
  }

  async list(prefix: string, limit: number): Promise<readonly Budget[]> {
    const found: Budget[] = [];
    for (const [key, { label }] of this.#budgets) {
      if (found.length >= limit) break;
      if (key.startsWith(prefix)) found.push({ key, label });
    }
    return found;
  }

  async usage(table: string): Promise<readonly UsageRow[]> {
    return [...(this.#usage.get(table)?.rows ?? [])].map(([row, { hits, requests }]) => ({ row, hits, requests }));
  }

  up(): boolean {
    return true;
  }

  async close(): Promise<void> {}

  /** Drops what has expired, looking at no more than `steps` budgets; goes on where it stopped. */
  sweep(now: number, steps = 10_000): void {
    this.#sweeping ??= this.#budgets[Symbol.iterator]();
    for (let step = 0; step < steps; step++) {
      const next = this.#sweeping.next();
      if (next.done === true) {
        this.#sweeping = undefined;
        break;
      }
      const [key, entry] = next.value;
      if (entry.expires <= now) this.#budgets.delete(key);
    }
    this.#answers.sweep(now);
    this.#made.sweep(now);
    for (const [name, { expires }] of this.#usage) if (expires <= now) this.#usage.delete(name);
  }

  /** The budget, as the most recently used one. */
  #touch(key: string, label: string, meters: readonly MeterSpec[], now: number): Entry {
    let entry = this.#budgets.get(key);
    if (entry === undefined) entry = { label, meters: new Map(), expires: 0 };
    else this.#budgets.delete(key);
    this.#budgets.set(key, entry);
    for (const { slot, span, rolling } of meters) {
      // One window more, as in Redis: a clock that is behind must find the meter.
      const end = rolling ? now + 2 * span : slot + 2 * span;
      if (end > entry.expires) entry.expires = end;
    }
    return entry;
  }

  #makeRoom(now: number): void {
    while (this.#budgets.size > this.#maxKeys) {
      const oldest = this.#budgets.entries().next();
      if (oldest.done === true) return;
      const [key, entry] = oldest.value;
      this.#budgets.delete(key);
      this.#onEvict(entry.expires <= now ? "expired" : "live");
    }
  }

  #isRepeated(name: string, now: number): boolean {
    if (this.#made.recall(name, now) !== undefined) return true;
    this.#made.remember(name, now, true);
    return false;
  }

  #count(live: readonly NamedCharge[], usageTable: string, admitted: boolean, now: number): void {
    for (const { charge, repeated } of live) {
      const counted = repeated || charge.usage === "" ? undefined : usageOf(charge, admitted);
      if (counted === undefined) continue;
      const table = this.#usage.get(usageTable) ?? { rows: new Map(), expires: now + USAGE_KEPT_MS };
      this.#usage.set(usageTable, table);
      const full = table.rows.size >= MAX_USAGE_ROWS && !table.rows.has(charge.usage);
      const row = full ? OTHER_ROW : charge.usage;
      const sum = table.rows.get(row) ?? { hits: 0, requests: 0 };
      table.rows.set(row, { hits: sum.hits + counted.hits, requests: sum.requests + counted.requests });
    }
  }
}

/** Charges without a name are answered as the first time, `live` ones as decided now. */
function withRemembered(
  charges: readonly Charge[],
  known: Decision,
  live: readonly NamedCharge[],
  decision: Decision,
): ChargeAnswer {
  const replayed: boolean[] = [];
  const states: (readonly MeterState[])[] = [];
  let [next, told] = [0, 0];
  for (const { name } of charges) {
    replayed.push(name === "" || live[next]?.repeated === true);
    states.push((name === "" ? known.states[told++] : decision.states[next++]) ?? []);
  }
  return { admitted: known.admitted, replayed, states };
}

/** A copy of the meter (a new one when there is none), at the time of the spec. */
function currentMeter(kept: Meter | undefined, spec: MeterSpec): Meter {
  const meter = kept === undefined ? createMeter(spec) : copyMeter(kept);
  advance(meter, spec);
  return meter;
}

function stateOf(meter: Meter, spec: MeterSpec): MeterState {
  const used = usedOf(meter);
  return { over: used >= spec.amount, used, resetAt: resetAt(meter, spec, -1) };
}

function changedUse({ action, value }: BudgetChange, used: number): number {
  return action === "set" ? value : action === "add" ? Math.max(-MAX_USED, used - value) : 0;
}
