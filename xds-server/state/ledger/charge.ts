/** The decision over the charges of one request, on meters in memory. `charge.lua` is the same in Redis. */
import {
  add,
  advance,
  copyMeter,
  createMeter,
  fits,
  type Meter,
  type MeterSpec,
  remember,
  resetAt,
  stillCounts,
  subtract,
  usedOf,
} from "./meter.ts";
import { type Charge, type ChargeAnswer, type MeterState, Mode } from "./store.ts";

/** The meters of one budget by field. */
export type Meters = Map<string, Meter>;

/** Where the meters of a budget are kept. */
export interface MeterHome {
  /** The meters of the charge's budget; undefined when it has none yet. */
  find(charge: Charge): Meters | undefined;
  /** The same to write to: created when there are none. */
  open(charge: Charge): Meters;
}

/** Charges of one request may name the same budget, even the same meter: each sees what those before it did. */
class Working {
  readonly #home: MeterHome;
  readonly #copies = new Map<string, Meters>();

  constructor(home: MeterHome) {
    this.#home = home;
  }

  meter(charge: Charge, spec: MeterSpec): Meter {
    const copies = this.#copies.get(charge.key) ?? new Map<string, Meter>();
    this.#copies.set(charge.key, copies);
    let meter = copies.get(spec.field);
    if (meter === undefined) {
      const kept = this.#home.find(charge)?.get(spec.field);
      meter = kept === undefined ? createMeter(spec) : copyMeter(kept);
      copies.set(spec.field, meter);
    }
    advance(meter, spec);
    return meter;
  }

  commit(charge: Charge): void {
    const meters = this.#home.open(charge);
    for (const spec of charge.meters) meters.set(spec.field, this.meter(charge, spec));
  }

  /** Of a charge that is not made, what is stored learns the amounts of overrides, and nothing else. */
  commitAmounts(charge: Charge): void {
    const meters = this.#home.find(charge);
    for (const spec of charge.meters) {
      const kept = meters?.get(spec.field);
      if (kept !== undefined) kept.amount = this.meter(charge, spec).amount;
    }
  }
}

const gates = ({ mode }: Charge): boolean => mode === Mode.reserve || mode === Mode.record;

/** Decides and charges. O(charges x limits x 17). */
export function decide(charges: readonly Charge[], home: MeterHome): Omit<ChargeAnswer, "replayed"> {
  const over: boolean[][] = charges.map(({ meters }) => meters.map(() => false));
  let working = new Working(home);
  let admitted = true;
  for (const [index, charge] of charges.entries()) {
    let allFit = true;
    if (gates(charge)) {
      for (const [m, spec] of charge.meters.entries()) {
        if (fits(working.meter(charge, spec), spec, charge.hits)) continue;
        (over[index] ?? [])[m] = true;
        if (!spec.shadow) allFit = false;
      }
      if (!allFit) admitted = false;
    }
    if (allFit || charge.mode !== Mode.reserve) apply(working, charge);
  }
  if (!admitted) {
    // Nothing is reserved anywhere; what is recorded, settled or given back is.
    working = new Working(home);
    for (const charge of charges) if (charge.mode !== Mode.reserve) apply(working, charge);
  }
  const states = charges.map((charge, index) =>
    charge.meters.map((spec, m): MeterState => {
      const meter = working.meter(charge, spec);
      const used = usedOf(meter);
      const settled = charge.mode === Mode.settle || charge.mode === Mode.settleRecorded;
      const isOver = settled ? used > spec.amount : over[index]?.[m] === true;
      return { over: isOver, used, resetAt: resetAt(meter, spec, isOver && !settled ? charge.hits : -1) };
    }),
  );
  for (const charge of charges)
    for (const spec of charge.meters) remember(working.meter(charge, spec), spec, gates(charge));
  for (const charge of charges) {
    if (charge.mode !== Mode.reserve || (admitted && charge.hits > 0)) working.commit(charge);
    else working.commitAmounts(charge);
  }
  return { admitted, states };
}

function apply(working: Working, charge: Charge): void {
  for (const spec of charge.meters) {
    const meter = working.meter(charge, spec);
    const { mode, hits, reserved } = charge;
    if (mode === Mode.reserve) add(meter, spec, spec.shadow ? hits : Math.min(hits, spec.amount));
    else if (mode === Mode.record) add(meter, spec, hits);
    else if (mode === Mode.refund) {
      if (stillCounts(meter, spec)) subtract(meter, spec, hits);
    } else if (stillCounts(meter, spec)) {
      const capped = mode === Mode.settleRecorded || spec.shadow ? reserved : Math.min(reserved, spec.amount);
      if (hits >= capped) add(meter, spec, hits - capped);
      else subtract(meter, spec, capped - hits);
    }
  }
}

/** What a charge adds to the usage table; undefined when nothing. */
export function usageOf(charge: Charge, admitted: boolean): { hits: number; requests: number } | undefined {
  const { mode, hits, reserved } = charge;
  if (mode === Mode.reserve) return admitted ? { hits, requests: 1 } : undefined;
  const requests = mode === Mode.record && admitted ? 1 : 0;
  const net = mode === Mode.record ? hits : mode === Mode.refund ? -hits : hits - reserved;
  return net === 0 && requests === 0 ? undefined : { hits: net, requests };
}
