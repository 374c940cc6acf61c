/**
 * The limits of a budget as an operator knows them. The configuration says some; others came with calls, and only the store knows them: the names of
 * the budget's meters say period and zone, and the meters remember the amount.
 */
import { MAX_AMOUNT } from "./amounts.ts";
import { fieldOf, kindOfField, limitsOf, type Match, type NamedLimit, overrideOf } from "./budgets.ts";
import { PERIODS, type Period } from "./calendar.ts";
import type { KeptMeter } from "./store.ts";

export interface KnownLimit extends NamedLimit {
  /** False: no call has said the amount, and `amount` is the largest one. */
  readonly known: boolean;
}

/** A limit of calls that nobody has made yet. */
export const unknownLimit = (per: Period): KnownLimit => ({ ...overrideOf(per, MAX_AMOUNT), known: false });

/**
 * One for each meter: those of the configuration first, in its order, then the others from the shortest period to the longest.
 * @param kept the budget's meters in the store, where calls may bring limits
 */
export function knownLimits(match: Match, kept: readonly KeptMeter[]): readonly KnownLimit[] {
  const others = new Map(kept.map(({ field, amount }) => [field, amount]));
  const configured = (limitsOf(match, undefined) ?? []).map((limit): KnownLimit => {
    const field = fieldOf(limit.config);
    const amount = others.get(field);
    others.delete(field);
    return amount === undefined ? { ...limit, known: true } : { ...limit, amount, override: true, known: true };
  });
  const brought = [...others].flatMap(([field, amount]): KnownLimit[] => {
    const kind = kindOfField(field);
    if (kind === undefined) return [];
    const limit = overrideOf(kind.per, amount ?? MAX_AMOUNT);
    return [{ ...limit, config: { ...limit.config, ...kind }, known: amount !== undefined }];
  });
  return [...configured, ...brought.sort((a, b) => indexOf(a) - indexOf(b))];
}

const indexOf = ({ config }: NamedLimit): number => PERIODS.indexOf(config.per);
