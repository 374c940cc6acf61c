/** What the command line asks of a ledger's admin API. Errors come back with the API's own code and remedy. */
import { userInfo } from "node:os";
import type { BudgetAction, BudgetView, UsageView } from "./budget-admin.ts";

export interface LedgerClientOptions {
  /** `http://host:port` of the admin API. */
  readonly api: string;
  readonly token: string | undefined;
}

export interface BudgetTarget {
  readonly domain: string;
  /** `key=value` texts. */
  readonly entries: readonly string[];
  readonly per: string | undefined;
}

const TIMEOUT_MS = 10_000;

export class LedgerClient {
  readonly #api: string;
  readonly #token: string | undefined;

  constructor({ api, token }: LedgerClientOptions) {
    this.#api = api.includes("://") ? api : `http://${api}`;
    this.#token = token;
  }

  async budgets(domain: string): Promise<readonly (readonly (readonly [string, string])[])[]> {
    const { budgets } = await this.#call<{ budgets: [string, string][][] }>(
      `/budgets?${new URLSearchParams({ domain })}`,
    );
    return budgets;
  }

  show({ domain, entries, per }: BudgetTarget): Promise<BudgetView> {
    const query = new URLSearchParams({ domain });
    for (const entry of entries) query.append("entry", entry);
    if (per !== undefined) query.set("per", per);
    return this.#call(`/budget?${query}`);
  }

  change({ domain, entries, per }: BudgetTarget, change: BudgetAction): Promise<BudgetView> {
    const pairs = entries.map((entry) => {
      const cut = entry.indexOf("=");
      return [entry.slice(0, Math.max(0, cut)), entry.slice(cut + 1)];
    });
    return this.#call("/budget", JSON.stringify({ domain, entries: pairs, per, ...change }));
  }

  /** @param entries `key=value` texts: only rows that have them all */
  async usage(domain: string, entries: readonly string[], day: string | undefined): Promise<readonly UsageView[]> {
    const query = new URLSearchParams({ domain, ...(day === undefined ? {} : { day }) });
    for (const entry of entries) query.append("entry", entry);
    return (await this.#call<{ usage: UsageView[] }>(`/usage?${query}`)).usage;
  }

  async #call<T>(path: string, body?: string): Promise<T> {
    let response: Response;
    try {
      response = await fetch(this.#api + path, {
        ...(body === undefined ? {} : { method: "POST", body }),
        headers: {
          "x-tokenmesh-who": encodeURIComponent(userInfo().username),
          ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
        },
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      throw new Error(
        `the ledger's admin API at ${this.#api} cannot be reached: ${cause}; give its address with --api`,
      );
    }
    const text = await response.text();
    if (response.ok) return JSON.parse(text) as T;
    throw new Error(describe(response.status, text));
  }
}

function describe(status: number, text: string): string {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string; remedy?: string } };
    return `${error.code}: ${error.message}${error.remedy === undefined ? "" : `. ${error.remedy}`}`;
  } catch {
    return `the admin API answered ${status}: ${text.slice(0, 200)}`;
  }
}
