/** What the ledger asks of a store of budgets. Two implementations: memory-store.ts (one machine) and redis-store.ts (Redis or Valkey). */
import type { MeterSpec } from "./meter.ts";

/** How a charge is made. Numbers, because they travel to Redis. */
export const Mode = {
  /** Charged when every gating charge of the request fits, with at most the whole amount of each limit. */
  reserve: 0,
  /** Charged always, in full; says whether it would have fitted, and refuses the request when not. */
  record: 1,
  /** Turns a reservation of `reserved` into `hits`; never refuses. */
  settle: 2,
  /** The same for a budget that records, whose reservations are not capped. */
  settleRecorded: 3,
  /** Gives `hits` back. */
  refund: 4,
} as const;
export type Mode = (typeof Mode)[keyof typeof Mode];

export interface Charge {
  /** Identity of the budget: a key of the store. */
  readonly key: string;
  /** For people: JSON `[[key, value], ...]`, kept with the budget. */
  readonly label: string;
  readonly mode: Mode;
  /** 0 to MAX_AMOUNT. */
  readonly hits: number;
  readonly reserved: number;
  /** 1 or more, with different fields. */
  readonly meters: readonly MeterSpec[];
  /** Row of the usage table that this counts in, or "". */
  readonly usage: string;
  /** Name of this charge, a key of the store, or "". A charge whose name is remembered is not made; its states are those of now. Not for `reserve` and `record`. */
  readonly name: string;
}

/** It asks for room, and may be refused. */
export const asks = ({ mode }: Pick<Charge, "mode">): boolean => mode === Mode.reserve || mode === Mode.record;

export interface ChargeRequest {
  /** ms since the epoch. */
  readonly now: number;
  readonly charges: readonly Charge[];
  /** Name of all charges without one of their own, a key of the store, or "". While it is remembered, they get the first answer and charge nothing. */
  readonly name: string;
  /** Name of the usage table (of a domain and a day), or "". */
  readonly usageTable: string;
}

export interface MeterState {
  /** It does not fit (for a settlement: the limit is exceeded now). */
  readonly over: boolean;
  readonly used: number;
  /** ms since the epoch; see `resetAt` in meter.ts. */
  readonly resetAt: number;
}

export interface ChargeAnswer {
  /** False when a reserve or record charge met a limit that is not shadow; then no reserve charge was made. */
  readonly admitted: boolean;
  /** Of each charge: its name was remembered, so nothing was charged. */
  readonly replayed: readonly boolean[];
  /** Of each charge, of each of its meters. */
  readonly states: readonly (readonly MeterState[])[];
}

export interface Budget {
  readonly key: string;
  readonly label: string;
}

export interface BudgetQuery extends Budget {
  readonly now: number;
  readonly meters: readonly MeterSpec[];
}

/** `set` replaces what is used, `add` gives that many more, `reset` sets 0. */
export interface BudgetChange extends BudgetQuery {
  readonly action: "set" | "add" | "reset";
  readonly value: number;
}

/** A meter as it is kept, without a call that wants something of it. */
export interface KeptMeter {
  readonly field: string;
  /** Of the override that was asked for last; undefined when there was none. */
  readonly amount: number | undefined;
}

export interface UsageRow {
  readonly row: string;
  readonly hits: number;
  readonly requests: number;
}

export interface LedgerStore {
  /** One atomic step. @throws StoreError */
  charge(request: ChargeRequest): Promise<ChargeAnswer>;
  /** What the meters have used, without a trace. @throws StoreError */
  read(query: BudgetQuery): Promise<readonly MeterState[]>;
  /** Changes the meters at once; returns them before and after. @throws StoreError */
  change(change: BudgetChange): Promise<{ before: readonly MeterState[]; after: readonly MeterState[] }>;
  /** What is kept under a budget's key, in no order; nothing when no call was charged to it. @throws StoreError */
  meters(key: string): Promise<readonly KeptMeter[]>;
  /** Budgets whose key begins with `prefix`, in no order, at most `limit`. @throws StoreError */
  list(prefix: string, limit: number): Promise<readonly Budget[]>;
  usage(table: string): Promise<readonly UsageRow[]>;
  /** False while the store cannot answer. */
  up(): boolean;
  close(): Promise<void>;
}

export { StoreError, type StoreErrorReason } from "../store-error.ts";

/** How long a name is remembered, ms. */
export const REMEMBERED_MS = 600_000;
/** Rows of one usage table; further ones count in the row {@link OTHER_ROW}. */
export const MAX_USAGE_ROWS = 10_000;
export const OTHER_ROW = "other";
/** How long a day's usage is kept, ms. */
export const USAGE_KEPT_MS = 35 * 86_400_000;
