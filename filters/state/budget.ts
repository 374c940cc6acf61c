/**
 * The limits of one rule, and where their meters lie.
 *
 * A budget is identified by a hash of 128 bits over the rule and the parts of its key. Amounts are i64 in the unit of the limit, times are ms since the epoch.
 */
import { TokenWindow } from "../lib/token-window";

/** Limits of a rule. */
export const MAX_LIMITS: i32 = 4;

/** The meters lie one behind the other, in the order of the limits. Made when the configuration is read. */
@final
export class Budget {
  readonly count: i32;
  /** Bytes of all meters. */
  readonly size: i32;
  /** Some window keeps open reservations apart, so that a settle always has something to do. */
  readonly leased: bool;
  /** Some window is granted by a distant service. */
  readonly granted: bool;
  /**
   * Part of the identity: which windows are granted. Their meters are longer, and what lies behind a shorter one must not be read as a grant; so a budget whose windows become granted, or are
   * no longer, begins anew. 0 when none is.
   */
  readonly layout: u64;

  /** `windows`: 1 to MAX_LIMITS; more are ignored. */
  constructor(readonly windows: StaticArray<TokenWindow>) {
    const count = min(windows.length, MAX_LIMITS);
    let size = 0;
    let leased = false;
    let granted: u64 = 0;
    for (let i = 0; i < count; i++) {
      size += windows[i].size;
      leased = leased || windows[i].leased;
      if (windows[i].granted) granted |= 1 << i;
    }
    this.count = count;
    this.size = size;
    this.leased = leased;
    this.granted = granted != 0;
    // Any odd number spreads them.
    this.layout = granted * 0x9e3779b97f4a7c15;
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

  /** When all meters are empty and the entry can be dropped. */
  emptyAt(meters: usize, now: i64): i64 {
    let meter = meters;
    let empty: i64 = 0;
    for (let i = 0; i < this.count; i++) {
      empty = max(empty, this.window(i).emptyAt(meter, now));
      meter += <usize>this.window(i).size;
    }
    return empty;
  }

  @inline
  window(index: i32): TokenWindow {
    return unchecked(this.windows[index]);
  }
}
