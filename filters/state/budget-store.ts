/**
 * Budgets of any number of keys in a bounded part of Envoy's shared data, for all workers together.
 *
 * Shared data has no deletion, so the keys are fixed: "tm.rl.<layout><set>", and a hash says which set a budget is in. A set keeps WAYS budgets whole (budget-set.ts); a budget that
 * finds its set full takes the place of an idle one, else of the one that was not used for longest. That one starts anew, which is the error of this store, and counted. Two budgets
 * are never taken for one: all 128 bits of the hash are compared.
 *
 * A write holds when nobody wrote since the read (compare and swap), else it is tried again with what is there now. Whoever comes first makes a set: a write with a version that no set ever
 * has succeeds only when the key is missing. So nothing is prepared, and unused sets cost nothing.
 *
 * Hostcalls: reserve = get + set, refused = get, settle = get + set, or none when the meters already have what was used.
 *
 * Live budgets that are dropped, per request, when 65,536 are kept (4.3 MB with one or two fixed limits) and no window ends (test/state/eviction.ts, 300,000 requests after 700,000):
 *
 *   keys in use   10,000   32,768   50,000   65,536   100,000   1,000,000
 *   all alike     0        0.06 %   2.2 %    9.9 %    35 %      93 %
 *   zipf, s = 1   0        0.008 %  0.3 %    1.3 %    4.9 %     26 %
 *
 * So `maxKeys` should be twice the keys that are in use within their longest window. Sets of 8 drop 5.7 % where these drop 2.2, sets of 4 drop 11 %.
 */
import { Bytes, scratch, sharedData, Status } from "../sdk";
import { Budget, Claim, MAX_LIMITS } from "./budget";
import { BudgetSet, entryBytes, isLive, metersOf, serialOf, setSerial, WAYS } from "./budget-set";

export { Budget, Claim, MAX_LIMITS } from "./budget";

/** Lost races before a write is given up. With one get and set at a time per worker, each of them is lost to a write that succeeded. */
const TRIES: i32 = 8;
/** Settles that wait for the next tick, per VM. */
const WAITING: i32 = 64;
/** A version for keys that are missing. Envoy counts versions up from 1 and over all keys. */
const MISSING: u32 = 0xffffffff;
/** Most sets that the three digits of a key can tell apart. */
const MOST_SETS: i32 = 1 << 18;
const KEY: string = "tm.rl.1";

export const enum Verdict {
  Admitted,
  Refused,
  /** Admitted, but nothing could be reserved. The claim is open and its settle charges what was used. */
  Unwritten,
}

@final
export class BudgetStore {
  /** Reservations that were admitted without being written: races lost, calls that the host refused. */
  contention: u32 = 0;
  unavailable: u32 = 0;
  /** Live budgets that were dropped for another one. */
  evictedLive: u32 = 0;
  /** Settles that wait for `retry`, and those that were dropped because too many waited. */
  pendingSettles: i32 = 0;
  settlesLost: u32 = 0;
  /** The most bytes of shared data that keys and values take. */
  readonly bytes: i64;

  private readonly sets: i32;
  private readonly largest: i32;
  private readonly set: BudgetSet;
  private readonly key: Bytes = Bytes.literal(KEY + "____.___");
  private readonly value: Bytes = new Bytes();
  /** What a missing set is. */
  private readonly blank: StaticArray<u8>;
  private readonly waiting: StaticArray<Claim> = new StaticArray<Claim>(WAITING);
  private readonly nothing: StaticArray<i64> = new StaticArray<i64>(MAX_LIMITS);
  private version: u32 = 0;

  /** `maxKeys`: budgets kept at the same time, rounded up to whole sets. `largestBudget`: most bytes of meters of a rule. No hostcalls. */
  constructor(maxKeys: i32, largestBudget: i32) {
    const stride = entryBytes(largestBudget);
    const set = new BudgetSet(stride);
    this.largest = largestBudget;
    this.sets = max(1, min((maxKeys + WAYS - 1) / WAYS, MOST_SETS));
    this.set = set;
    this.blank = new StaticArray<u8>(set.bytes);
    const digits = this.key.ptr + <usize>KEY.length;
    store<u8>(digits, digit(stride >> 5));
    writeDigits(digits + 1, this.sets - 1);
    this.bytes = <i64>this.sets * <i64>(set.bytes + this.key.len);
    for (let i = 0; i < WAITING; i++) this.waiting[i] = new Claim();
  }

  /**
   * Reserves `wants[i]` of limit i, in all limits or in none, and fills the claim. `wants` has an entry for each limit. After Refused the claim is not open.
   * The amounts are checked and taken in one step against what all workers have reserved. A claim that was still open is forgotten: its reservation stays until it expires.
   */
  reserve(budget: Budget, hashLow: u64, hashHigh: u64, wants: StaticArray<i64>, now: i64, claim: Claim): Verdict {
    claim.begin(budget, hashLow, hashHigh, now);
    const mark = scratch.mark();
    const verdict = budget.size > this.largest ? this.unreadable() : this.tryReserve(budget, wants, now, claim);
    scratch.rewind(mark);
    claim.open = verdict != Verdict.Refused;
    if (verdict == Verdict.Unwritten) claim.forget();
    return verdict;
  }

