/** test/state/wasm/budget-store.ts on the workers of the test host. Times are ms since 1970, hashes are pairs of 64 bits. */
import { type LoadOptions, ProxyWasmHost } from "../host/index.ts";
import { type Period, periods, type WindowShape } from "../lib/token-window-reference.ts";

export const verdicts = ["admitted", "refused", "unwritten"] as const;
export type Verdict = (typeof verdicts)[number];
export type Hash = readonly [low: bigint, high: bigint];

export interface ClaimReport {
  open: boolean;
  refusedBy: number;
  availableAt: number;
  remaining: number[];
  resetAt: number[];
  reserved: number[];
  closed: number[];
  ask: number[];
  shortfall: number[];
}

export interface StoreCounters {
  contention: number;
  unavailable: number;
  evictedLive: number;
  pendingSettles: number;
  settlesLost: number;
  bytes: number;
  grantsLost: number;
}

/** When tests begin: at no beginning of anything. */
export const begin = Date.UTC(2026, 10, 21, 15, 4, 5, 678);
export const limit = (amount: number, period: Period, rolling = false): WindowShape => ({
  amount,
  period,
  rolling,
  offsetSeconds: 0,
});

export const get = "proxy_get_shared_data";
export const set = "proxy_set_shared_data";

/** What an extension waits for that never fits. */
export const never = 2 ** 50;

/** The store of one worker. */
export class BudgetWorker {
  readonly #call: (name: string, ...args: (number | bigint)[]) => number;
  readonly #words: (at: number, count: number) => number[];
  readonly #calls: () => string[];

  constructor(host: ProxyWasmHost, worker: number, rootId: number) {
    const vm = host.workerVm(worker);
    const context = vm.contexts.get(rootId);
    if (!context) throw new Error("budget driver: no root");
    this.#call = (name, ...args) => {
      const result = vm.call(context, name, ...args);
      if (vm.failure) throw vm.failure;
      return result ?? 0;
    };
    this.#words = (at, count) => {
      const bytes = vm.memory.copy(at, count * 8);
      if (!bytes) throw new Error("budget driver: outside of the memory");
      return [...new BigInt64Array(bytes.buffer)].map(Number);
    };
    this.#calls = () => context.trace.entries.splice(0).map(({ name }) => name);
  }

  open(maxKeys: number, largestBudget: number): void {
    this.#call("open", maxKeys, largestBudget);
  }

  /** Number of a budget with these limits. */
  budget(limits: readonly WindowShape[]): number {
    for (const { amount, period, rolling, offsetSeconds, granted, lease = 0 } of limits) {
      const flags = [rolling ? 1 : 0, offsetSeconds, granted ? 1 : 0];
      this.#call("limit", BigInt(amount), periods.indexOf(period), ...flags, BigInt(lease));
    }
    return this.#call("budget");
  }

  budgetSize(budget: number): number {
    return this.#call("budgetSize", budget);
  }

  /** `own`: the limits' amounts for this call; 0 is the configured one. */
  reserve(
    budget: number,
    [low, high]: Hash,
    wants: readonly number[],
    now: number,
    claim = 0,
    own?: readonly number[],
  ): Verdict {
    this.#amounts(wants);
    for (const [index, value] of own?.entries() ?? []) this.#call("ownAmount", index, BigInt(value));
    return verdicts[this.#call(own ? "reserveOwn" : "reserve", budget, low, high, BigInt(now), claim)] as Verdict;
  }

  extend(claim: number, parts: readonly number[], now: number): Verdict {
    this.#amounts(parts);
    return verdicts[this.#call("extend", claim, BigInt(now))] as Verdict;
  }

  /** `notBefore` is of use only to answer what the claim asked for; `false` for `answers`: it does not. */
  grant(claim: number, units: readonly number[], now: number, answers = true, notBefore = 0): boolean {
    this.#amounts(units);
    return this.#call("grant", claim, BigInt(now), answers ? 1 : 0, BigInt(notBefore)) !== 0;
  }

  /** The second claim, for a call that outlives its request. */
  copy(to: number, from: number): void {
    this.#call("copy", to, from);
  }

  settle(claim: number, actuals: readonly number[], now: number): void {
    this.#amounts(actuals);
    this.#call("settle", claim, BigInt(now));
  }

  release(claim: number, now: number): void {
    this.#call("release", claim, BigInt(now));
  }

  retry(now: number): void {
    this.#call("retry", BigInt(now));
  }

  claim(index = 0): ClaimReport {
    const words = this.#words(this.#call("claimAt", index), 27);
    const [open, refusedBy = 0, availableAt = 0] = words;
    return {
      open: open === 1,
      refusedBy,
      availableAt,
      remaining: words.slice(3, 7),
      resetAt: words.slice(7, 11),
      reserved: words.slice(11, 15),
      closed: words.slice(15, 19),
      ask: words.slice(19, 23),
      shortfall: words.slice(23, 27),
    };
  }

  counters(): StoreCounters {
    const [
      contention = 0,
      unavailable = 0,
      evictedLive = 0,
      pendingSettles = 0,
      settlesLost = 0,
      bytes = 0,
      grantsLost = 0,
    ] = this.#words(this.#call("counters"), 7);
    return { contention, unavailable, evictedLive, pendingSettles, settlesLost, bytes, grantsLost };
  }

  /** Bytes of the scratch arena that the last reserve or settle left in use. */
  scratchLeft(): number {
    return this.#call("scratchLeft");
  }

  /** Names of the hostcalls since the last question. */
  hostcalls(): string[] {
    return this.#calls();
  }

  #amounts(amounts: readonly number[]): void {
    for (const [index, value] of amounts.entries()) this.#call("amount", index, BigInt(value));
  }
}

export interface Budgets {
  host: ProxyWasmHost;
  workers: BudgetWorker[];
}

/** The same store on every worker, and one budget, number 0, with these limits. */
export async function startBudgets(
  limits: readonly WindowShape[],
  { maxKeys = 1024, ...options }: LoadOptions & { maxKeys?: number } = {},
): Promise<Budgets> {
  const host = await ProxyWasmHost.load("build/test-wasm/budget-store.wasm", options);
  const plugin = host.plugin();
  const workers = Array.from({ length: host.options.workers }, (_, worker) => {
    const opened = new BudgetWorker(host, worker, plugin.rootId(worker));
    const budget = opened.budget(limits);
    opened.open(maxKeys, opened.budgetSize(budget));
    opened.hostcalls();
    return opened;
  });
  return { host, workers };
}
