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
import { asks, type Charge, type MeterState, Mode } from "./store.ts";

/** The meters of one budget by field. */
export type Meters = Map<string, Meter>;

/** Where the meters of a budget are kept. */
export interface MeterHome {
  /** The meters of the charge's budget; undefined when it has none yet. */
  find(charge: Charge): Meters | undefined;
  /** The same to write to: created when there are none. */
  open(charge: Charge): Meters;
}

/** A charge, and whether it was made before. */
export interface NamedCharge {
  readonly charge: Charge;
  readonly repeated: boolean;
}

export interface Decision {
  readonly admitted: boolean;
  /** Of each charge, of each of its meters. */
  readonly states: readonly (readonly MeterState[])[];
}

interface Limit {
  readonly spec: MeterSpec;
  meter: Meter;
  over: boolean;
}

/** A charge with copies of its meters. */
interface Open extends NamedCharge {
  readonly limits: readonly Limit[];
}

/** Decides and charges. O(charges x limits x 17). */
export function decide(charges: readonly NamedCharge[], home: MeterHome): Decision {
  const find = finder(home);
  const opened = charges.map(
    ({ charge, repeated }): Open => ({
      charge,
      repeated,
      limits: charge.meters.map((spec) => ({ spec, meter: find(charge, spec), over: false })),
    }),
  );
  let admitted = true;
  for (const open of opened) {
    const { charge, repeated, limits } = open;
    let allFit = true;
    if (asks(charge)) {
      for (const limit of limits) {
        limit.over = !fits(limit.meter, limit.spec, charge.hits);
        if (limit.over && !limit.spec.shadow) allFit = false;
      }
      if (!allFit) admitted = false;
    }
    if ((allFit || charge.mode !== Mode.reserve) && !repeated) apply(open);
  }
  if (!admitted) {
    // Nothing is reserved anywhere; what is recorded, settled or given back is.
    const findAgain = finder(home);
    for (const { charge, limits } of opened) for (const limit of limits) limit.meter = findAgain(charge, limit.spec);
    for (const open of opened) if (open.charge.mode !== Mode.reserve && !open.repeated) apply(open);
  }
  const states = opened.map(statesOf);
  const made = opened.filter(({ repeated }) => !repeated);
  for (const { charge, limits } of made) for (const { meter, spec } of limits) remember(meter, spec, asks(charge));
  for (const open of made) commit(open, admitted, home);
  return { admitted, states };
}

/** Gives copies of the meters at the time of the request. Charges of one budget share them: each sees what those before it did. */
function finder(home: MeterHome): (charge: Charge, spec: MeterSpec) => Meter {
  const budgets = new Map<string, Meters>();
  return (charge, spec) => {
    let copies = budgets.get(charge.key);
    if (copies === undefined) {
      copies = new Map();
      budgets.set(charge.key, copies);
    }
    let meter = copies.get(spec.field);
    if (meter === undefined) {
      const kept = home.find(charge)?.get(spec.field);
      meter = kept === undefined ? createMeter(spec) : copyMeter(kept);
      advance(meter, spec);
      copies.set(spec.field, meter);
    }
    return meter;
  };
}

function apply({ charge: { mode, hits, reserved }, limits }: Open): void {
  for (const { meter, spec } of limits) {
    if (mode === Mode.reserve) add(meter, spec, spec.shadow ? hits : Math.min(hits, spec.amount));
    else if (mode === Mode.record) add(meter, spec, hits);
    else if (!stillCounts(meter, spec)) continue;
    else if (mode === Mode.refund) subtract(meter, spec, hits);
    else {
      const capped = mode === Mode.settleRecorded || spec.shadow ? reserved : Math.min(reserved, spec.amount);
      if (hits >= capped) add(meter, spec, hits - capped);
      else subtract(meter, spec, capped - hits);
    }
  }
}

function statesOf({ charge, limits }: Open): readonly MeterState[] {
  const { mode, hits } = charge;
  const settles = mode === Mode.settle || mode === Mode.settleRecorded;
  return limits.map(({ meter, spec, over }) => {
    const used = usedOf(meter);
    return settles
      ? { over: used > spec.amount, used, resetAt: resetAt(meter, spec, -1) }
      : { over, used, resetAt: resetAt(meter, spec, over ? hits : -1) };
  });
}

function commit({ charge, limits }: Open, admitted: boolean, home: MeterHome): void {
  if (charge.mode !== Mode.reserve || (admitted && charge.hits > 0)) {
    const meters = home.open(charge);
    for (const { meter, spec } of limits) meters.set(spec.field, meter);
    return;
  }
  // Of a charge that is not made, what is stored learns the amounts of overrides, and nothing else.
  const meters = home.find(charge);
  for (const { meter, spec } of limits) {
    const kept = meters?.get(spec.field);
    if (kept !== undefined) kept.amount = meter.amount;
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