  /** The reservation becomes `actuals`, and the claim is closed; a claim that is not open is left alone. */
  settle(claim: Claim, actuals: StaticArray<i64>, now: i64): void {
    if (!claim.open) return;
    claim.open = false;
    if (!claim.spend(actuals) || this.charge(claim, now)) return;
    if (this.pendingSettles == WAITING) this.settlesLost++;
    else unchecked(this.waiting[this.pendingSettles++]).copy(claim);
  }

  /** Gives the reservation back. */
  release(claim: Claim, now: i64): void {
    this.settle(claim, this.nothing, now);
  }

  /** Tries waiting settles again. For ticks, and before the store is given up. */
  retry(now: i64): void {
    let kept = 0;
    for (let i = 0; i < this.pendingSettles; i++) {
      const claim = unchecked(this.waiting[i]);
      if (this.charge(claim, now)) continue;
      // The objects stay in the list.
      unchecked((this.waiting[i] = this.waiting[kept]));
      unchecked((this.waiting[kept++] = claim));
    }
    this.pendingSettles = kept;
  }

  private tryReserve(budget: Budget, wants: StaticArray<i64>, now: i64, claim: Claim): Verdict {
    const second = seconds(now);
    const mark = scratch.mark();
    for (let round = 0; round < TRIES; round++) {
      scratch.rewind(mark);
      if (!this.read(claim)) return this.unreadable();
      const set = this.value.ptr;
      let entry = this.set.find(set, claim.hashLow, claim.hashHigh);
      let drops = false;
      if (entry == 0) {
        entry = this.set.victim(set, second);
        drops = isLive(entry, second);
        this.set.clear(entry, claim.hashLow, claim.hashHigh, this.version);
      } else this.renew(entry, budget, now);
      if (!claim.reserve(metersOf(entry), now, wants)) return Verdict.Refused;
      claim.serial = serialOf(entry);
      this.set.touch(set, entry, idleSecond(claim.emptyAt(), now));
      const status = sharedData.set(this.key, this.value, this.version);
      if (status == Status.Ok) {
        if (drops) this.evictedLive++;
        return Verdict.Admitted;
      }
      if (status != Status.CasMismatch) return this.unreadable();
    }
    this.contention++;
    return Verdict.Unwritten;
  }

  /** True when the settle is done with: written, or nobody has the budget any more. */
  private charge(claim: Claim, now: i64): bool {
    const mark = scratch.mark();
    let done = false;
    for (let round = 0; round < TRIES && !done; round++) {
      scratch.rewind(mark);
      if (!this.read(claim)) break;
      const set = this.value.ptr;
      const entry = this.set.find(set, claim.hashLow, claim.hashHigh);
      if (entry == 0) {
        done = true;
        break;
      }
      this.renew(entry, claim.budget!, now);
      // Another serial: the reservation went with an entry that was dropped, or began anew. What was used counts all the same.
      const emptyAt = claim.settle(metersOf(entry), now, serialOf(entry) == claim.serial);
      this.set.touch(set, entry, idleSecond(emptyAt, now));
      const status = sharedData.set(this.key, this.value, this.version);
      done = status == Status.Ok;
      if (status != Status.CasMismatch) break;
    }
    scratch.rewind(mark);
    return done;
  }

  /** Meters that begin anew have lost their reservations: no claim may give one back. Versions grow with each write, so the serial is a new one. */
  private renew(entry: usize, budget: Budget, now: i64): void {
    if (budget.restarts(metersOf(entry), now)) setSerial(entry, this.version);
  }

  /** Puts the set of the claim, or a blank one, into `value`. False when the host refuses. */
  private read(claim: Claim): bool {
    const number = <i32>(((claim.hashLow & 0xffffffff) * <u64>this.sets) >> 32);
    writeDigits(this.key.ptr + <usize>(this.key.len - 3), number);
    const status = sharedData.get(this.key, this.value);
    this.version = status == Status.Ok ? sharedData.cas() : MISSING;
    if (status == Status.Ok) return this.value.len == this.set.bytes;
    if (status != Status.NotFound) return false;
    const blank = changetype<usize>(this.blank);
    memory.fill(blank, 0, this.set.bytes);
    this.value.set(blank, this.set.bytes);
    return true;
  }

  private unreadable(): Verdict {
    this.unavailable++;
    return Verdict.Unwritten;
  }
}

/** One of 64 printable characters: "0" to "o". */
@inline
function digit(value: i32): u8 {
  return <u8>(48 + (value & 63));
}

function writeDigits(at: usize, value: i32): void {
  store<u8>(at, digit(value >> 12));
  store<u8>(at, digit(value >> 6), 1);
  store<u8>(at, digit(value), 2);
}

@inline
function seconds(now: i64): u32 {
  return <u32>(min(max(now, 0) / 1000, 0xffffffff));
}

/** The first whole second that all meters are empty in; what is empty now is so in this one. */
@inline
function idleSecond(emptyAt: i64, now: i64): u32 {
  return emptyAt <= now ? seconds(now) : seconds(emptyAt + 999);
}
