/**
 * What the entries of a descriptor stand for, found once: calls name the same budgets again and again, and two hashes and three JSON texts a call are
 * a third of the ledger's work. Bounded, and dropped with the configuration it was found in.
 */
import { budgetKey, type Match, type Patterns, shownEntries } from "./budgets.ts";
import type { Entry } from "./protocol.ts";

const MAX_TARGETS = 10_000;
/** Longer entries are not kept. UTF-16 units, so that all targets take 40 MB at most. */
const MAX_KEPT_TEXT = 1_024;

export interface Target {
  readonly match: Match;
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
  const { name, usage } = match.descriptor;
  const label = JSON.stringify(shownEntries(match));
  return { match, key: budgetKey(match), label, usage: usage ? `[${JSON.stringify(name)},${label},` : "" };
}

/** A row of the usage table: JSON `[name, entries, model]`. */
export const usageRow = ({ usage }: Target, model: string): string =>
  usage === "" ? "" : `${usage}${JSON.stringify(model)}]`;
