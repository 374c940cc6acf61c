/** Budgets and usage as text for a terminal. */
import type { BudgetView, UsageView } from "./budget-admin.ts";

type Entries = readonly (readonly [string, string])[];

export const entriesText = (entries: Entries): string => entries.map(([key, value]) => `${key}=${value}`).join(" ");

export function budgetText({ domain, descriptor, entries, limits }: BudgetView): string {
  const rows = limits.map(({ amount, per, rolling, timeZone, shadow, override, used, remaining, resetsAt }) => [
    `${rolling ? "rolling " : ""}${per}${rolling || timeZone === "Z" ? "" : ` (${timeZone})`}${shadow ? " shadow" : ""}${override ? " override" : ""}`,
    String(amount ?? "-"),
    String(used),
    String(remaining ?? "-"),
    resetsAt ?? "-",
  ]);
  const title = `${domain} / ${descriptor}: ${entriesText(entries)}`;
  return `${title}\n${table(["per", "amount", "used", "remaining", "resets at"], rows)}`;
}

/** What usage is added up by: each budget and model, or one of its parts, or the value of an entry. */
export function usageText(rows: readonly UsageView[], by: string | undefined): string {
  const sums = new Map<string, { hits: number; requests: number }>();
  for (const row of rows) {
    const group = groupOf(row, by);
    const sum = sums.get(group) ?? { hits: 0, requests: 0 };
    sums.set(group, { hits: sum.hits + row.hits, requests: sum.requests + row.requests });
  }
  const sorted = [...sums].sort(([, a], [, b]) => b.hits - a.hits);
  return table(
    [by ?? "budget", "hits", "requests"],
    sorted.map(([group, { hits, requests }]) => [group, String(hits), String(requests)]),
  );
}

function groupOf({ descriptor, entries, model }: UsageView, by: string | undefined): string {
  if (by === "descriptor") return descriptor;
  if (by === "model") return model === "" ? "-" : model;
  if (by !== undefined) return entries.find(([key]) => key === by)?.[1] ?? "-";
  return `${descriptor}: ${entriesText(entries)}${model === "" ? "" : ` (${model})`}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
