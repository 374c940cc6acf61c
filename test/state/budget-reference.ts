/**
 * One budget as a list of everything that happened. A call works on a copy, which is kept when the call changes something.
 *
 * What an entry lost because its clock was ahead is lost for all its limits: claims of before give nothing back, and pay in full.
 */
import { type Admission, ReferenceWindow, type WindowShape } from "../lib/token-window-reference.ts";

interface Part {
  /** Of its admission; 0 when that is lost. */
  id: number;
  at: number;
  reserved: number;
}

export interface ReferenceClaim {
  serial: number;
  amounts: readonly number[];
  /** By limit: what was reserved one after the other. The last is open, the others are closed. */
  parts: Part[][];
}

/** By limit: when it was asked, as the meter saw it, for how much, and until when nobody else does. */
export interface ReferenceAsking {
  askedAt: number[];
  units: number[];
  until: number[];
}

export interface Outcome {
  /** Absent when it was refused. */
  claim: ReferenceClaim | undefined;
  asking: ReferenceAsking;
  refusedBy: number;
  availableAt: number;
  shortfall: number[];
  remaining: number[];
}

interface Draft {
  windows: ReferenceWindow[];
  serial: number;
}

const sum = (parts: readonly Part[]) => parts.reduce((total, { reserved }) => total + reserved, 0);

/** The last part, the closed ones before it, and those of them that count together with it. */
function split(window: ReferenceWindow, parts: readonly Part[]) {
  const last = parts.at(-1) as Part;
  let from = parts.length - 1;
  while (from > 0 && window.together((parts[from - 1] as Part).at, last.at)) from--;
  return { last, closed: parts.slice(0, -1), earlier: parts.slice(0, from), recent: sum(parts.slice(from, -1)) };
}

/** Adds to what counts at that time, or takes off. */
function charge(window: ReferenceWindow, at: number, units: number): void {
  if (at <= window.time || window.together(at, window.time)) window.admissions.push({ at, reserved: 0, actual: units });
}

function close(window: ReferenceWindow, { id, at }: Part, actual: number): void {
  const admission = window.admissions.find((one) => one.id === id && id > 0);
  if (admission) admission.actual = actual;
  else charge(window, at, actual);
}

/** What limits say that have no room; the one that frees last is named. */
class Refusal {
  readonly shortfall: number[];
  by = -1;
  at = 0;

  constructor(limits: number) {
    this.shortfall = Array.from({ length: limits }, () => 0);
  }

  add(limit: number, at: number, shortfall: number): void {
    this.shortfall[limit] = shortfall;
    if (this.by >= 0 && at <= this.at) return;
    this.by = limit;
    this.at = at;
  }
}

export class ReferenceBudget {
  #kept: Draft;
  #ids = 0;

  constructor(shapes: readonly WindowShape[]) {
    this.#kept = { windows: shapes.map((shape) => new ReferenceWindow(shape)), serial: 0 };
  }

  /** The windows as they are at that time. */
  at(now: number): Draft {
    const windows = this.#kept.windows.map((window) => window.clone());
    const restarted = windows.map((window) => window.tick(now)).some(Boolean);
    return { windows, serial: this.#kept.serial + (restarted ? 1 : 0) };
  }

  reserve(wants: readonly number[], amounts: readonly number[], now: number): Outcome {
    const draft = this.at(now);
    const refusal = new Refusal(wants.length);
    const parts = draft.windows.map((window, i) => [
      this.#admit(window, i, wants[i] as number, amounts[i] as number, now, refusal),
    ]);
    return this.#finish(draft, { serial: draft.serial, amounts, parts }, refusal, now);
  }

  extend(claim: ReferenceClaim, wants: readonly number[], now: number): Outcome {
    const draft = this.at(now);
    const refusal = new Refusal(wants.length);
    const holds = draft.serial === claim.serial;
    const parts = draft.windows.map((window, i) => {
      const [before, want, amount] = [claim.parts[i] as Part[], wants[i] as number, claim.amounts[i] as number];
      const { last, earlier, recent } = split(window, before);
      if (want <= 0) return holds ? before : [...earlier, { id: 0, at: last.at, reserved: 0 }];
      if (holds) close(window, last, last.reserved);
      else charge(window, last.at, last.reserved + recent);
      if (want > amount) refusal.add(i, 2 ** 50, 0);
      else return [...before, this.#admit(window, i, want, amount, now, refusal)];
      return before;
    });
    return this.#finish(draft, { serial: draft.serial, amounts: claim.amounts, parts }, refusal, now);
  }

  settle(claim: ReferenceClaim, totals: readonly number[], now: number): void {
    const draft = this.at(now);
    const known = claim.parts.every((parts, i) => sum(parts) === totals[i]);
    if (known && !draft.windows.some(({ leased }) => leased)) return;
    for (const [i, window] of draft.windows.entries()) {
      const { last, closed, recent } = split(window, claim.parts[i] as Part[]);
      const beyond = (totals[i] as number) - sum(closed);
      if (draft.serial === claim.serial) {
        close(window, last, Math.max(0, beyond));
        if (beyond < 0) charge(window, last.at, -Math.min(-beyond, recent));
      } else charge(window, last.at, Math.max(0, beyond + recent));
    }
    this.#kept = draft;
  }

  grant(asking: ReferenceAsking, units: readonly number[], now: number, answers: boolean, notBefore: number): void {
    const draft = this.at(now);
    const changed = draft.windows.map((window, i) => {
      const own = answers ? (asking.until[i] as number) : 0;
      return window.grant(now, asking.askedAt[i] as number, units[i] as number, own, notBefore);
    });
    if (changed.some(Boolean)) this.#kept = draft;
  }

  #admit(window: ReferenceWindow, limit: number, want: number, amount: number, now: number, refusal: Refusal): Part {
    const admission: Admission | undefined = window.reserve(want, amount);
    if (!admission) refusal.add(limit, window.availableAt(now, want, amount), window.shortfall(want, amount));
    else admission.id = ++this.#ids;
    return { id: admission?.id ?? 0, at: window.time, reserved: admission?.reserved ?? 0 };
  }

  #finish(draft: Draft, claim: ReferenceClaim, refusal: Refusal, now: number): Outcome {
    const admitted = refusal.by < 0;
    const after = admitted ? draft : this.at(now);
    const units = after.windows.map((window) => window.askAhead(now));
    if (admitted || units.some((more) => more > 0)) this.#kept = after;
    return {
      claim: admitted ? claim : undefined,
      asking: {
        askedAt: after.windows.map(({ time }) => time),
        units,
        until: after.windows.map(({ asking }, i) => ((units[i] as number) > 0 ? (asking?.until ?? 0) : 0)),
      },
      refusedBy: refusal.by,
      availableAt: refusal.at,
      shortfall: refusal.shortfall,
      remaining: after.windows.map((window, i) => window.remaining(claim.amounts[i] as number)),
    };
  }
}
