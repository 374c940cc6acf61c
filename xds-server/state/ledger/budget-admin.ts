/** What an operator may ask of budgets, and change in them: show, set, add, reset, usage. Every change is one line of the audit log. */
import { MAX_AMOUNT } from "./amounts.ts";
import { budgetKey, keyPrefix, type Match, meterOf, type Patterns, shownEntries, usageTable } from "./budgets.ts";
import { Calendar, PERIODS, type Period } from "./calendar.ts";
import { LedgerError } from "./errors.ts";
import { type KnownLimit, knownLimits, unknownLimit } from "./known-limits.ts";
import type { Entry } from "./protocol.ts";
import { type BudgetQuery, type LedgerStore, type MeterState, StoreError } from "./store.ts";

export interface BudgetAddress {
  readonly domain: string;
  /** In the order of the pattern, or of the calls. */
  readonly entries: readonly Entry[];
  /** Only the limits of this period; all by default. */
  readonly per?: Period;
}

export interface LimitView {
  /** With `override` that of the newest call; absent when no call has brought one yet. */
  readonly amount?: number;
  readonly per: Period;
  readonly rolling: boolean;
  readonly timeZone: string;
  readonly shadow: boolean;
  /** The limit came with calls. */
  readonly override: boolean;
  /** Below 0 when more was added than was used. */
  readonly used: number;
  /** Absent as `amount` is. */
  readonly remaining?: number;
  /** When the budget is whole again (of a rolling limit: when it begins to be), ISO 8601; null when nothing is used. */
  readonly resetsAt: string | null;
}

export interface BudgetView {
  readonly domain: string;
  readonly descriptor: string;
  readonly entries: readonly (readonly [string, string])[];
  readonly limits: readonly LimitView[];
}

export type BudgetAction =
  | { readonly action: "set"; readonly used: number }
  | { readonly action: "add"; readonly amount: number }
  | { readonly action: "reset" };

/** One line of the audit log. */
export interface AuditEntry {
  readonly time: string;
  /** Who says to have done it, and from where. */
  readonly who: string;
  readonly from: string;
  readonly change: BudgetAction;
  /** Absent, as `after`, when the store did not answer: then the change may have been made. */
  readonly before?: BudgetView;
  readonly after?: BudgetView;
  readonly error?: string;
}

export interface UsageView {
  readonly descriptor: string;
  readonly entries: readonly (readonly [string, string])[];
  readonly model: string;
  readonly hits: number;
  readonly requests: number;
}

/** Budgets that one answer lists. */
const MAX_LISTED = 10_000;

export interface BudgetAdminOptions {
  readonly store: LedgerStore;
  readonly patterns: () => Patterns;
  readonly audit: (entry: AuditEntry) => void;
  /** ms since the epoch. */
  readonly now: () => number;
}

export class BudgetAdmin {
  readonly #options: BudgetAdminOptions;
  readonly #calendar = new Calendar();

  constructor(options: BudgetAdminOptions) {
    this.#options = options;
  }

