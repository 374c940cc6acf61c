/**
 * The limits of one rule, and what one request holds of one key's budget.
 *
 * A budget is identified by a hash of 128 bits over the rule and the parts of its key. Amounts are i64 in the unit of the limit, times are ms since the epoch.
 */
import { TokenWindow } from "../lib/token-window";

/** Limits of a rule. */
export const MAX_LIMITS: i32 = 4;

/** The limits of a rule and where their meters lie: one behind the other, in the order of the limits. Made when the configuration is read. */
@final
export class Budget {
  readonly count: i32;
  /** Bytes of all meters. */
  readonly size: i32;
  /** Some window keeps open reservations apart, so that a settle always has something to do. */
  readonly leased: bool;

  /** `windows`: 1 to MAX_LIMITS; more are ignored. */
  constructor(readonly windows: StaticArray<TokenWindow>) {
    const count = min(windows.length, MAX_LIMITS);
    let size = 0;
    let leased = false;
    for (let i = 0; i < count; i++) {
      size += windows[i].size;
      leased = leased || windows[i].leased;
    }
    this.count = count;
    this.size = size;
    this.leased = leased;
  }

  /** Some meter begins anew at this time, because the clock was ahead. */
  restarts(meters: usize, now: i64): bool {
    let meter = meters;
    for (let i = 0; i < this.count; i++) {
      if (this.window(i).restarts(meter, now)) return true;
      meter += <usize>this.window(i).size;
    }
    return false;
  }

  @inline
  window(index: i32): TokenWindow {
    return unchecked(this.windows[index]);
  }
}

/** What a request reserved under one rule, and what `BudgetStore.reserve` found. Made once for a pooled stream, and used again. */
@final
export class Claim {
  /** From `reserve` to `settle`; a second settle does nothing. */
  open: bool = false;
  /** After a refusal the limit that frees last, else -1. */
  refusedBy: i32 = -1;
  /** After a refusal: when the request could pass if nothing else happens. Else 0. */
  availableAt: i64 = 0;
  /** By limit: what is left, the own reservation taken off; when the full amount is there again; what was reserved. */
  readonly remaining: StaticArray<i64> = new StaticArray<i64>(MAX_LIMITS);
  readonly resetAt: StaticArray<i64> = new StaticArray<i64>(MAX_LIMITS);
  readonly reserved: StaticArray<i64> = new StaticArray<i64>(MAX_LIMITS);

  /** The rest is the store's. */
  budget: Budget | null = null;
  hashLow: u64 = 0;
  hashHigh: u64 = 0;
  /** Of the entry that holds the reservation; 0 when none does. */
  serial: u32 = 0;
  /** As each meter saw it. */
  readonly admittedAt: StaticArray<i64> = new StaticArray<i64>(MAX_LIMITS);
  /** What the request has used, once it is settled. */
  readonly used: StaticArray<i64> = new StaticArray<i64>(MAX_LIMITS);

  begin(budget: Budget, hashLow: u64, hashHigh: u64, now: i64): void {
    this.budget = budget;
    this.hashLow = hashLow;
    this.hashHigh = hashHigh;
    for (let i = 0; i < budget.count; i++) {
      unchecked((this.remaining[i] = budget.window(i).amount));
      unchecked((this.resetAt[i] = now));
      unchecked((this.admittedAt[i] = now));
    }
    this.forget();
    this.open = false;
  }

  /** Nothing is reserved anywhere. */
  forget(): void {
    for (let i = 0; i < MAX_LIMITS; i++) unchecked((this.reserved[i] = 0));
    this.serial = 0;
    this.refusedBy = -1;
    this.availableAt = 0;
  }

  /** Reserves in meters that nobody else sees yet. False: some limit refuses, and what is in the meters is to be thrown away. */
  reserve(meters: usize, now: i64, wants: StaticArray<i64>): bool {
    const budget = this.budget!;
    let meter = meters;
    this.refusedBy = -1;
    this.availableAt = 0;
    for (let i = 0; i < budget.count; i++) {
      const window = budget.window(i);
      const want = unchecked(wants[i]);
      const part = window.reserve(meter, now, want);
      if (part < 0) {
        const at = window.availableAt(meter, now, want);
        if (this.refusedBy < 0 || at > this.availableAt) {
          this.refusedBy = i;
          this.availableAt = at;
        }
      }
      unchecked((this.reserved[i] = part));
      unchecked((this.admittedAt[i] = window.admittedAt(meter)));
      unchecked((this.remaining[i] = window.remaining(meter, now)));
      unchecked((this.resetAt[i] = window.resetAt(meter, now)));
      meter += <usize>window.size;
    }
    if (this.refusedBy < 0) return true;
    // What the limits before and after have reserved was never written.
    for (let i = 0; i < budget.count; i++) {
      const part = unchecked(this.reserved[i]);
      if (part > 0) unchecked((this.remaining[i] += part));
      unchecked((this.reserved[i] = 0));
    }
    return false;
  }

  /** What is left once the reservation is given back. */
  withdraw(): void {
    for (let i = 0; i < this.budget!.count; i++) unchecked((this.remaining[i] += this.reserved[i]));
  }

  /** Puts what was used in the place of what was reserved; `holds`: the meters have the reservation. Returns when all of them are empty again. */
  settle(meters: usize, now: i64, holds: bool): i64 {
    const budget = this.budget!;
    let meter = meters;
    let empty: i64 = 0;
    for (let i = 0; i < budget.count; i++) {
      const window = budget.window(i);
      const reserved = holds ? unchecked(this.reserved[i]) : 0;
      window.settle(meter, now, unchecked(this.admittedAt[i]), reserved, unchecked(this.used[i]));
      empty = max(empty, window.resetAt(meter, now));
      meter += <usize>window.size;
    }
    return empty;
  }

  /** When all meters are empty again, after an admitted `reserve`. */
  emptyAt(): i64 {
    let empty: i64 = 0;
    for (let i = 0; i < this.budget!.count; i++) empty = max(empty, unchecked(this.resetAt[i]));
    return empty;
  }

  /** Notes what the request has used. False when the meters have just that. */
  spend(actuals: StaticArray<i64>): bool {
    const budget = this.budget!;
    let differs = budget.leased;
    for (let i = 0; i < budget.count; i++) {
      const actual = unchecked(actuals[i]);
      unchecked((this.used[i] = actual));
      differs = differs || actual != unchecked(this.reserved[i]);
    }
    return differs;
  }

  copy(other: Claim): void {
    this.budget = other.budget;
    this.hashLow = other.hashLow;
    this.hashHigh = other.hashHigh;
    this.serial = other.serial;
    for (let i = 0; i < MAX_LIMITS; i++) {
      unchecked((this.reserved[i] = other.reserved[i]));
      unchecked((this.admittedAt[i] = other.admittedAt[i]));
      unchecked((this.used[i] = other.used[i]));
    }
  }
}
