/**
 * What the entries of a descriptor stand for, found once: calls name the same budgets again and again, and two hashes and three JSON texts a call are
 * a third of the ledger's work. Bounded, and dropped with the configuration it was found in.
 */
import { budgetKey, type Match, type Patterns, shownEntries } from "./budgets.ts";
import type { DescriptorConfig } from "./config.ts";
import type { Entry } from "./protocol.ts";

const MAX_TARGETS = 10_000;
/** Entries that are longer altogether, in UTF-16 units, are not kept: all targets take some 30 MB at most. */
const MAX_KEPT_TEXT = 1_024;

/** Without the entries: those of a call would keep the whole call in memory. */
export interface Target {
  readonly domain: string;
  readonly descriptor: DescriptorConfig;
  /** Key of the budget in the store. */
  readonly key: string;
  /** Its entries as people may see them, JSON. */
  readonly label: string;
  /** Of the budget's rows in the usage table: JSON without the model and what ends it; "" when usage is not counted. */
  readonly usage: string;
}

export class Targets {
  readonly patterns: Patterns;
  readonly #byText = new Map<string, Target>();

  constructor(patterns: Patterns) {
    this.patterns = patterns;
  }

  /** Undefined when nothing limits these entries. */
  find(domain: string, entries: readonly Entry[]): Target | undefined {
    const text = textOf(domain, entries);
    const kept = this.#byText.get(text);
    if (kept !== undefined) return kept;
    const match = this.patterns.find(domain, entries);
    if (match === undefined) return undefined;
    const target = targetOf(match);
    if (text.length > MAX_KEPT_TEXT) return target;
    if (this.#byText.size === MAX_TARGETS) {
      const oldest = this.#byText.keys().next();
      if (oldest.done !== true) this.#byText.delete(oldest.value);
    }
    this.#byText.set(text, target);
    return target;
  }
}

/** Lengths in front, so that no two lists of entries have one text. */
function textOf(domain: string, entries: readonly Entry[]): string {
  let text = `${domain.length}:${domain}`;
  for (const { key, value } of entries) text += `${key.length}:${key}${value.length}:${value}`;
  return text;
}

function targetOf(match: Match): Target {
  const { domain, descriptor } = match;
  const label = JSON.stringify(shownEntries(match));
  const usage = descriptor.usage ? `[${JSON.stringify(descriptor.name)},${label},` : "";
  return { domain, descriptor, key: budgetKey(match), label, usage };
}

/** A row of the usage table: JSON `[name, entries, model]`. */
export const usageRow = ({ usage }: Target, model: string): string =>
  usage === "" ? "" : `${usage}${JSON.stringify(model)}]`;
