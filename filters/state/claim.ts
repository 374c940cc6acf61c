/**
 * What one request holds of one key's budget.
 *
 * A request that reserves once has its reservation in the counter of its admission, and settles there. A stream that goes on longer than it reserved is *extended*: what it had reserved is taken
 * for used where it was admitted, and another part is reserved now. In the end only what was used above all closed parts belongs to the last part.
 *
 *   parts      |closed ..., recent|reserved|      recent: those closed parts that lie in the counter of the last one
 *   settled    |used ..............   |
 *
 * All methods with `meters` work on bytes that nobody else sees yet: what they do holds when the store has written them.
 */
import { NEVER } from "../lib/token-window";
import { Budget, MAX_LIMITS } from "./budget";

type Amounts = StaticArray<i64>;

/** Of what a request uses, and of its closed parts: no difference wraps, and what is beyond both of them is charged. */
const MOST_USED: i64 = 1 << 60;
const MOST_CLOSED: i64 = 1 << 59;

/** Made once for a pooled stream, and used again. Arrays are by limit. */
@final
export class Claim {
  /** From `reserve` to `settle`; a second settle does nothing. */
  open: bool = false;
  /** After a refusal the limit that frees last, else -1. */
  refusedBy: i32 = -1;
  /** After a refusal: when the request could pass if nothing else happens. Else 0. */
  availableAt: i64 = 0;
  /** What is left, the own reservation taken off; of what was granted, in a granted window. */
  readonly remaining: Amounts = new StaticArray<i64>(MAX_LIMITS);
  /** When the full amount is there again. */
  readonly resetAt: Amounts = new StaticArray<i64>(MAX_LIMITS);
  /** By the last admission. */
  readonly reserved: Amounts = new StaticArray<i64>(MAX_LIMITS);
  /** Reserved by earlier admissions, and taken for used. */
  readonly closed: Amounts = new StaticArray<i64>(MAX_LIMITS);
  /** The limits' amounts for this request. */
  readonly amounts: Amounts = new StaticArray<i64>(MAX_LIMITS);
  /** Granted windows: the request has to ask for so many units in advance; nobody else does. 0: it need not. */
  readonly ask: Amounts = new StaticArray<i64>(MAX_LIMITS);
  /** After a refusal: units that have to be granted for the request to pass. */
  readonly shortfall: Amounts = new StaticArray<i64>(MAX_LIMITS);

  /** Granted windows: what the service has left besides; the caller of `grant` says it, -1 when the service did not. */
  readonly elsewhere: Amounts = new StaticArray<i64>(MAX_LIMITS);

  /** The rest is the store's. */
  budget: Budget | null = null;
  hashLow: u64 = 0;
  hashHigh: u64 = 0;
  /** Of the entry that holds the reservation; 0 when none does. */
  serial: u32 = 0;
  /** Of the last admission, as each meter saw it. */
  readonly admittedAt: Amounts = new StaticArray<i64>(MAX_LIMITS);
  readonly recent: Amounts = new StaticArray<i64>(MAX_LIMITS);
  /** What the request has used, once it is settled. */
  readonly used: Amounts = new StaticArray<i64>(MAX_LIMITS);
  /** When it last reserved or was refused, as each meter saw it, and what tells its asking from others. */
  readonly askedAt: Amounts = new StaticArray<i64>(MAX_LIMITS);
  readonly asking: Amounts = new StaticArray<i64>(MAX_LIMITS);

  begin(budget: Budget, hashLow: u64, hashHigh: u64, now: i64, amounts: Amounts | null): void {
    this.budget = budget;
    this.hashLow = hashLow;
    this.hashHigh = hashHigh ^ budget.layout;
    for (let i = 0; i < budget.count; i++) {
      const own = amounts !== null ? unchecked(amounts[i]) : 0;
      const amount = own > 0 ? own : budget.window(i).amount;
      unchecked((this.amounts[i] = amount));
      unchecked((this.remaining[i] = amount));
      unchecked((this.elsewhere[i] = 0));
      unchecked((this.resetAt[i] = now));
      unchecked((this.admittedAt[i] = now));
      unchecked((this.askedAt[i] = now));
    }
    this.forget();
    this.open = false;
  }