  /** @throws LedgerError, StoreError */
  async show(address: BudgetAddress): Promise<BudgetView> {
    const now = this.#options.now();
    const { match, limits, query } = await this.#find(address, now, false);
    return view(match, limits, await this.#options.store.read(query));
  }

  /** Changes every limit of the budget, or that of one period. @throws LedgerError, StoreError */
  async change(address: BudgetAddress, change: BudgetAction, who: string, from: string): Promise<BudgetView> {
    const now = this.#options.now();
    const { match, limits, query } = await this.#find(address, now, true);
    const value = change.action === "set" ? change.used : change.action === "add" ? change.amount : 0;
    const entry = { time: new Date(now).toISOString(), who, from, change };
    try {
      const { before, after } = await this.#options.store.change({ ...query, action: change.action, value });
      const changed = view(match, limits, after);
      this.#options.audit({ ...entry, before: view(match, limits, before), after: changed });
      return changed;
    } catch (error) {
      if (error instanceof StoreError) this.#options.audit({ ...entry, error: error.message });
      throw error;
    }
  }

  /** The labels of the budgets that the store holds. @throws LedgerError, StoreError */
  async list(domain: string): Promise<readonly (readonly (readonly [string, string])[])[]> {
    this.#check(domain);
    const budgets = await this.#options.store.list(keyPrefix(domain), MAX_LISTED);
    return budgets.map(({ label }) => JSON.parse(label) as [string, string][]);
  }

  /**
   * @param day UTC day as YYYY-MM-DD; today by default
   * @param having only rows with all these entries
   * @throws LedgerError, StoreError
   */
  async usage(domain: string, day?: string, having: readonly Entry[] = []): Promise<readonly UsageView[]> {
    this.#check(domain);
    const of = day ?? new Date(this.#options.now()).toISOString().slice(0, 10);
    const rows = await this.#options.store.usage(usageTable(domain, of));
    const views = rows.map(({ row, hits, requests }): UsageView => {
      const [descriptor, entries, model] = row.startsWith("[")
        ? (JSON.parse(row) as [string, [string, string][], string])
        : [row, [], ""];
      return { descriptor, entries, model, hits, requests };
    });
    const has = ({ entries }: UsageView) =>
      having.every(({ key, value }) => entries.some((entry) => entry[0] === key && entry[1] === value));
    return views.filter(has).sort((a, b) => b.hits - a.hits);
  }

  #check(domain: string): void {
    if (!this.#options.patterns().knows(domain)) throw new LedgerError("unknown_domain", `no domain ${domain}`);
  }

  /** @param toChange a budget that no call has opened yet is opened, if its period is named */
  async #find(
    { domain, entries, per }: BudgetAddress,
    now: number,
    toChange: boolean,
  ): Promise<{ match: Match; limits: readonly KnownLimit[]; query: BudgetQuery }> {
    this.#check(domain);
    const match = this.#options.patterns().find(domain, entries);
    if (match === undefined) throw new LedgerError("no_such_budget", "no pattern of the domain matches these entries");
    const key = budgetKey(match);
    const { override } = match.descriptor;
    // Limits that came with calls are known to the store only.
    const all = knownLimits(match, override ? await this.#options.store.meters(key) : []);
    let limits = all.filter(({ config }) => per === undefined || config.per === per);
    if (limits.length === 0 && toChange && override && per !== undefined) limits = [unknownLimit(per)];
    if (all.length === 0 && limits.length === 0) {
      throw new LedgerError("no_such_budget", "nothing is kept of a budget with these entries");
    }
    if (limits.length === 0) throw new LedgerError("no_such_limit", `the budget has no limit per ${per}`);
    const meters = limits.map((limit) => meterOf(this.#calendar, limit, now));
    return { match, limits, query: { key, label: JSON.stringify(shownEntries(match)), now, meters } };
  }
}

function view(match: Match, limits: readonly KnownLimit[], states: readonly MeterState[]): BudgetView {
  return {
    domain: match.domain,
    descriptor: match.descriptor.name,
    entries: shownEntries(match),
    limits: limits.map(({ known, amount, config, override }, index): LimitView => {
      const { used = 0, resetAt = 0 } = states[index] ?? {};
      const { per, rolling, timeZone, shadow } = config;
      return {
        ...(known ? { amount } : {}),
        per,
        rolling,
        timeZone,
        shadow,
        override,
        used,
        ...(known ? { remaining: Math.max(0, amount - used) } : {}),
        resetsAt: resetAt === 0 ? null : new Date(resetAt).toISOString(),
      };
    }),
  };
}

/** The address and change of a request body. @throws LedgerError invalid_body */
export function parseChange(body: unknown): { address: BudgetAddress; change: BudgetAction } {
  const { domain, entries, per, action, used, amount } = fields(body);
  if (typeof domain !== "string") throw invalid("domain is a text");
  if (!Array.isArray(entries)) throw invalid("entries is a list of [key, value]");
  const parsed = entries.map((entry: unknown): Entry => {
    if (!Array.isArray(entry) || entry.length !== 2) throw invalid("entries is a list of [key, value]");
    const [key, value] = entry as [unknown, unknown];
    if (typeof key !== "string" || typeof value !== "string") throw invalid("entries is a list of [key, value]");
    return { key, value };
  });
  const period = PERIODS.find((each) => each === per);
  if (per !== undefined && period === undefined) throw invalid(`per is one of ${PERIODS.join(", ")}`);
  const address = { domain, entries: parsed, ...(period === undefined ? {} : { per: period }) };
  if (action === "reset") return { address, change: { action } };
  if (action === "set") return { address, change: { action, used: whole("used", used) } };
  if (action === "add") return { address, change: { action, amount: whole("amount", amount) } };
  throw invalid("action is set, add or reset");
}

function fields(body: unknown): Record<string, unknown> {
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw invalid("the body is no JSON object");
  return body as Record<string, unknown>;
}

function whole(name: string, value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_AMOUNT) return value;
  throw invalid(`${name} is a whole number from 0 to ${MAX_AMOUNT}`);
}

const invalid = (message: string): LedgerError => new LedgerError("invalid_body", message);
