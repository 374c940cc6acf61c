/**
 * A meter counts what one limit of one budget has used. Two kinds:
 *
 * - fixed: `{slot, used}`; slot is the start (ms) of the calendar window. A new window begins at 0.
 * - rolling: `{slot, buckets}`; time is cut into sixteenths of the period, slot is the number of the newest one seen. A sixteenth counts until
 *   it lies wholly outside the period, so 17 are kept (number n in `buckets[n mod 17]`). Never more than the amount is admitted in any
 *   interval of one period, wherever it begins; what was used comes back up to a sixteenth of a period late.
 *
 * Pure: the time is in the spec. `meter.lua` is the same in Redis; the property test of the stores keeps the two and an independent model equal.
 *
 * Clocks of several ledgers differ, and step. A meter that has seen a later slot stays there (used tokens never come back because a clock
 * stepped back), unless it is more than one period ahead: then a clock was wrong, and the meter starts anew instead of blocking its key.
 */
import { MAX_USED } from "./amounts.ts";

/** Sixteenths that count: the current one, 15 whole ones, and the one that is partly inside. */
export const BUCKETS = 17;
export const SIXTEENTHS = 16;

/** What a call wants of a meter; `slot` and `span` say where the call's time lies. */
export interface MeterSpec {
  /** Name of the meter within its budget: period, kind and zone. */
  readonly field: string;
  /** 1 to MAX_AMOUNT. */
  readonly amount: number;
  readonly shadow: boolean;
  readonly rolling: boolean;
  /** Fixed: start of the window, ms. Rolling: number of the sixteenth. */
  readonly slot: number;
  /** Fixed: length of the window, ms. Rolling: the period, ms. */
  readonly span: number;
  /** Slot of the time of admission when a settlement names one, else -1. */
  readonly admitted: number;
  /** The amount came with the call: the meter remembers it, because no configuration says it. */
  readonly override?: boolean;
}

export interface Meter {
  slot: number;
  /** Fixed: one number. Rolling: 17. */
  readonly counts: number[];
  /** Of the override that was asked for last; undefined when there was none. */
  amount: number | undefined;
}

export function createMeter(spec: MeterSpec): Meter {
  return { slot: spec.slot, counts: new Array<number>(spec.rolling ? BUCKETS : 1).fill(0), amount: undefined };
}

export function copyMeter({ slot, counts, amount }: Meter): Meter {
  return { slot, counts: counts.slice(), amount };
}

/**
 * Keeps the amount of an override for those who look at the budget. Decisions never use it: each call brings its own. A settlement (`asks` is false)
 * brings the amount of its admission, which may be older than what is known.
 */
export function remember(meter: Meter, { amount, override }: MeterSpec, asks: boolean): void {
  if (override === true && (asks || meter.amount === undefined)) meter.amount = amount;
}

/** Brings the meter to the time of the spec. */
export function advance(meter: Meter, { slot, span, rolling }: MeterSpec): void {
  if (meter.slot === slot) return;
  const ahead = meter.slot - slot;
  if (ahead > 0 && ahead <= (rolling ? SIXTEENTHS : span)) return;
  const { counts } = meter;
  if (!rolling || ahead > 0 || -ahead >= BUCKETS) counts.fill(0);
  else for (let number = meter.slot + 1; number <= slot; number++) counts[number % BUCKETS] = 0;
  meter.slot = slot;
}

/** What the meter has used; below 0 when an administrator gave more than was used. */
export function usedOf({ counts }: Meter): number {
  let sum = 0;
  for (const count of counts) sum += count;
  return sum;
}

/**
 * Whether `hits` more fit. A window from which nothing was used takes a request of any size: it is counted as the whole amount. A call without
 * hits asks whether there is room for one.
 */
export function fits(meter: Meter, { amount }: MeterSpec, hits: number): boolean {
  return usedOf(meter) + wanted(hits, amount) <= amount;
}

const wanted = (hits: number, amount: number): number => Math.max(1, Math.min(hits, amount));

/** False when the window, or the sixteenth, of the admission that is settled counts no more: then there is nothing to correct. */
export function stillCounts(meter: Meter, { rolling, admitted }: MeterSpec): boolean {
  return admitted < 0 || admitted >= meter.slot - (rolling ? SIXTEENTHS : 0);
}

export function add(meter: Meter, { rolling, admitted }: MeterSpec, hits: number): void {
  const index = rolling ? (admitted < 0 ? meter.slot : Math.min(admitted, meter.slot)) % BUCKETS : 0;
  const room = MAX_USED - usedOf(meter);
  meter.counts[index] = (meter.counts[index] ?? 0) + Math.min(hits, room);
}

/**
 * Takes `hits` back, never below 0. The oldest sixteenths first: what is given back belongs to one that still counts, and taking it from an older
 * one can only keep tokens longer than needed, never admit too many.
 */
export function subtract(meter: Meter, { rolling }: MeterSpec, hits: number): void {
  let left = Math.min(hits, Math.max(0, usedOf(meter)));
  const { counts } = meter;
  for (let age = rolling ? SIXTEENTHS : 0; age >= 0 && left > 0; age--) {
    const index = rolling ? (meter.slot + BUCKETS - age) % BUCKETS : 0;
    const part = Math.min(left, Math.max(0, counts[index] ?? 0));
    counts[index] = (counts[index] ?? 0) - part;
    left -= part;
  }
}

/** Replaces what is used; a rolling meter has it in its newest sixteenth. */
export function setUsed(meter: Meter, { rolling }: MeterSpec, used: number): void {
  meter.counts.fill(0);
  meter.counts[rolling ? meter.slot % BUCKETS : 0] = used;
}

/**
 * When to come again, ms since the epoch. Fixed: the end of the window. Rolling: when the oldest sixteenth with something in it leaves (0 when
 * there is none), or for a call that did not fit, when enough of them have left for it to fit.
 */
export function resetAt(meter: Meter, spec: MeterSpec, refusedHits: number): number {
  const { rolling, span, amount } = spec;
  if (!rolling) return meter.slot + span;
  let missing = refusedHits < 0 ? 1 : usedOf(meter) + wanted(refusedHits, amount) - amount;
  let last = -1;
  for (let number = meter.slot - SIXTEENTHS; number <= meter.slot && missing > 0; number++) {
    const count = meter.counts[(number + BUCKETS) % BUCKETS] ?? 0;
    if (count <= 0) continue;
    missing -= count;
    last = number;
  }
  return last < 0 ? 0 : Math.ceil(((last + BUCKETS) * span) / SIXTEENTHS);
}