  /** Nothing is reserved anywhere. */
  forget(): void {
    for (let i = 0; i < MAX_LIMITS; i++) {
      unchecked((this.reserved[i] = 0));
      unchecked((this.closed[i] = 0));
      unchecked((this.recent[i] = 0));
    }
    this.serial = 0;
    this.forgetRefusal();
    this.forgetAsking();
  }

  forgetAsking(): void {
    for (let i = 0; i < MAX_LIMITS; i++) {
      unchecked((this.ask[i] = 0));
      unchecked((this.asking[i] = 0));
    }
  }

  /** False: some limit refuses, and what is in the meters is to be thrown away. */
  reserve(meters: usize, now: i64, wants: Amounts): bool {
    const budget = this.budget!;
    let meter = meters;
    this.forgetRefusal();
    for (let i = 0; i < budget.count; i++) {
      const window = budget.window(i);
      const want = unchecked(wants[i]);
      const amount = unchecked(this.amounts[i]);
      const part = window.reserve(meter, now, want, amount);
      if (part < 0) this.refuse(i, meter, now, want);
      unchecked((this.reserved[i] = part));
      unchecked((this.admittedAt[i] = window.admittedAt(meter)));
      unchecked((this.remaining[i] = window.remaining(meter, now, amount)));
      unchecked((this.elsewhere[i] = window.elsewhere(meter)));
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

  /** Reserves more under the limits whose part is above 0, and leaves the others alone. `holds`: the meters have what was reserved before. False as for `reserve`, and the claim is spoilt, too. */
  extend(meters: usize, now: i64, parts: Amounts, holds: bool): bool {
    const budget = this.budget!;
    let meter = meters;
    this.forgetRefusal();
    for (let i = 0; i < budget.count; i++) {
      const window = budget.window(i);
      if (unchecked(parts[i]) > 0) this.extendIn(i, meter, now, unchecked(parts[i]), holds);
      else if (!holds) this.forgetRecent(i);
      unchecked((this.remaining[i] = window.remaining(meter, now, this.amounts[i])));
      unchecked((this.resetAt[i] = window.resetAt(meter, now)));
      meter += <usize>window.size;
    }
    return this.refusedBy < 0;
  }

  private extendIn(index: i32, meter: usize, now: i64, part: i64, holds: bool): void {
    const window = this.budget!.window(index);
    const before = unchecked(this.admittedAt[index]);
    const spent = unchecked(this.reserved[index]);
    const recent = unchecked(this.recent[index]);
    // What went with an entry that was dropped counts all the same.
    window.settle(meter, now, before, holds ? spent : 0, holds ? spent : spent + recent);
    // A first request may be larger than the amount; one that runs is told to stop.
    if (part > unchecked(this.amounts[index])) this.refuseUntil(index, NEVER);
    else if (window.reserve(meter, now, part, unchecked(this.amounts[index])) < 0) this.refuse(index, meter, now, part);
    else {
      const at = window.admittedAt(meter);
      unchecked((this.closed[index] = min(this.closed[index] + spent, MOST_CLOSED)));
      unchecked((this.recent[index] = window.together(before, at) ? recent + spent : 0));
      unchecked((this.reserved[index] = part));
      unchecked((this.admittedAt[index] = at));
    }
  }

  /** The reservation went with an entry that was dropped; what is no longer closed is charged in the end. */
  private forgetRecent(index: i32): void {
    unchecked((this.closed[index] -= this.recent[index]));
    unchecked((this.recent[index] = 0));
    unchecked((this.reserved[index] = 0));
  }

  forgetRefusal(): void {
    this.refusedBy = -1;
    this.availableAt = 0;
    for (let i = 0; i < MAX_LIMITS; i++) unchecked((this.shortfall[i] = 0));
  }

  private refuse(index: i32, meter: usize, now: i64, want: i64): void {
    const window = this.budget!.window(index);
    const amount = unchecked(this.amounts[index]);
    unchecked((this.shortfall[index] = window.shortfall(meter, now, want, amount)));
    this.refuseUntil(index, window.availableAt(meter, now, want, amount));
  }

  private refuseUntil(index: i32, at: i64): void {
    if (this.refusedBy >= 0 && at <= this.availableAt) return;
    this.refusedBy = index;
    this.availableAt = at;
  }

  /** What another copy of the claim was told when it was refused. */
  takeRefusal(other: Claim): void {
    this.refusedBy = other.refusedBy;
    this.availableAt = other.availableAt;
    for (let i = 0; i < MAX_LIMITS; i++) {
      unchecked((this.shortfall[i] = other.shortfall[i]));
      unchecked((this.ask[i] = other.ask[i]));
      unchecked((this.askedAt[i] = other.askedAt[i]));
      unchecked((this.asking[i] = other.asking[i]));
    }
  }

  /** In meters as they will be written: takes on the asking of windows that are short of units. True when there is one. */
  askAhead(meters: usize, now: i64): bool {
    const budget = this.budget!;
    let meter = meters;
    let asks = false;
    for (let i = 0; i < budget.count; i++) {
      const window = budget.window(i);
      const units = window.askAhead(meter, now);
      unchecked((this.ask[i] = units));
      unchecked((this.asking[i] = units > 0 ? window.asking(meter) : 0));
      unchecked((this.askedAt[i] = window.admittedAt(meter)));
      asks = asks || units > 0;
      meter += <usize>window.size;
    }
    return asks;
  }

  /** Adds what was granted, and ends the asking of this claim when that answers it. True when something has changed. */
  grant(meters: usize, now: i64, units: Amounts, answers: bool, notBefore: i64): bool {
    const budget = this.budget!;
    let meter = meters;
    let changed = false;
    for (let i = 0; i < budget.count; i++) {
      const window = budget.window(i);
      const asking = answers ? unchecked(this.asking[i]) : 0;
      if (window.grant(meter, now, unchecked(this.askedAt[i]), unchecked(units[i]), asking, notBefore)) changed = true;
      if (window.noteElsewhere(meter, now, unchecked(this.askedAt[i]), unchecked(this.elsewhere[i]))) changed = true;
      meter += <usize>window.size;
    }
    return changed;
  }

  /** When all meters are empty again, after an admitted `reserve` or `extend`. */
  emptyAt(): i64 {
    let empty: i64 = 0;
    for (let i = 0; i < this.budget!.count; i++) empty = max(empty, unchecked(this.resetAt[i]));
    return empty;
  }

  /** What is left once the reservation is given back. */
  withdraw(): void {
    for (let i = 0; i < this.budget!.count; i++) unchecked((this.remaining[i] += this.reserved[i]));
  }

  /** Puts what was used in the place of what was reserved; `holds`: the meters have the reservation. Only what lies in the counter of the last admission can be given back. */
  settle(meters: usize, now: i64, holds: bool): void {
    const budget = this.budget!;
    let meter = meters;
    for (let i = 0; i < budget.count; i++) {
      const window = budget.window(i);
      const recent = unchecked(this.recent[i]);
      const last = unchecked(this.used[i] - this.closed[i]);
      const actual = holds ? max(last, -recent) : max(last + recent, 0);
      window.settle(meter, now, unchecked(this.admittedAt[i]), holds ? unchecked(this.reserved[i]) : 0, actual);
      meter += <usize>window.size;
    }
  }

  /** Notes what the request has used. False when the meters have just that. */
  spend(actuals: Amounts): bool {
    const budget = this.budget!;
    let differs = budget.leased;
    for (let i = 0; i < budget.count; i++) {
      const actual = min(max(unchecked(actuals[i]), 0), MOST_USED);
      unchecked((this.used[i] = actual));
      differs = differs || actual != unchecked(this.closed[i] + this.reserved[i]);
    }
    return differs;
  }

  /** Takes over everything but that it is open: for a settle or a grant that outlives the request. */
  copy(other: Claim): void {
    this.budget = other.budget;
    this.hashLow = other.hashLow;
    this.hashHigh = other.hashHigh;
    this.serial = other.serial;
    for (let i = 0; i < MAX_LIMITS; i++) {
      unchecked((this.remaining[i] = other.remaining[i]));
      unchecked((this.elsewhere[i] = other.elsewhere[i]));
      unchecked((this.resetAt[i] = other.resetAt[i]));
      unchecked((this.reserved[i] = other.reserved[i]));
      unchecked((this.closed[i] = other.closed[i]));
      unchecked((this.amounts[i] = other.amounts[i]));
      unchecked((this.admittedAt[i] = other.admittedAt[i]));
      unchecked((this.recent[i] = other.recent[i]));
      unchecked((this.used[i] = other.used[i]));
    }
    this.takeRefusal(other);
  }
}
